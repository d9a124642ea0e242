"""What is known beside an image, as numbers, against plain formulas."""

import datetime
import math

import numpy as np
import pytest

from ltjax.data import columns, dates, meta
from ltjax.data.columns import Table
from ltjax.mistake import Mistake


def table(*words, **cells):
    count = len(next(iter(cells.values())))
    return Table("a.csv", list(range(2, 2 + count)), cells, words)


def learned(*words, **cells):
    return columns.learned(table(*words, **cells))


@pytest.mark.parametrize("pair", [(0, 0), (90, 0), (-33.9, 151.2), (51.5, -0.1)])
def test_places_on_a_sphere(pair):
    north, east = np.radians(np.float64(pair))
    wanted = [
        math.cos(north) * math.cos(east),
        math.cos(north) * math.sin(east),
        math.sin(north),
    ]
    got = meta.spatial(*pair)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, atol=1e-7)
    np.testing.assert_allclose(np.square(got).sum(), 1, rtol=1e-6)
    np.testing.assert_array_equal(meta.spatial(*map(str, pair)), got)


def test_places_lie_as_far_as_on_the_globe():
    # Sydney and Auckland, by the law of cosines.
    (a, b), (c, d) = np.radians([[-33.87, 151.21], [-36.85, 174.76]])
    wanted = math.sin(a) * math.sin(c) + math.cos(a) * math.cos(c) * math.cos(b - d)
    got = meta.spatial(-33.87, 151.21) @ meta.spatial(-36.85, 174.76)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    # A longitude is the same after a turn, and none at the poles.
    np.testing.assert_allclose(meta.spatial(5, -30), meta.spatial(5, 330), atol=1e-6)
    np.testing.assert_allclose(meta.spatial(90, 7), meta.spatial(90, 100), atol=1e-6)


@pytest.mark.parametrize("nothing", [None, "", "nan", "north", float("nan"), math.inf])
def test_a_place_without_either_part_is_zero(nothing):
    assert not meta.spatial(nothing, 5).any()
    assert not meta.spatial(5, nothing).any()


def test_zero_degrees_are_a_place():
    assert meta.spatial(0, 0).tolist() == [1, 0, 0]
    assert meta.spatial(12.0, 0.0).any()


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ((91, 0), "latitude is 91; it must be in -90..90 degrees"),
        ((-90.5, 0), "latitude is -90.5"),
        ((91, None), "latitude is 91"),
        ((0, 361), "longitude is 361; it must be in -180..360 degrees"),
    ],
)
def test_degrees_that_there_are_not(pair, told):
    with pytest.raises(Mistake, match=told):
        meta.spatial(*pair)


@pytest.mark.parametrize("month", [1, 3, 6, 12])
@pytest.mark.parametrize("hour", [0, 5, 23])
def test_months_and_hours_on_circles(month, hour):
    text = f"2018-{month:02}-28 {hour:02}:59:59"
    m, h = 2 * np.pi * month / 12, 2 * np.pi * hour / 24
    wanted = [np.sin(m), np.cos(m), np.sin(h), np.cos(h)]
    np.testing.assert_allclose(meta.temporal(text), wanted, atol=1e-6)


def test_days_and_seconds_on_circles():
    wanted = 2 * np.pi * np.array([31 / 365.25, (14 * 3600 + 90) / 86400])
    got = meta.finer("2019-02-01 14:01:30")
    np.testing.assert_allclose(got[0::2], np.sin(wanted), atol=1e-6)
    np.testing.assert_allclose(got[1::2], np.cos(wanted), atol=1e-6)
    near = meta.finer("2018-12-31"), meta.finer("2019-01-01")
    assert np.abs(near[0] - near[1]).max() < 0.025


def test_hours_that_are_not_told_are_zero():
    for text in ("2018-05-13", "13 May 2018", "5/13/18", "2018-05"):
        assert meta.temporal(text)[2:].tolist() == [0, 0]
        np.testing.assert_allclose(
            meta.temporal(text)[:2], [0.5, -(0.75**0.5)], atol=1e-6
        )
    assert meta.temporal("2018-05-13 00:00:00")[2:].tolist() == [0, 1]


