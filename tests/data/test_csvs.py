"""Tables as people's programs write them: the same listing, or a line that says why."""

import os

import pytest
from folders import grow, refused, rows

from ltjax.data import listing

COMPOSED, APART = "K\xe4fer", "Ka\u0308fer"
FILES = "in/cat/1.jpg", "in/dog/2.png"
WANTED = [("in/cat/1.jpg", "cat", ""), ("in/dog/2.png", "a dog", "")]


@pytest.fixture
def root(tmp_path):
    return grow(tmp_path / "set", *FILES)


def table(root, text, encoding="utf-8"):
    (root / "my.csv").write_bytes(text.encode(encoding))
    return root / "my.csv"


@pytest.mark.parametrize(
    "text",
    [
        "path,label\nin/cat/1.jpg,cat\nin/dog/2.png,a dog\n",
        "path;label\nin/cat/1.jpg;cat\nin/dog/2.png;a dog\n",
        "path\tlabel\r\nin/cat/1.jpg\tcat\r\nin/dog/2.png\ta dog\r\n",
        'path, label\nin/cat/1.jpg, cat\nin/dog/2.png , "a dog"\n',
        "Filename,Class\nin/cat/1.jpg,cat\nin/dog/2.png,a dog\n",
        "class name,image-path\ncat,in/cat/1.jpg\na dog,in/dog/2.png\n",
        "image_id,path,label,class\n7,in/cat/1.jpg,cat,x\n8,in/dog/2.png,a dog,x\n",
        ",path,label,\n0,in/cat/1.jpg,cat,\n1,in/dog/2.png,a dog,\n,,,\n",
        "path,label\nin\\cat\\1.jpg,cat\nin\\dog/2.png,a dog\n",
        "path,label\nin/cat/1,cat\nin/dog/2,a dog\n",
        "path,label\nIN/cat/1.JPG,cat\nin/Dog/2.PNG,a dog\n",
        "path,label,set\nin/cat/1.jpg,cat,7\nin/dog/2.png,a dog,8\n",
    ],
)
def test_forms_of_a_table(root, text):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert rows(listing.table(table(root, text, encoding))) == WANTED


@pytest.mark.parametrize("column", ["split", "Set", "subset", "phase"])
def test_words_for_splits(root, column):
    grow(root, "in/dog/3.png")
    lines = "in/cat/1,cat,Training\nin/dog/2,a dog,TRAIN\nin/dog/3,a dog,Testing\n"
    found = listing.table(table(root, f"path,label,{column}\n{lines}"))
    assert found.split == ("train", "train", "test")


def test_absolute_paths_inside(root):
    text = "".join(f"{root / file},{at}\n" for at, file in enumerate(FILES))
    found = listing.table(table(root, "path,label\n" + text))
    assert found.paths == FILES
    # And where the folder is called by a link, or the table is.
    link = root.parent / "link"
    link.symlink_to(root, target_is_directory=True)
    assert listing.table(link / "my.csv").paths == FILES
    text = "".join(f"{link / file},{at}\n" for at, file in enumerate(FILES))
    assert listing.table(table(root, "path,label\n" + text)).paths == FILES


@pytest.mark.parametrize(("disk", "text"), [(APART, COMPOSED), (COMPOSED, APART)])
def test_names_of_a_mac(root, disk, text):
    grow(root, f"{disk}/{disk}.jpg")
    lines = f"in/cat/1.jpg,x\n{text}/{text}.jpg,{APART}\nin/dog/2.png,{COMPOSED}\n"
    found = listing.table(table(root, "path,label\n" + lines))
    assert found.paths[1] == f"{disk}/{disk}.jpg"
    assert found.classes == (COMPOSED, "x")


def test_the_name_as_it_is_goes_first(root):
    grow(root, "a\\b.jpg", "a/b.jpg", "c.jpg", "C.JPG", "d", "d.jpg")
    lines = "a\\b.jpg,1\na/b.jpg,2\nc.jpg,1\nC.JPG,2\nd,1\nd.jpg,2\n"
    found = listing.table(table(root, "path,label\n" + lines))
    names = ("a\\b.jpg", "a/b.jpg", "c.jpg", "C.JPG", "d", "d.jpg")
    assert found.paths == names


