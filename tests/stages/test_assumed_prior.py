"""The class prior of a deployment, from a word or a file."""

import dataclasses
import json

import numpy as np
import pytest

from ltjax.config import CifarResNet, Classifier, Config, Cosine, Experts
from ltjax.mistake import Mistake
from ltjax.stages import prior
from ltjax.workdir.rows import Row

NAMES, COUNTS = ["cat", "dog", "yak"], [30, 10, 0]


def test_words():
    np.testing.assert_array_equal(prior.shares("train", NAMES, COUNTS), [0.75, 0.25, 0])
    found = prior.shares("uniform", NAMES, COUNTS)
    np.testing.assert_allclose(found, 1 / 3)


CONFIG = Config()
COSINE = dataclasses.replace(CONFIG, model=CifarResNet(head=Cosine()))
EXPERTS = dataclasses.replace(CONFIG, model=Experts(count=2))
TOGETHER = dataclasses.replace(EXPERTS, classifier=Classifier(experts="together"))


@pytest.mark.parametrize(
    ("config", "row", "shares"),
    [
        (CONFIG, "swa none", [0.75, 0.25, 0]),
        (CONFIG, "swag none", [0.75, 0.25, 0]),
        (CONFIG, "swa srepr", [0.5, 0.5, 0]),
        (CONFIG, "swa lws", None),
        (COSINE, "swa none", None),
        (COSINE, "sgd la_posthoc", None),
        (COSINE, "swa la", [0.5, 0.5, 0]),
        (EXPERTS, "swa none", None),
        (EXPERTS, "swa la", None),
        (TOGETHER, "swa la", [0.5, 0.5, 0]),
        (TOGETHER, "swa srepr", [0.5, 0.5, 0]),
        (TOGETHER, "swa none", None),
    ],
)
def test_what_a_row_assumes(config, row, shares):
    row = Row(*row.split())
    found, words = prior.assumed(config, row, COUNTS, {})
    if shares is None:
        assert found is None
        assert words == "no known shares of the classes"
    else:
        np.testing.assert_allclose(found, shares)
        drawn = row.backbone == "swag" or row.classifier == "srepr"
        assert words.endswith(", as far as its draws agree") == drawn


def test_a_file_in_any_order_and_rounded(tmp_path):
    file = tmp_path / "prior.json"
    file.write_text(json.dumps({"yak": 0, "dog": 0.333, "cat": 0.6665}))
    found = prior.shares(str(file), NAMES, COUNTS)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found, [0.6665 / 0.9995, 0.333 / 0.9995, 0])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"cat": 0.5, "dog": 0.5}', "has no class 'yak'; wanted the run's 3"),
        ('{"cat": 1}', "has no class 'dog' and 1 more"),
        (
            '{"cat": 0.5, "dog": 0.5, "yak": 0, "gnu": 0}',
            "has an unknown class 'gnu'",
        ),
        ('{"cat": 0.5, "dog": 0.4, "yak": 0}', "the shares sum to 0.9, wanted 1"),
        ('{"cat": 1, "dog": 1, "yak": 1}', "the shares sum to 3, wanted 1"),
        (
            '{"cat": -0.5, "dog": 1, "yak": 0.5}',
            "the share of 'cat' is -0.5, wanted 0..1",
        ),
        ('{"cat": 50, "dog": 30, "yak": 20}', "the share of 'cat' is 50"),
        ('{"cat": NaN, "dog": 1, "yak": 0}', "the share of 'cat' is nan"),
        ('{"cat": "1", "dog": 0, "yak": 0}', "the share of 'cat' is '1'"),
        ('{"cat": true, "dog": 0, "yak": 0}', "the share of 'cat' is True"),
        ('{"cat": 0.5, "cat": 0.5, "dog": 0.5, "yak": 0}', "has 'cat' twice"),
        ("[0.5, 0.5, 0]", "holds no classes; wanted uniform, train, or a JSON"),
        ("cat: 1", "cannot be read as JSON"),
        ("\xff", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_files_that_are_no_prior(tmp_path, content, says):
    file = tmp_path / "prior.json"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(Mistake) as caught:
        prior.shares(str(file), NAMES, COUNTS)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    for name in ("unifrom", "x" * 300, str(tmp_path)):
        with pytest.raises(Mistake, match="is not a file; wanted uniform, train, or"):
            prior.shares(name, NAMES, COUNTS)
