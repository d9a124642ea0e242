"""docs/results.md says what the result files say."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import results_page

    return results_page


def test_the_page_agrees_with_the_result_files(page):
    assert page.PAGE.read_text(encoding="utf-8") == page.page()
    for about in page.SECTIONS:
        assert (page.FIGURES / f"figure3_{about.name}.png").exists()


ROWS = [
    ("sgd", "none", ""),
    ("sgd", "la", ""),
    ("swa", "none", ""),
    ("swa", "la", ""),
    ("swa", "srepr", ""),
    ("swa", "srepr", "b"),
    ("swag", "srepr", ""),
]


def line(seed, row, **changes):
    rng = np.random.default_rng([seed, ROWS.index(row)])
    acc = {name: 100 * rng.random() for name in ("many", "medium", "few", "all")}
    return {
        "config": "tiny",
        "settings": "abc",
        "seed": seed,
        "commit": "0123456789",
        "dataset": "set",
        "holdout": 5,
        "device": "cpu",
        **dict(zip(("backbone", "classifier", "variant"), row)),
        "acc": acc,
        "nll": rng.random(),
        "ece": rng.random(),
        "brier": rng.random(),
        "group_ece": {"many": None, "medium": rng.random(), "few": rng.random()},
        "temperature": 1.5,
        "nll_scaled": rng.random(),
        "ece_scaled": rng.random(),
        "best_epoch": {"epoch": 3, "all": 99.0} if row[1] == "la" else None,
        **changes,
    }


def write(page, monkeypatch, tmp_path, lines, kind="table2"):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / f"{kind}_x.jsonl").write_text(text)


def test_means_deviations_and_the_best_of_one_pass(page, monkeypatch, tmp_path):
    lines = [line(seed, row) for seed in (0, 1, 2) for row in ROWS]
    for one in lines:
        if one["backbone"] == "swag":
            one["nll"] = 0.0  # the best, but of many passes
    write(page, monkeypatch, tmp_path, lines)
    rows = page.of_rows(page.lines_of("table2_x.jsonl", (0, 1, 2)))
    text = page.table(rows, page.MAIN)
    cells = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines()[2:]
    ]
    assert [row[0] for row in cells][3:6] == [
        "SWA + LA",
        "SWA + SRepr",
        "SWA + SRepr (b)",
    ]
    nll = [[line["nll"] for line in rows[row]] for row in ROWS]
    for found, values in zip(cells, nll):
        expected = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
        assert found[5].strip("*") == expected
    bold = [row[5].startswith("**") for row in cells]
    best = np.argmin([np.mean(values) for values in nll[:-1]])
    assert bold == [i == best for i in range(len(ROWS))]
    beside = page.table(rows, page.BESIDE)
    assert "| – |" in beside
    assert "99.00 ± 0.00" in beside


def test_srepr_is_compared_by_a_paired_test(page, monkeypatch, tmp_path):
    lines = [line(seed, row) for seed in (0, 1, 2) for row in ROWS]
    write(page, monkeypatch, tmp_path, lines)
    rows = page.of_rows(page.lines_of("table2_x.jsonl", (0, 1, 2)))
    ours, la = (
        [one["nll"] for one in rows[row]] for row in (("swa", "srepr", ""), ROWS[3])
    )
    expected = stats.ttest_rel(ours, la)
    found = next(
        row for row in page.against(rows).splitlines() if row.startswith("| SWA + LA |")
    )
    cells = [cell.strip() for cell in found.split("|")]
    assert float(cells[4]) == pytest.approx(np.mean(ours) - np.mean(la), abs=6e-4)
    assert float(cells[5]) == pytest.approx(expected.pvalue, abs=6e-4)


def test_the_pattern_is_judged_by_the_figures(page):
    def rows(nll, ece):
        made = {row: [line(0, row)] for row in ROWS}
        for row, acc in zip(ROWS, (30, 35, 30.4, 36, 36.5, 36, 99)):
            made[row][0]["acc"] = {"all": acc, "few": 2 * acc - 55}
        made["swa", "srepr", ""][0] |= {"nll": nll, "ece": ece}
        made["swa", "la", ""][0] |= {"nll": 0.5, "ece": 0.2}
        return made

    def verdicts(text):
        return [row.split("|")[-2].strip() for row in text.splitlines()[2:]]

    good = verdicts(page.pattern(rows(0.0, 0.0), {"probability": -0.7}))
    assert good == ["yes"] * 11
    bad = verdicts(page.pattern(rows(0.49, 0.11), {"probability": -0.4}))
    assert bad[3] == bad[4] == bad[-1] == "no"


@pytest.mark.parametrize(
    ("lines", "seeds", "words"),
    [
        (None, (0,), "table2_x.jsonl does not exist"),
        (
            [line(0, ROWS[0]), line(1, ROWS[0], settings="other")],
            (0, 1),
            "table2_x.jsonl mixes configs: tiny (abc), tiny (other)",
        ),
        (
            [line(0, ROWS[0])],
            (0, 1, 2),
            "table2_x.jsonl lacks seed 1, 2 of the 3 asked for",
        ),
        (
            [line(0, ROWS[0]), line(3, ROWS[0])],
            (0,),
            "table2_x.jsonl has seed 3, which the page leaves out",
        ),
    ],
)
def test_what_would_mix_or_miss_is_refused(
    page, monkeypatch, tmp_path, lines, seeds, words
):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    if lines:
        write(page, monkeypatch, tmp_path, lines)
    with pytest.raises(page.Mistake) as caught:
        page.lines_of("table2_x.jsonl", seeds)
    assert words in str(caught.value)


def test_a_row_without_one_of_the_seeds_is_refused(page):
    with pytest.raises(page.Mistake, match="row swa-la lacks a seed"):
        page.of_rows({0: [line(0, ROWS[3]), line(0, ROWS[0])], 1: [line(1, ROWS[0])]})