def test_letters_may_be_classes(root):
    found = listing.table(table(root, "path,label\nin/cat/1.jpg,a\nin/dog/2.png,A\n"))
    assert found.classes == ("A", "a")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            "/else/in/cat/1.jpg",
            "leaves the folder of the file; wanted a path relat",
        ),
        ("/else/in/cat/1.jpg", "; did you mean in/cat/1.jpg?"),
        ("C:\\Users\\me\\in\\cat\\1.jpg", "; did you mean in/cat/1.jpg?"),
        ("..\\set\\in\\cat\\1.jpg", "leaves the folder"),
        ("..\\..\\etc\\passwd", "leaves the folder"),
        ("OUT/1.jpg", "leaves the folder"),
        ("out\\1.jpg", "leaves the folder"),
        ("{root}/out/1.jpg", "leaves the folder"),
        ("{root}/../1.jpg", "leaves the folder"),
        ("{root}x/1.jpg", "leaves the folder"),
        ("two/a", "may be a.jpg or a.png; give the whole name"),
        ("two/B.jpg", "may be b.JPG or b.jpg; give the whole name"),
    ],
)
def test_paths_that_are_refused(root, path, says):
    grow(root.parent, "1.jpg")
    grow(root, "two/a.jpg", "two/a.png", "two/b.jpg", "two/b.JPG")
    (root / "OUT").symlink_to("..", target_is_directory=True)
    (root / "out").symlink_to("..", target_is_directory=True)
    path = path.format(root=root)
    file = table(root, f"path,label\nin/cat/1.jpg,cat\n{path},b\n")
    message = refused(listing.table, file)
    assert message.startswith(f"{file}, line 3: {path}")
    assert says in message


def test_no_name_in_another_case_leads_out(root):
    """What lies outside is not found by a near name, and nothing there is looked up."""
    secret = grow(root.parent, "secret/1.jpg") / "secret"
    (root / "Link").symlink_to(secret, target_is_directory=True)
    (root / "file.jpg").symlink_to(secret / "1.jpg")
    lines = "in/cat/1.jpg,a\nin/dog/2.png,b\nlink/1.jpg,b\nlink/1,b\nFILE.JPG,b\n"
    file = table(root, "path,label\n" + lines)
    assert ", line 6: FILE.JPG leaves the folder" in refused(listing.table, file)
    file = table(root, "path,label\n" + lines.replace("FILE.JPG,b\n", ""))
    found = listing.table(file)
    for path in found.paths[2:]:
        assert not os.path.exists(root / path)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("cat/1.jpg", "; did you mean in/cat/1.jpg?"),
        ("1.jpg", "; did you mean in/cat/1.jpg?"),
        ("set/in/cat/1.jpg", "; did you mean in/cat/1.jpg?"),
        ("cow/1.jpg", "a path relative to the folder of the file; did you mean 1.jpg?"),
        ("cow.jpg", "a path relative to the folder of the file"),
    ],
)
def test_a_table_of_which_nothing_is_there(root, path, hint):
    if path.startswith("cow/"):
        grow(root, "1.jpg")
    message = refused(listing.table, table(root, f"path,label\n{path},1\nb.jpg,2\n"))
    assert f"none of its 2 files is there; the first is {path}, wanted" in message
    assert message.endswith(hint)


def test_a_file_that_is_missing_among_others_is_listed(root):
    text = "path,label\nin/cat/1.jpg,cat\nin/dog/2.png,dog\nin/dog/3.png,dog\n"
    assert listing.table(table(root, text)).paths[2] == "in/dog/3.png"


def test_text_that_is_not_utf8_says_how_to_save_it(root):
    file = table(root, "path,label\nin/cat/1.jpg,K\xe4fer\n", "latin-1")
    assert refused(listing.table, file).endswith("; save it as UTF-8")