@pytest.mark.parametrize("text", [None, "", "NA", "spring", "2018", "12", "2018-13-01"])
def test_what_is_no_date_is_zero(text):
    assert meta.temporal(text).tolist() == [0, 0, 0, 0]


DAY = datetime.date(2018, 5, 13)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2018-05-13", None),
        ("2018/5/13", None),
        ("20180513", None),
        ("13.05.2018", None),
        ("13/5/18", None),
        ("5/13/2018", None),
        ("May 13, 2018", None),
        ("13 May 2018", None),
        ("13-May-2018", None),
        ("2018-05-13 14:30", 52200),
        ("2018-05-13T14:30:00", 52200),
        ("2018-05-13T14:30:00Z", 52200),
        ("2018-05-13 14:30:00.25+02:00", 52200.25),
        ("2018:05:13 14:30:00", 52200),
        ("Sun May 13 14:30:00 2018", 52200),
        ("Sunday, 13 May 2018 2:30 PM", 52200),
        ("13/05/2018 2:30 pm", 52200),
        ("20180513T143000", 52200),
        ("1526221800", 52200),
        ("1526221800000", 52200),
    ],
)
def test_usual_spellings_of_dates(text, seconds):
    assert dates.parsed(text) == (DAY, seconds)


def test_the_order_of_dates_is_that_of_their_column():
    assert dates.parsed("5/6/2018").date.month == 5
    assert dates.parsed("5/6/2018", day_first=True).date.month == 6
    assert dates.parsed("2018-05-06", day_first=True).date.month == 5
    for cells, day_first in (
        (["5/6/2018", "13/7/2018"], True),
        (["5/6/2018", "6/13/2018"], False),
        (["5/6/2018", "6/7/2018"], False),
        (["5.6.2018", "6.7.2018"], True),
    ):
        (part,) = learned("date", date=cells)
        assert part.day_first == day_first
        month = 6 if day_first else 5
        row = meta.encoded((part,), table(date=cells[:1]))[0]
        np.testing.assert_allclose(row[0], np.sin(2 * np.pi * month / 12), atol=1e-6)


CELLS = {
    "latitude": ["1", "2", "", "4", "5", "0"],
    "lon": ["1", "2", "3", "x", "5", "0"],
    "date": ["13/5/2018", "1/2/2018", "", "2/2/2019", "3/4/2012", "5/5/2015"],
    "site": ["b", "a", "b", "unknown", "", "c"],
    "age": ["1", "2,5", "NA", "4", "7", "9"],
}
WORDS = ("site", "latitude", "lon", "age", "date")


def test_kinds_are_told_by_names_and_cells():
    kinds = [columns.told(name, cells) for name, cells in CELLS.items()]
    assert kinds == ["latitude", "longitude", "time", "category", "number"]
    assert columns.told("lens", ["12", "35", "50"]) == "number"
    assert columns.told("day", ["20180513", "20180514"]) == "time"
    assert columns.told("x", ["2018-05-13"] * 30 + ["soon"]) == "time"
    assert columns.told("x", ["2018-05-13"] * 3 + ["soon"]) == "category"


def test_columns_become_numbers():
    given = table(*WORDS, **CELLS)
    parts = columns.learned(given)
    assert [part.kind for part in parts] == ["time", "place", "category", "number"]
    assert [part.width for part in parts] == [4, 3, 4, 1]
    assert parts[2].known == ("a", "b", "c", "unknown")
    rows = meta.encoded(parts, given)
    assert rows.shape == (6, meta.width(parts))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[0, :4], meta.temporal("13/5/2018"))
    np.testing.assert_array_equal(rows[0, 4:7], meta.spatial(1, 1))
    assert not rows[2:4, 4:7].any()
    assert rows[5, 4:7].tolist() == [1, 0, 0]
    assert rows[:, 7:11].argmax(1).tolist() == [1, 0, 1, 3, 0, 2]
    assert rows[:, 7:11].sum(1).tolist() == [1, 1, 1, 1, 0, 1]
    ages = np.array([1, 2.5, 4, 7, 9])
    wanted = (ages - ages.mean()) / ages.std()
    np.testing.assert_allclose(rows[[0, 1, 3, 4, 5], 11], wanted, rtol=1e-6)
    assert rows[2, 11] == 0
    assert meta.silent(parts, given) == dict.fromkeys(
        ("date", "latitude", "lon", "site", "age"), 1
    )


