import dataclasses
import hashlib
import json
import struct

import numpy as np
import pytest

from ltjax.config import Data
from ltjax.data import longtail, manifest
from ltjax.mistake import Mistake

FACTORS = (10, 50, 100, 200)
TOTALS = {
    "cifar10_lt": (20_431, 13_996, 12_406, 11_203),
    "cifar100_lt": (19_573, 12_608, 10_847, 9_502),
}


def test_the_digest_is_what_it_says():
    rows = [7, 0, 2**33]
    wanted = hashlib.sha256(struct.pack("<3q", 0, 7, 2**33)).hexdigest()
    for kind in (np.int64, np.dtype(">i8"), np.uint64):
        assert manifest.digest(np.array(rows, kind)) == wanted
    assert manifest.digest(rows[:2]) != wanted


@pytest.mark.parametrize("name", TOTALS)
@pytest.mark.parametrize("factor", FACTORS)
def test_cifar_follows_its_rule(name, factor):
    found = manifest.find(name, factor)
    assert found == manifest.find(f"{name}_if{factor}")
    classes = found["classes"]
    largest = {10: 5000, 100: 500}[classes]
    # The rule in Python's own numbers.
    counts = [
        int(largest * (1 / factor) ** (c / (classes - 1))) for c in range(classes)
    ]
    assert found["counts"] == counts
    assert found["train"] == TOTALS[name][FACTORS.index(factor)]
    assert found["test_per_class"] * classes == 10_000


@pytest.mark.parametrize(
    ("name", "classes", "train", "largest", "smallest", "test"),
    [
        ("imagenet_lt", 1000, 115_846, 1280, 5, 50_000),
        ("places_lt", 365, 62_500, 4980, 5, 36_500),
        ("inaturalist2018", 8142, 437_513, None, None, 24_426),
    ],
)
def test_large_sets_have_their_published_totals(
    name, classes, train, largest, smallest, test
):
    found = manifest.find(name)
    assert (found["classes"], found["train"]) == (classes, train)
    assert found["test_per_class"] * classes == test
    if largest:
        counts = np.array(found["counts"])
        assert len(counts) == classes
        assert counts.sum() == train
        assert (counts.max(), counts.min()) == (largest, smallest)
    else:
        assert found["counts"] is None


@pytest.mark.parametrize("name", manifest.names())
def test_every_manifest_is_whole(name):
    found = manifest.find(name)
    fields = {"name", "classes", "train", "test_per_class", "list", "counts"}
    assert set(found) == fields
    if found["counts"]:
        assert len(found["counts"]) == found["classes"]
        assert sum(found["counts"]) == found["train"]
    assert found["list"] is None or len(bytes.fromhex(found["list"])) == 32


@pytest.mark.parametrize("factor", [None, 20])
def test_an_unknown_name_is_refused(factor):
    with pytest.raises(Mistake, match=r"no cifar10_lt\w* is known, only .*places_lt"):
        manifest.find("cifar10_lt", factor)


SMALL = {
    "name": "small",
    "classes": 3,
    "train": 9,
    "test_per_class": 2,
    "counts": [5, 3, 1],
    "list": manifest.digest(range(9)),
}


@pytest.mark.parametrize(
    ("counts", "test", "rows", "more", "message"),
    [
        ([5, 3, 1], [2, 2, 2], None, {}, None),
        ([5, 3, 1], [2, 2, 2], range(9), {}, None),
        ([5, 3, 1], [2, 2, 2], range(1, 10), {"list": None}, None),
        ([5, 3], [2, 2], None, {}, "there are 2 classes, the manifest says 3"),
        (
            [5, 2, 2],
            [1, 1, 1],
            None,
            {},
            "class 1 has 2 images, the manifest says 3",
        ),
        (
            [5, 4, 1],
            [2, 2, 2],
            None,
            {"counts": None},
            "there are 10 training images, the manifest says 9",
        ),
        (
            [5, 3, 1],
            [2, 2, 3],
            None,
            {},
            "class 2 has 3 test images, the manifest says 2",
        ),
        (
            [5, 3, 1],
            [2, 2, 2],
            range(1, 10),
            {},
            "the list of training images has SHA-256 "
            f"{manifest.digest(range(1, 10))[:16]}, the manifest says "
            f"{SMALL['list'][:16]}: the order of the whole set, or data.subset_seed, "
            "is another",
        ),
    ],
)
def test_the_first_difference(counts, test, rows, more, message):
    assert manifest.difference({**SMALL, **more}, counts, test, rows) == message


# A set in another order than CIFAR-100's own, whose labels tests do not have.
WHOLE = np.random.default_rng(0).permutation(np.repeat(np.arange(100), 500))
TEST = np.repeat(np.arange(100), 100)
KEPT = longtail.subset(WHOLE, longtail.exponential_counts(100, 500, 100))
SETTINGS = Data(imbalance_factor=100, manifest="cifar100_lt")


def test_no_manifest_checks_nothing():
    assert manifest.check(Data(), WHOLE, WHOLE[:5], TEST, 100) is None


def test_another_order_is_refused_or_recorded():
    labels = WHOLE, WHOLE[KEPT], TEST, 100
    with pytest.raises(Mistake) as caught:
        manifest.check(SETTINGS, *labels)
    message = str(caught.value)
    assert message.startswith("data.manifest cifar100_lt_if100: the list of training")
    assert message.endswith(
        "--data.allow-mismatch True goes on with the data as they are"
    )
    allowed = dataclasses.replace(SETTINGS, allow_mismatch=True)
    record = manifest.check(allowed, *labels)
    assert json.loads(json.dumps(record)) == record
    assert record["name"] == "cifar100_lt_if100"
    assert record["list"] == manifest.digest(KEPT)
    assert record["difference"] in message


def test_the_locked_list_is_accepted(monkeypatch):
    locked = {**manifest.find("cifar100_lt_if100"), "list": manifest.digest(KEPT)}
    monkeypatch.setattr(manifest, "find", lambda *name: locked)
    record = manifest.check(SETTINGS, WHOLE, WHOLE[KEPT], TEST, 100)
    assert record == {
        "name": "cifar100_lt_if100",
        "list": manifest.digest(KEPT),
        "difference": None,
    }


def test_of_a_set_that_came_cut_the_list_is_unknown():
    cut = WHOLE[KEPT]
    record = manifest.check(SETTINGS, cut, cut, TEST, 100)
    assert record == {"name": "cifar100_lt_if100", "list": None, "difference": None}
