"""Which folders are splits and which are classes, as people keep them."""

import json

import pytest
from folders import grow, refused, rows

from ltjax.data import listing


def both(*splits):
    """Images of two classes in each split."""
    return [f"{split}/{name}/1.jpg" for split in splits for name in "ab"]


@pytest.mark.parametrize(
    ("train", "other", "split"),
    [
        ("Train", "Test", "test"),
        ("TRAIN", "VAL", "val"),
        ("Training", "Testing", "test"),
        ("training_set", "test_set", "test"),
        ("train", "Test", "test"),
        ("train", "dev", "val"),
        ("train", "Validation", "val"),
        ("train", "eval", "val"),
    ],
)
def test_splits_by_their_usual_names(tmp_path, train, other, split):
    found = listing.folder(grow(tmp_path, *both(train, other)))
    assert found.classes == ("a", "b")
    assert sorted(rows(found)) == sorted(
        (f"{place}/{name}/1.jpg", name, of)
        for place, of in ((train, "train"), (other, split))
        for name in "ab"
    )


def test_train_alone_may_be_a_class(tmp_path):
    """Railways are; with images right in it, nothing else can be meant."""
    grow(tmp_path, "train/1.jpg", "bus/1.jpg", "Training/1.jpg")
    assert listing.folder(tmp_path).classes == ("Training", "bus", "train")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            both("train", "val", "valid"),
            " has val/ and valid/, which are all the val split; leave one",
        ),
        (both("train", "Train"), " has Train/ and train/, which are all the train"),
        (
            [*both("train", "test"), "cat/1.jpg"],
            " has test/ and train/ and, beside, images in cat/; if these are a split, "
            "rename it to test/ or val/, if not, move it elsewhere; if train is a",
        ),
        ([*both("train"), "hold-out/a/1.jpg"], "beside, images in hold-out/; if"),
        (
            [f"{name}/1.jpg" for name in ("bear", "cat", "dog", "test")],
            " has test/ among its classes; if that is a split, put the other classes "
            "into train/, if it is a class, rename it",
        ),
        (["a/1.jpg", "b/1.jpg", *both("Val")], " has Val/ among its classes"),
        (["train/1.jpg", "Test/1.jpg", "bus/1.jpg"], ", but no train/CLASS in it"),
        (["train/1.jpg", "x/"], " has images of one class only, 'train'; it takes 2"),
        (both("seg_train", "seg_test"), "; if these are splits, rename them to train/"),
        (both("train/train", "test/test"), "has nothing but test/ in test/; move the"),
        (
            [f"{name}/{s}/1.jpg" for name in "ab" for s in ("train", "test")],
            " has test/ and train/ in a/ and b/; splits come first, as train/a/*.jpg",
        ),
        (
            ["train/Cat/1.jpg", "train/b/1.jpg", "test/cat/1.jpg"],
            " has the class 'Cat' to train on and test/cat/; rename one, if they are",
        ),
    ],
)
def test_what_could_be_meant_otherwise_is_refused(tmp_path, names, message):
    assert message in refused(listing.folder, grow(tmp_path, *names))


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ([*both("images/train", "images/test"), "annotations/1.xml"], "images"),
        ([*both("images/Train", "images/VAL"), "samples/1.jpg"], "images"),
        ([*both("data/pics"), "data/readme.txt", "labels/"], "data/pics"),
        ([*both("data/x/train", "data/x/test")], "data/x"),
    ],
)
def test_a_folder_too_high_names_the_one_meant(tmp_path, names, meant):
    message = refused(listing.folder, grow(tmp_path, *names))
    assert f"; did you mean {tmp_path}/{meant}?" in message


def test_a_class_in_two_unicode_forms_is_one(tmp_path):
    """A Mac has unpacked one of the splits."""
    grow(tmp_path, "train/K\xe4fer/1.jpg", "train/b/1.jpg", "test/Ka\u0308fer/2.jpg")
    found = listing.folder(tmp_path)
    assert found.classes == ("K\xe4fer", "b")
    assert ("test/Ka\u0308fer/2.jpg", "K\xe4fer", "test") in rows(found)


# Deep folders

TAXA = ("Animalia/Aves/robin/1.jpg", "Animalia/Aves/wren/1.jpg", "Plantae/rose/1.jpg")