def test_other_rows_are_seen_as_those_were_that_trained():
    parts = learned(*WORDS, **CELLS)
    new = table(latitude=["7"], date=["4/5/2018"], site=["d"], age=["100"])
    row = meta.encoded(parts, new)[0]
    np.testing.assert_allclose(row[0], np.sin(2 * np.pi * 5 / 12), atol=1e-6)
    assert not row[4:11].any()  # no longitude, and a site that was never seen
    assert row[11] == pytest.approx((100 - 4.7) / np.std([1, 2.5, 4, 7, 9]))
    assert meta.silent(parts, new) == {
        "date": 0,
        "latitude": 0,
        "lon": 1,
        "site": 0,
        "age": 0,
    }


def test_a_kind_may_be_given():
    parts = learned("age:category", "date:day", **CELLS)
    assert [part.kind for part in parts] == ["day", "category"]
    assert parts[1].width == 5
    place = learned("y:latitude", "x:longitude", y=["1", "2"], x=["3", "4"])
    assert place[0].columns == ("y", "x")
    assert columns.asked(("Taken At:time", " GPS-lat ")) == [
        ("taken_at", "time"),
        ("gps_lat", None),
    ]


def test_numbers_of_any_size_are_standardised():
    cells = ["1e200", "-1e200", "3e200", "0"]
    (part,) = learned("size", size=cells)
    rows = meta.encoded((part,), table(size=cells))
    np.testing.assert_allclose([rows.mean(), rows.std()], [0, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("words", "cells", "told"),
    [
        (
            ("latitude", "longitude"),
            {"latitude": ["1", "91"], "longitude": ["1", "2"]},
            "a.csv, line 3: latitude is 91; it must be in -90..90 degrees",
        ),
        (
            ("site",),
            {"site": ["arm", "arm", ""]},
            "a.csv: site has the value 'arm' only in all 3 rows to train on, so it "
            "tells no class from another; leave it out of data.meta",
        ),
        (("age",), {"age": ["7", "7"]}, "a.csv: age has the value '7.0' only"),
        (("age",), {"age": ["", "na"]}, "a.csv: age says nothing in all 2 rows"),
        (
            ("date",),
            {"date": ["2018-05-13", "2018-05-13"]},
            "a.csv: date says the same in all 2 rows",
        ),
        (
            ("id",),
            {"id": [f"n{at}" for at in range(10_000)]},
            "a.csv: id has 10,000 values among 10,000 rows to train on; a category "
            "may have 1,000: leave it out, or give its kind as one of id:time, "
            "id:number",
        ),
        (
            ("date",),
            {"date": ["1/2/2018", "13/5/2018", "5/13/2018"]},
            "a.csv: date has the day first in line 3, '13/5/2018', and the month in "
            "line 4, '5/13/2018'; wanted one order, best 2018-05-13",
        ),
        (
            ("site:number",),
            {"site": ["arm", "leg", "7"]},
            "a.csv, line 2: site is 'arm', as are 2 of 3 no numbers; data.meta "
            "site:number asks for numbers",
        ),
        (
            ("latitude",),
            {"latitude": ["1", "2"]},
            "data.meta has the latitude 'latitude' without a longitude; a place takes "
            "both, or give latitude:number",
        ),
        (
            ("lat", "latitude", "lon"),
            {"lat": ["1", "2"], "latitude": ["1", "2"], "lon": ["1", "2"]},
            "data.meta has the latitude twice: lat and latitude",
        ),
        (("age:size",), {"age": ["1"]}, "data.meta has 'age:size'; its kind must be"),
        (("age", "Age"), {"age": ["1"]}, "data.meta has 'age' twice"),
        ((":time",), {"age": ["1"]}, "data.meta has ':time'; wanted COLUMN"),
    ],
)
def test_mistakes(words, cells, told):
    with pytest.raises(Mistake) as caught:
        learned(*words, **cells)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_a_column_that_is_not_there():
    with pytest.raises(Mistake) as caught:
        columns.check_there("a.csv", ["latitud"], ["path", "label", "latitude"])
    assert str(caught.value) == (
        "data.meta has 'latitud', and a.csv has the columns path, label, latitude; "
        "did you mean latitude?"
    )
