"""Which files are listed, and what is refused in one line; nothing is decoded."""

import os
import unicodedata

import numpy as np
import pytest
from folders import grow, refused, rows

from ltjax import mistake
from ltjax.data import listing

# Folders


def test_a_plain_folder(tmp_path):
    root = grow(tmp_path / "my set.v2", "dog/b.PNG", "dog/a.jpg", "cat/deep/er/c.jpeg")
    found = listing.folder(str(root))
    assert (found.name, found.root) == ("my set.v2", root)
    assert found.classes == ("cat", "dog")
    assert found.label.dtype == np.int32
    assert rows(found) == [
        ("cat/deep/er/c.jpeg", "cat", ""),
        ("dog/a.jpg", "dog", ""),
        ("dog/b.PNG", "dog", ""),
    ]
    assert found.tests is None
    assert found.ignored == {}


@pytest.mark.parametrize(
    ("name", "split"),
    [("test", "test"), ("val", "val"), ("valid", "val"), ("validation", "val")],
)
def test_a_folder_with_splits(tmp_path, name, split):
    grow(
        tmp_path, "train/b/1.jpg", "train/a/1.jpg", f"{name}/a/2.jpg", f"{name}/c/3.jpg"
    )
    found = listing.folder(tmp_path)
    assert found.classes == ("a", "b", "c")
    assert sorted(rows(found)) == sorted(
        [
            (f"{name}/a/2.jpg", "a", split),
            (f"{name}/c/3.jpg", "c", split),
            ("train/a/1.jpg", "a", "train"),
            ("train/b/1.jpg", "b", "train"),
        ]
    )
    assert found.tests == split


def test_test_goes_before_val(tmp_path):
    grow(tmp_path, *(f"{s}/{c}/1.jpg" for s in ("train", "val", "test") for c in "ab"))
    found = listing.folder(tmp_path)
    assert found.tests == "test"
    assert sorted(found.split) == ["test", "test", "train", "train", "val", "val"]


def test_a_class_may_be_called_train(tmp_path):
    grow(tmp_path, "train/1.jpg", "bus/1.jpg")
    assert listing.folder(tmp_path).classes == ("bus", "train")


def test_class_names_are_as_on_disk(tmp_path):
    composed = unicodedata.normalize("NFC", "Käfer")
    apart = unicodedata.normalize("NFD", "Käfer")
    names = ["a b", composed, apart, "白鳥", "'\"", "[red]x", "a\nb", "#1", " x"]
    grow(tmp_path, *(f"{name}/1.jpg" for name in names))
    assert listing.folder(tmp_path).classes == tuple(sorted(names))


def test_names_that_are_no_text(tmp_path):
    for name in (b"\xff\xfe", b"ok"):
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)
        open(os.fsencode(tmp_path) + b"/" + name + b"/\xe4.jpg", "wb").close()
    found = listing.folder(tmp_path)
    assert [os.fsencode(path) for path in found.paths] == [
        b"ok/\xe4.jpg",
        b"\xff\xfe/\xe4.jpg",
    ]
    assert (tmp_path / found.paths[1]).exists()
    assert mistake.shown(found.paths[1]) == r"\xff\xfe/\xe4.jpg"
    assert mistake.shown("a\nb\tä\x1b") == r"a\nb\tä\x1b"


def test_what_is_passed_over_is_counted(tmp_path):
    grow(
        tmp_path,
        *("train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg"),
        *(".git/x.jpg", "train/a/._1.jpg", "train/.b/1.jpg"),
        *("train/a/1.xml", "train/a/noext", "README.md", "train/2.xml"),
        *("train/a/1.HEIC", "test/a/2.heic", "loose.jpg", "train/loose.jpg"),
        *("annotations/1.xml", "train/a/Dr. Who", "test/a/thumbs.db"),
    )
    (tmp_path / "train/a/all").symlink_to(tmp_path, target_is_directory=True)
    found = listing.folder(tmp_path)
    assert found.paths == ("test/a/1.jpg", "train/a/1.jpg", "train/b/1.jpg")
    assert found.ignored == {
        "hidden": 3,
        ".heic": 2,
        ".md": 1,
        ".xml": 2,
        "Thumbs.db": 1,
        "images outside the class folders": 2,
        "without a suffix": 2,
        "folders beside train/": 1,
        "links to folders": 1,
    }


