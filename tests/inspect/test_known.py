"""What inspect says of the columns of a CSV, and which of them it proposes."""

import numpy as np
import pytest

from ltjax.inspect import known
from ltjax.mistake import Mistake

LABELS = np.repeat([0, 1, 2], 8)


@pytest.fixture
def file(tmp_path):
    """24 rows of three classes."""
    rng = np.random.default_rng(0)
    columns = {
        "path": [f"{at}.png" for at in range(24)],
        "label": [f"c{label}" for label in LABELS],
        "split": ["train"] * 24,
        "number": [str(at) for at in range(24)],
        "code": [f"k{label}" for label in LABELS],
        "shot": [f"x{at}" for at in range(24)],
        "date": [f"2018-{1 + at % 12:02}-01" if at % 5 else "" for at in range(24)],
        "lat": [f"{value:.1f}" for value in rng.uniform(-50, 50, 24)],
        "lon": [f"{value:.1f}" for value in rng.uniform(-50, 50, 24)],
        "site": ["arm", "leg", "back"] * 8,
        "weight": [f"{value:.2f}" for value in rng.uniform(1, 9, 24)],
        "camera": ["one"] * 24,
        "decimallongitude": ["1.5", "2.5"] * 12,
    }
    path = tmp_path / "my.csv"
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values()))]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_what_tells_something_is_proposed(file):
    text = file.read_text().replace("decimallongitude", "spare")
    file.write_text(text)
    found = {each["column"]: each for each in known.looked_at(file, LABELS)}
    kinds = {name: each["kind"] for name, each in found.items()}
    assert kinds == {
        "number": "number",
        "code": "category",
        "shot": "category",
        "date": "time",
        "lat": "latitude",
        "lon": "longitude",
        "site": "category",
        "weight": "number",
        "camera": "category",
        "spare": "number",
    }
    why = {name: each["left_out"] for name, each in found.items()}
    assert why["number"] == "counts the rows"
    assert why["code"].startswith("tells the label of every row that has it")
    assert why["shot"] == "is another in every row"
    assert why["camera"].startswith("camera has the value 'one' only in all 24 rows")
    assert found["date"]["missing"] == 5
    assert known.proposed(found.values()) == (
        *("date", "lat", "lon", "site", "weight", "spare"),
    )


def test_half_a_place_is_left_out(file):
    found = {each["column"]: each for each in known.looked_at(file, LABELS)}
    assert found["lat"]["left_out"] == "is a latitude without the other part of a place"
    assert "lon" not in known.proposed(found.values())


def test_kinds_and_columns_may_be_given(file):
    words = "date:day", "code", "lat:number"
    found = known.looked_at(file, LABELS, words)
    assert known.proposed(found) == ("code", "date:day", "lat:number")
    others = {each["column"]: each["left_out"] for each in found}
    assert others["site"] == "was not asked for"
    with pytest.raises(Mistake, match=r"data\.meta has 'sight', and"):
        known.looked_at(file, LABELS, ("sight",))
    with pytest.raises(Mistake, match="camera has the value 'one' only"):
        known.looked_at(file, LABELS, ("camera",))
