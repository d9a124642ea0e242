"""Images that belong together, and splits that leave them so."""

import csv

import numpy as np
import pytest
from folders import grow, refused
from PIL import Image

from ltjax.config import Config, Data
from ltjax.data import groups, listing, partition
from ltjax.mistake import Mistake
from ltjax.stages.loading import load


def drawn(seed=0, count=60, classes=5):
    """Labels and groups [N]: patients of one class mostly."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(count), rng.integers(1, 12, count))
    own = rng.integers(0, classes, count)[group]
    return np.where(
        rng.random(len(group)) < 0.8, own, rng.integers(0, classes, len(group))
    ), group


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides_and_no_class_gives_too_much(seed):
    labels, group = drawn(seed)
    test = partition.by_groups(labels, 5, 10, group)
    assert not set(group[test]) & set(group[~test])
    given, counts = (np.bincount(of, minlength=5) for of in (labels[test], labels))
    wanted = partition.affordable(counts, 10)
    assert (given <= counts // 2).all()
    # As many as were wanted, or more where a class came along with another.
    assert (given >= wanted - 1).all()
    assert (given <= wanted + 6).all()
    digests = [bytes([at % 256, at // 256]) for at in range(len(labels))]
    held = partition.spared_groups(labels, 5, 0.1, digests, group)
    assert not set(group[held]) & set(group[~held])
    assert (
        np.bincount(labels[held], minlength=5) >= partition.spare(counts, 0.1)
    ).all()


def test_alone_in_its_group_each_image_is_drawn_as_often_as_without():
    labels = np.repeat(np.arange(3), (40, 9, 2))
    test = partition.by_groups(labels, 3, 5, np.arange(51))
    given = np.bincount(labels[test], minlength=3)
    np.testing.assert_array_equal(given, partition.affordable([40, 9, 2], 5))


def test_names_of_groups_do_not_matter_and_the_seed_does():
    labels, group = drawn()
    test = partition.by_groups(labels, 5, 10, group)
    renamed = np.random.default_rng(1).permutation(60)[group]
    np.testing.assert_array_equal(partition.by_groups(labels, 5, 10, renamed), test)
    assert (partition.by_groups(labels, 5, 10, group, seed=1) != test).any()


def test_equal_images_join_their_groups():
    number = groups.numbered(["b", "a", "c", "d", "a"], [b"1", b"2", b"1", b"3", b"4"])
    assert number.tolist() == [1, 0, 1, 2, 0]
    chain = groups.numbered(list("abcd"), [b"1", b"1", b"2", b"2"])
    assert chain.tolist() == [0, 0, 1, 1]
    assert groups.numbered(list("abca"), [b"1", b"2", b"2", b"3"]).tolist() == [
        0,
        1,
        1,
        0,
    ]


def test_patterns_of_paths():
    paths = ("x/p1_a.png", "y/p1_b.png", "y/p2_a.png", "y/other.png")
    found = groups.of_pattern(r"p(\d+)", paths)
    assert found[:3] == ("1", "1", "2")
    assert found[3] not in found[:3]
    assert groups.of_pattern(r"^\w", paths)[0] == "x"
    assert "is no regular expression" in refused(groups.of_pattern, "p(", paths)
    assert "is found in none of the 4 paths" in refused(groups.of_pattern, "q", paths)


def photos(root, names):
    """A grey image for each name, no two equal."""
    grow(root, *names)
    for at, name in enumerate(names):
        Image.new("RGB", (9, 9), (at, 40, 90)).save(root / name)
    return root


NAMES = [
    f"{c}/p{p}_{i}.png" for c in "ab" for p in range(c == "b", 6) for i in range(3)
]


def test_a_folder_is_split_by_its_pattern(tmp_path):
    root = photos(tmp_path / "photos", NAMES)
    data = load(Data(source="folder", path=str(root), group=r"p(\d+)", size=8))
    sides = [set(split.group.tolist()) for split in (data.train, data.test)]
    assert not sides[0] & sides[1]
    assert all(sides)
    held = load(
        Data(source="folder", path=str(root), group=r"p(\d+)", size=8, validation=0.2)
    )
    assert not {*held.validation.group} & ({*held.train.group} | {*held.test.group})


def sheet(root, rows, header="path,label,patient"):
    with open(root / "all.csv", "w", newline="") as text:
        text.write(header + "\n")
        csv.writer(text).writerows(rows)
    return root / "all.csv"


def test_a_csv_is_split_by_its_column(tmp_path, capsys):
    photos(tmp_path, NAMES)
    file = sheet(tmp_path, [(name, name[0], name.split("_")[0][2:]) for name in NAMES])
    found = listing.table(file, "Patient")
    assert found.group[:4] == ("p0", "p0", "p0", "p1")
    data = load(Data(source="csv", path=str(file), group="patient", size=8))
    assert not set(data.train.group.tolist()) & set(data.test.group.tolist())
    assert "groups of images: " in capsys.readouterr().out
    # A pattern of paths does as well, and says the same.
    same = load(Data(source="csv", path=str(file), group=r"(p\d+)", size=8))
    np.testing.assert_array_equal(same.test.label, data.test.label)


def test_what_cannot_be_a_group_is_told_in_one_line(tmp_path):
    photos(tmp_path, NAMES)
    rows = [(name, name[0], "one") for name in NAMES]
    file = sheet(tmp_path, rows)
    assert "data.group 'patient' has one group, of all 33 images" in refused(
        listing.table, file, "patient"
    )
    assert "no column 'patent' for data.group" in refused(listing.table, file, "patent")
    assert refused(listing.table, file, "patent").endswith("did you mean patient?")
    rows[4] = (*rows[4][:2], "")
    assert "line 6: the patient is empty" in refused(
        listing.table, sheet(tmp_path, rows), "patient"
    )
    split = [(*row, "test" if at > 20 else "train") for at, row in enumerate(rows)]
    split = [
        (path, label, str(at % 5), part)
        for at, (path, label, _, part) in enumerate(split)
    ]
    file = sheet(tmp_path, split, "path,label,patient,split")
    assert "'1' is in train and in test" in refused(listing.table, file, "patient")
    with pytest.raises(Mistake, match=r"data.group is 'x', which only"):
        Data(source="digits", group="x").check(Config())
    words = Data(source="csv", path="x.csv", group="patient", holdout=3)
    with pytest.raises(Mistake, match=r"data.holdout is 3, which divides groups"):
        words.check(Config())


def test_a_class_that_one_group_holds_is_told_and_trains(tmp_path, capsys):
    names = [name for name in NAMES if name[0] == "a"] + [
        f"c/p9_{i}.png" for i in range(4)
    ]
    root = photos(tmp_path / "photos", names)
    data = load(Data(source="folder", path=str(root), group=r"p(\d+)", size=8))
    assert "all of one group, so that none is tested: c" in capsys.readouterr().out
    assert 1 not in data.test.label
    assert (data.train.label == 1).sum() == 4