def test_links_end(tmp_path):
    """Links to folders are not followed, however they lie; links to files are."""
    grow(tmp_path, "a/1.jpg", "b/1.jpg")
    for at, to in (("a/up", ".."), ("a/b", "../b"), ("b/a", "../a"), ("c", "a")):
        (tmp_path / at).symlink_to(to, target_is_directory=True)
    (tmp_path / "a/2.jpg").symlink_to("../b/1.jpg")
    (tmp_path / "a/self.jpg").symlink_to("self.jpg")
    (tmp_path / "a/dangling.jpg").symlink_to("nowhere.jpg")
    found = listing.folder(tmp_path)
    assert found.paths == (
        *("a/1.jpg", "a/2.jpg", "a/dangling.jpg", "a/self.jpg"),
        "b/1.jpg",
    )
    assert found.ignored == {"links to folders": 4}


def test_a_class_without_images_is_a_class(tmp_path):
    grow(tmp_path, "a/1.jpg", "b/1.jpg", "none/")
    assert listing.folder(tmp_path).classes == ("a", "b", "none")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], " has no images, wanted CLASS/*.jpg or train/CLASS/*.jpg in it"),
        (["a/", "b/"], " has no images, wanted CLASS"),
        (["a/1.txt", ".x"], "(passed over: 1 .txt, 1 hidden)"),
        (
            ["a/1.heic", "b/2.HEIC", "b/3"],
            "(passed over: 2 .heic, 1 without a suffix; convert .heic to .jpg or .png; "
            "name images that have no suffix as .jpg or .png)",
        ),
        (["1.jpg", "2.jpg"], "(passed over: 2 images outside the class folders)"),
        (["only one/1.jpg"], " has one class, 'only one'; it takes 2 to tell apart"),
        (["test/a/1.jpg", "test/b/1.jpg"], " has test/, but no train/CLASS in it"),
        (
            ["train/1.jpg", "val/1.jpg"],
            " has train/ and val/, but no train/CLASS in it",
        ),
        (["train/a/", "test/a/1.jpg", "test/b/1.jpg"], " has no training images"),
        (["train/a/1.jpg", "test/a/1.jpg"], " has one class, 'a'"),
    ],
)
def test_folders_that_cannot_be_learned_from(tmp_path, names, message):
    root = grow(tmp_path / "x", *names) if names else grow(tmp_path, "x/") / "x"
    found = refused(listing.folder, root)
    assert found.startswith(str(root))
    assert message in found


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    grow(tmp_path, "a/1.jpg", "b/1.jpg")
    scandir = os.scandir

    def closed(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    message = refused(listing.folder, tmp_path)
    assert message == f"{tmp_path / 'b'} cannot be read: Permission denied"


def test_a_folder_that_is_not_there(tmp_path):
    grow(tmp_path, "images/", "file.csv")
    message = refused(listing.folder, tmp_path / "imagse")
    assert message.endswith(f"imagse does not exist; did you mean {tmp_path}/images?")
    message = refused(listing.folder, tmp_path / "a/b")
    assert message.endswith("a/b does not exist, nor does its folder")
    assert "is a file, wanted a folder" in refused(
        listing.folder, tmp_path / "file.csv"
    )


# CSVs


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv(tmp_path):
    grow(tmp_path, "b/1.jpg")
    file = write(
        tmp_path / "my.csv",
        "\ufeffsplit,Path ,label,extra\r\n"
        'train,b/1.jpg,"x, y",7\r\n'
        "TEST,./a//2.jpg,ä b,\r\n\r\n"
        "train,a/../c.jpg,ä b,\r\n"
        "Val,d.jpg,ä b,\r\n",
    )
    found = listing.table(str(file))
    assert (found.name, found.root, found.tests) == ("my", tmp_path, "test")
    assert found.classes == ("x, y", "ä b")
    assert rows(found) == [
        ("b/1.jpg", "x, y", "train"),
        ("a/2.jpg", "ä b", "test"),
        ("c.jpg", "ä b", "train"),
        ("d.jpg", "ä b", "val"),
    ]


def test_a_csv_without_splits(tmp_path):
    grow(tmp_path, "c")
    found = listing.table(write(tmp_path / "my.csv", "path,label\na,1\nb,10\nc,2"))
    assert found.classes == ("1", "10", "2")
    assert found.split == ("", "", "")
    assert found.tests is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", " has the columns none; wanted path, label and, optionally, split"),
        ("path,group\na,1\n", " has the columns path, group; wanted path, label"),
        ("path|label\na|1\n", " has the columns path|label; wanted path, label"),
        (
            "path,lable\na,1\n",
            " has the columns path, lable; wanted path, label and, optionally, split; "
            "call 'lable' 'label' if that is meant",
        ),
        (
            "path,class,category\na,1,2\n",
            " has the columns path, class, category; wanted path, label and, optionally"
            ", split; call that of class and category 'label' which is meant",
        ),
        (
            "a.jpg,cat\nb.jpg,dog\n",
            " has the columns a.jpg, cat; wanted path, label and, optionally, split; "
            "the first line must name the columns: path,label",
        ),
        ("path,label,label\na,1,2\n", " has the columns path, label, label; wanted"),
        ("path,label\n", " has no images, wanted a row per image"),
        ("path,label\na,1\nb,1\n", " has one class, '1'; it takes 2 to tell apart"),
        ("path,label\na,1\nb\n", ", line 3: 1 values for 2 columns"),
        ("path,label\na,1\nb,\n", ", line 3: the label is empty"),
        ("path,label\n,1\n", ", line 2: the path is empty"),
        ("path,label\na,1\n../b,2\n", ", line 3: ../b leaves the folder of the file"),
        ("path,label\na/../../b,2\n", ", line 2: a/../../b leaves the folder"),
        ("path,label\n/etc/b,2\n", ", line 2: /etc/b leaves the folder"),
        ("path,label\na,1\nb,2\n./a,2\n", ", line 4: ./a is there already, in line 2"),
        ("path,label,split\na,1,tset\n", ", line 2: the split is 'tset', wanted train"),
        ("path,label,split\na,1,\n", ", line 2: the split is empty"),
        (
            "path,label,split\na,cat,train\nb,dog,train\nc,cta,test\n",
            ", line 4: the label 'cta' is in no training row; did you mean 'cat'?",
        ),
        (
            "path,label,split\na,1,test\nb,2,test\n",
            ", line 2: the label '1' is in no t",
        ),
        ("path,label\na,cat\nb,Cat\n", ", line 3: the label 'Cat' is spelled 'cat' in"),
        (
            "path,label,set,phase\na,1,train,val\n",
            " has splits in phase and set; call one of them split",
        ),
        (
            "path,label,set\na,1,train\nb,1,7\n",
            ", line 3: the set is '7', wanted",
        ),
        ("path,label\na,1\nb,2\n", ": none of its 2 files is there; the first is a, "),
        ('path,label\n"a,1\n', " cannot be read as a CSV: "),
        (b"path,label\n\xff,1\n", " cannot be read as a CSV: 'utf-8' codec can't"),
    ],
)
def test_csvs_that_cannot_be_learned_from(tmp_path, text, message):
    file = write(tmp_path / "my.csv", text)
    found = refused(listing.table, file)
    assert found.startswith(f"{file}{message}")


def test_a_csv_that_is_not_there(tmp_path):
    write(tmp_path / "mine.csv", "")
    assert refused(listing.table, tmp_path / "mien.csv").endswith("/mine.csv?")
    assert "is a folder, wanted a .csv" in refused(listing.table, tmp_path)


# Arrays


def test_arrays_are_listed_by_file_and_row():
    found = listing.arrays("x", [("a.npz", np.array([0, 2])), ("b.npz", np.array([1]))])
    assert found.classes == ("0", "1", "2")
    assert rows(found) == [
        ("a.npz[0]", "0", "train"),
        ("a.npz[1]", "2", "train"),
        ("b.npz[0]", "1", "test"),
    ]
    assert listing.arrays("x", [("a.npz", np.array([0, 2]))]).tests is None
