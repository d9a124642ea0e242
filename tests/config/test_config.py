import ast
import dataclasses
import inspect
import json

import pytest

from ltjax import config as configs
from ltjax.config import (
    Checkpoint,
    Classifier,
    Config,
    Data,
    Model,
    Optim,
    Ride,
    Srepr,
    Swa,
)
from ltjax.workdir import identity


def difference_of(old, new):
    return next(identity.differences(old, new), None)


BASE = identity.of_config(Config())


def changed(**more):
    return identity.of_config(dataclasses.replace(Config(), **more))


@pytest.mark.parametrize(
    "config",
    [
        Config(checkpoint=Checkpoint(keep=7)),
        Config(swa=Swa(place="host")),
        Config(data=Data(train="a.npz", test="b.npz")),
        Config(data=Data(directory="elsewhere", download=True)),
        Config(data=Data(path="elsewhere", nested=True, strict=True)),
        Config(data=Data(workers=4, stream=False)),
        Config(data=Data(manifest="cifar100_lt", allow_mismatch=True)),
        Config(model=Model(pretrained="a.npz")),
        Config(optim=Optim(ride=Ride(teacher="elsewhere"))),
    ],
)
def test_what_does_not_change_the_numbers_is_no_part_of_the_identity(config):
    assert identity.of_config(config) == BASE


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        (Config(seed=1), "seed was 0, now 1"),
        (Config(name="x"), "name was None, now 'x'"),
        (Config(optim=Optim(lr=0.2)), "optim.lr was 0.1, now 0.2"),
        (
            Config(data=Data(imbalance_factor=100)),
            "data.imbalance_factor was None, now 100",
        ),
        (
            Config(classifier=Classifier(srepr=Srepr(form="dirichlet"))),
            "classifier.srepr.form was 'mean', now 'dirichlet'",
        ),
        (
            Config(classifier=Classifier(views=None)),
            "classifier.views was 4, now None",
        ),
        (
            Config(optim=Optim(ride=Ride(repeated=False))),
            "optim.ride.repeated was True, now False",
        ),
        (Config(data=Data(stream=True)), "data.stream was False, now True"),
        # Two differ: the first in the order of names is told.
        (
            Config(seed=1, optim=Optim(lr=0.2, epochs=3)),
            "optim.epochs was 200, now 3",
        ),
    ],
)
def test_all_else_is_and_the_first_difference_is_named(config, difference):
    now = identity.of_config(config)
    assert difference_of(BASE, now) == difference


def test_equal_identities_have_no_difference():
    assert difference_of(BASE, identity.of_config(Config())) is None


def test_the_identity_survives_json():
    fields = changed(classifier=Classifier(methods=("la",)))
    read = json.loads(json.dumps(fields))
    assert read == fields
    assert difference_of(read, fields) is None


def test_images_of_an_older_run_had_no_background():
    """Alpha was left out, whatever is the default now."""
    files = Data(source="folder", path="x")
    for data, was, is_now in (
        (files, None, "white"),
        (Data(), None, None),
        (Data(source="tfds:cifar100"), None, None),
        (Data(source="npz", background="black"), None, "black"),
    ):
        config = Config(data=data)
        record = json.loads(json.dumps(dataclasses.asdict(config)))
        assert configs.of_record(record) == config
        del record["data"]["background"]
        older = configs.of_record(record)
        assert older.data == dataclasses.replace(data, background=None)
        identified = identity.of_config(config)
        assert identified["data"]["background"] == is_now
        del identified["data"]["background"]
        assert identity.completed(identified)["data"]["background"] == was


def test_a_range_survives_json():
    data = Data(source="folder", path="x", range=(0.5, 4095))
    record = json.loads(json.dumps(dataclasses.asdict(Config(data=data))))
    assert configs.of_record(record).data == data


def test_a_field_that_an_older_version_lacked_counts_as_none():
    older = {name: value for name, value in BASE.items() if name != "seed"}
    assert difference_of(older, BASE) == "seed was None, now 0"
    older = BASE | {"swa": {k: v for k, v in BASE["swa"].items() if k != "start"}}
    assert difference_of(older, BASE) is None


@pytest.mark.parametrize(
    ("start", "epochs", "expected"), [(None, 200, 150), (None, 3, 2), (7, 10, 7)]
)
def test_without_a_start_three_epochs_in_four_come_before_the_constant_rate(
    start, epochs, expected
):
    config = Config(optim=Optim(epochs=epochs), swa=Swa(start=start))
    assert configs.swa_start(config) == expected


def classes():
    tree = ast.parse(inspect.getsource(configs))
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("node", classes(), ids=lambda node: node.name)
def test_every_setting_has_a_short_help_text(node):
    for field, after in zip(node.body[1:], [*node.body[2:], None]):
        if not isinstance(field, ast.AnnAssign):
            continue
        if isinstance(field.value, ast.Call):  # a group; its class has the text
            continue
        text = getattr(getattr(after, "value", None), "value", None)
        assert isinstance(text, str), f"{node.name}.{field.target.id}"
        assert len(text.split()) < 25
        assert text.endswith(".")
