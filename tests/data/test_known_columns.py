"""Metadata of listed images and of new ones, from files to arrays."""

import numpy as np
import pytest
from folders import grow

from ltjax.data import beside, columns, listing, meta, resident
from ltjax.mistake import Mistake

HEAD = "path,label,split,Date taken,site,latitude,longitude\n"
TRAIN = [
    ("a/1.png", "cat", "train", "2018-05-13", "arm", "1", "2"),
    ("a/2.png", "cat", "train", "2018-06-13", "leg", "", "5"),
    ("b/1.png", "dog", "train", "2018-07-13", "leg", "3", "4"),
    ("b/2.png", "dog", "train", "", "arm", "5", "6"),
]
TEST = [
    ("a/3.png", "cat", "test", "2018-05-13", "back", "7", "8"),
    ("b/3.png", "dog", "test", "2018-05-14", "leg", "0", "0"),
]
WORDS = "latitude", "longitude", "date_taken", "site"


@pytest.fixture
def root(tmp_path):
    return grow(tmp_path / "set", *(row[0] for row in TRAIN + TEST))


def written(root, rows, head=HEAD, name="my.csv"):
    (root / name).write_text(head + "".join(",".join(row) + "\n" for row in rows))
    return root / name


def test_splits_have_what_is_known_of_their_rows(root):
    files = listing.table(written(root, TEST + TRAIN), meta=WORDS)
    images, looks = (
        np.zeros((6, 8, 8, 3), np.uint8),
        [bytes([n]) * 32 for n in range(6)],
    )
    data = resident.assembled(files, images, looks, 1)
    assert [part.columns for part in data.beside] == [
        ("date_taken",),
        ("latitude", "longitude"),
        ("site",),
    ]
    # What only the test has is not learned.
    assert data.beside[2].known == ("arm", "leg")
    assert data.train.meta.shape == (4, 9)
    np.testing.assert_array_equal(data.train.meta[0, :4], meta.temporal("2018-05-13"))
    np.testing.assert_array_equal(data.test.meta[0, 4:7], meta.spatial(7, 8))
    assert data.test.meta[:, 7:].tolist() == [[0, 0], [0, 1]]
    assert data.silent == {
        "date_taken": 1,
        "latitude": 1,
        "longitude": 0,
        "site": 0,
    }
    assert listing.table(root / "my.csv").beside is None


def refused(call, *args):
    with pytest.raises(Mistake) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_column_that_is_not_there_is_refused(root):
    told = refused(listing.table, written(root, TRAIN), None, ("sight",))
    assert told == (
        f"data.meta has 'sight', and {root}/my.csv has the columns path, label, split, "
        "date_taken, site, latitude, longitude; did you mean site?"
    )


def test_what_is_wrong_is_told_before_images_are_read(root):
    rows = [*TRAIN[:-1], (*TRAIN[-1][:5], "91", "6")]
    told = refused(listing.table, written(root, rows), None, WORDS)
    assert told == f"{root}/my.csv, line 5: latitude is 91; it must be in -90..90 " + (
        "degrees"
    )


def parts(root):
    files = listing.table(written(root, TRAIN), meta=WORDS)
    return columns.learned(files.beside)


def test_new_images_are_read_as_those_were(root):
    learned = parts(root)
    rows = [(row[0], *row[3:]) for row in TEST]
    file = written(root, rows, "path,date taken,site,latitude,longitude\n", "new.csv")
    found, silent = beside.of_csv(file, learned)
    np.testing.assert_array_equal(found[0, :4], meta.temporal("2018-05-13"))
    np.testing.assert_array_equal(found[1, 4:7], meta.spatial(0, 0))
    assert found[:, 7:].tolist() == [[0, 0], [0, 1]]
    assert set(silent.values()) == {0}
    assert beside.of_csv(file, ()) == (None, None)


def test_columns_that_new_images_lack(root):
    learned = parts(root)
    rows = [(row[0], row[4]) for row in TEST]
    file = written(root, rows, "path,site\n", "new.csv")
    found, silent = beside.of_csv(file, learned)
    assert not found[:, :7].any()
    assert silent == {"date_taken": 2, "latitude": 2, "longitude": 2, "site": 0}
    bare = written(root, [row[:1] for row in TEST], "path\n", "bare.csv")
    assert beside.of_csv(bare, learned) == (None, None)


def test_new_cells_of_another_kind_are_refused(root):
    learned = parts(root)
    rows = [(row[0], "soon") for row in TEST]
    file = written(root, rows, "path,date_taken\n", "new.csv")
    told = refused(beside.of_csv, file, learned)
    assert told == (
        f"{root}/new.csv, line 2: date_taken is 'soon', as are 2 of 2 no dates; the "
        "run has learned dates"
    )
    rows = [(row[0], "north", "east") for row in TEST]
    file = written(root, rows, "path,latitude,longitude\n", "new.csv")
    assert "the run has learned degrees" in refused(beside.of_csv, file, learned)


def test_arrays_of_new_images(tmp_path):
    learned = meta.vector(3)
    image = np.zeros((2, 8, 8, 3), np.uint8)
    file = tmp_path / "new.npz"
    np.savez(file, image=image, meta=np.ones((2, 3)))
    found, silent = beside.of_arrays(file, 2, learned)
    assert found.dtype == np.float32
    assert found.shape == (2, 3)
    assert silent == {}
    np.savez(file, image=image)
    assert beside.of_arrays(file, 2, learned) == (None, None)
    np.savez(file, image=image, meta=np.ones((2, 4)))
    told = refused(beside.of_arrays, file, 2, learned)
    assert told == (
        f"{file}: 'meta' has 4 numbers of each image; the run has learned 3"
    )
    np.savez(file, image=image, meta=np.full((2, 3), np.nan))
    assert "'meta' is not finite in row 0" in refused(
        beside.of_arrays, file, 2, learned
    )


def test_all_rows_tell_in_what_order_dates_are_written():
    cells = ["5/6/2018", "7/7/2018", "13/7/2018", "14/8/2018"]
    whole = columns.Table("x.csv", [2, 3, 4, 5], {"date": cells}, ("date",))
    (alone,), (part,) = (
        columns.learned(whole.of([0, 1]), rows) for rows in (None, whole)
    )
    assert not alone.day_first
    assert part.day_first
    columns.check_order(part, whole)
    with pytest.raises(Mistake, match=r"x.csv, line 4: date is '13/7/2018'; the run"):
        columns.check_order(alone, whole)