def test_deep_folders_are_told(tmp_path):
    found = listing.folder(grow(tmp_path, *TAXA, "Plantae/2.jpg"))
    assert found.classes == ("Animalia", "Plantae")
    assert found.note == (
        "3 of 4 images lie deeper than in the folder of their class: "
        "Animalia/Aves/robin/1.jpg is of 'Animalia'; --nested, of a run --data.nested, "
        "takes each last folder as a class: 4, such as 'Plantae'"
    )
    assert listing.folder(grow(tmp_path / "flat", *both("train"))).note == ""


def test_one_deep_folder_names_the_flag(tmp_path):
    message = refused(listing.folder, grow(tmp_path, *TAXA[:2]))
    assert f"did you mean {tmp_path}/Animalia/Aves?; --nested" in message


@pytest.mark.parametrize("train", ["", "Train/"])
def test_the_last_folder_as_class(tmp_path, train):
    grow(tmp_path, *(train + name for name in TAXA), f"{train}Plantae/none/")
    if train:
        grow(tmp_path, "test/Aves/robin/2.jpg", "test/rose/3.jpg")
    found = listing.folder(tmp_path, nested=True)
    assert found.classes == ("none", "robin", "rose", "wren")
    names = {path: name for path, name, _ in rows(found)}
    assert names[f"{train}Animalia/Aves/wren/1.jpg"] == "wren"
    assert names.get("test/rose/3.jpg", "rose") == "rose"
    assert found.note == ""


def test_two_last_folders_of_one_name_are_refused(tmp_path):
    grow(tmp_path, "cat/day 1/1.jpg", "cat/day 2/1.jpg", "dog/day 1/1.jpg")
    message = refused(listing.folder, tmp_path, True)
    assert " has two folders 'day 1', cat/day 1 and dog/day 1; with nested" in message
    assert "nested" not in listing.folder(tmp_path).note


# What is no class


def test_thumbnails_and_bins_are_passed_over_at_any_depth(tmp_path):
    grow(tmp_path, *both("train", "test"))
    junk = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found", "#recycle")
    for place in ("", "train/", "train/a/", "test/a/deep/"):
        grow(tmp_path, *(f"{place}{name}/a/1.jpg" for name in junk))
    grow(tmp_path, "System Volume Information/1.jpg", "train/.thumbnails/1.jpg")
    grow(tmp_path, "train/a/._1.jpg", "train/a/Thumbs.db", "desktop.ini")
    found = listing.folder(tmp_path)
    assert sorted(found.paths) == sorted(both("train", "test"))
    assert found.ignored == {
        **{name: 4 for name in sorted(junk)},
        "System Volume Information": 1,
        "Thumbs.db": 1,
        "desktop.ini": 1,
        "hidden": 2,
    }


@pytest.mark.parametrize("place", ["runs/x-seed0", "x-seed0", "mine/deep/x", "a/x"])
def test_runs_are_no_class(tmp_path, place):
    grow(tmp_path, *both("."), f"{place}/page/a/plot.png", f"{place}/config.json")
    record = {"run": {}, "config": {}, "versions": {}}
    (tmp_path / place / "config.json").write_text(json.dumps(record))
    found = listing.folder(tmp_path)
    assert found.classes == ("a", "b")
    assert found.paths == ("a/1.jpg", "b/1.jpg")
    assert found.ignored == {"folders of runs": 1}


def test_what_only_looks_like_a_run_is_a_class(tmp_path):
    grow(tmp_path, "runs/1.jpg", "b/1.jpg", "b/config.json", "b/x/2.jpg")
    (tmp_path / "b/config.json").write_text('{"model": 1}')
    found = listing.folder(tmp_path)
    assert found.classes == ("b", "runs")
    assert len(found.paths) == 3


def test_runs_without_images_is_for_runs_to_come(tmp_path):
    grow(tmp_path, *both("."), "runs/log.txt")
    assert listing.folder(tmp_path).classes == ("a", "b")


def test_rare_kinds_are_put_together(tmp_path):
    grow(tmp_path, *both("."), *(f"a/1.k{at}" for at in range(20)), "a/2.k7")
    ignored = listing.folder(tmp_path).ignored
    assert ignored[".k7"] == 2
    assert ignored["files of other kinds"] == 12
    assert sum(ignored.values()) == 21
