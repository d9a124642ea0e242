"""What an inspection shows, where its own tests do not look."""

import copy
import io

import pytest
from rich.console import Console

from ltjax.inspect import findings


def found(classes):
    counts = {f"c{at:03d}": classes + 5 - at for at in range(classes)}
    return {
        "name": "[b]zoo[/b]",
        "images": sum(counts.values()),
        "classes": classes,
        "counts": counts,
        "empty_classes": [],
        "imbalance_factor": 3.0,
        "gini": 0.25,
        "skipped": [],
        "duplicates": [],
        "duplicates_across_classes": [],
        "duplicates_across_splits": [],
        "near_copies": 0,
        "near_copies_across_classes": [],
        "near_copies_across_splits": [],
        "bursts": [],
        "one_split_only": {"train": [], "test": []},
        "alike_names": [],
        "passed_over": {},
        "notes": [],
        "pixels": {name: [1, 2, 3] for name in ("width", "height", "shorter_side")},
        "modes": {"RGB": 7},
        "animated": 0,
        "turned": 0,
        "transparent": 0,
        "one_colour": [],
        "reduced": 0,
        "deep": 0,
        "deep_range": None,
        "proposal": {
            "rule": "the rule",
            "validation": 0,
            "train": {name: count - 2 for name, count in counts.items()},
            "test": dict.fromkeys(counts, 2),
            "groups": {"many": [], "medium": [], "few": list(counts)},
            "size": 32,
            "network": "ResNet-8",
            "pretrained": False,
            "epochs": 20,
            "range": None,
        },
    }


def shown(of, **more):
    console = Console(width=80, file=io.StringIO())
    findings.show(console, {**copy.deepcopy(of), **more}, str)
    return console.file.getvalue()


def test_a_set_without_faults_is_told_briefly():
    text = shown(found(3))
    assert "[b]zoo[/b]: 21 images of 3 classes; imbalance factor 3, Gini 0.250" in text
    assert "modes: 7 RGB\n" in text
    for words in (
        "cannot be read",
        "equal pictures",
        "alike",
        "passed over",
        "classes w",
    ):
        assert words not in text


@pytest.mark.parametrize(("classes", "middle"), [(24, False), (25, True), (900, True)])
def test_of_many_classes_the_largest_and_smallest_are_shown(classes, middle):
    text = shown(found(classes))
    assert ("..." in text) == middle
    assert "c000" in text
    assert f"c{classes - 1:03d}" in text
    if middle:
        assert f"... {classes - 24} classes" in text
    assert len(text.splitlines()) < 40
    total = sum(found(classes)["counts"].values())
    (sums,) = (line for line in text.splitlines() if line.startswith(" all"))
    assert sums.split()[1:] == [
        str(total),
        str(total - 2 * classes),
        str(2 * classes),
    ]


def test_faults_are_listed_up_to_five():
    skipped = [{"path": f"a/{at}.jpg", "reason": "why"} for at in range(7)]
    text = shown(
        found(3),
        skipped=skipped,
        duplicates=[["a", "b"], ["c", "d", "e"]],
        duplicates_across_splits=[["a", "b"]],
        one_split_only={"train": ["x"], "test": ["y", "z"]},
        alike_names=[["Dog", "dog"]],
        empty_classes=["none"],
        modes={"RGB": 5, "RGBA": 1, "L": 1},
        animated=2,
        turned=4,
        transparent=1,
        reduced=3,
        one_colour=["a/0.png"],
        passed_over={"hidden": 9},
    )
    for part in (
        "skipped: 7\n  a/0.jpg (why)\n",
        "  a/4.jpg (why)\n  ... and 2 more\n",
        "groups of equal pictures: 2\n  a = b\n  c = d = e\n",
        "of these, groups in several splits: 1\n  a = b\n",
        "classes with no images to train on: 2\n  y\n  z\n",
        "classes with no images to test on: 1\n  x\n",
        "classes without an image that can be read: 1\n  none\n",
        "class names that look alike: 1\n  Dog and dog\n",
        "modes: 5 RGB, 1 RGBA, 1 L; all become 8-bit RGB\n",
        "1 images have transparent pixels, which become white; --data.background takes",
        "3 images have colours of 16 bits; the upper 8 are read\n",
        "images of one colour, transparent parts white: 1\n  a/0.png\n",
        "2 files have several frames",
        "4 images are turned upright",
        "passed over: 9 hidden\n",
    ):
        assert part in text


def test_a_busy_machine_is_told():
    told = {
        "device": "cpu",
        "busy": 5.25,
        "seconds": dict.fromkeys(
            ("total", "compiling", "representation", "features"), 9
        ),
        "bytes": {"host": 2**20, "device": 2**31},
        "how": "so",
    }
    text = shown(found(3), estimate=told)
    assert "the steps took 5.2 times as long" in text
    assert "about 2.0 GiB on the device" in text
    for busy in (None, 1.5):
        assert "times as long" not in shown(found(3), estimate={**told, "busy": busy})
