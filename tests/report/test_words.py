import numpy as np
import pytest
import written

from ltjax.report import words
from ltjax.workdir.rows import Row


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return written.write(tmp_path_factory.mktemp("words") / "run", each=40)


def with_right(run, share, other):
    """`run` with so many of 200 images right in two rows, those of the one in both."""
    right = np.arange(200) < [[share], [other]]
    wrong = (run.labels + 1) % 5
    both = {"swa-srepr": right[0], "swa-la": right[1]}
    predicted = {
        name: run.predicted[name]._replace(label=np.where(each, run.labels, wrong))
        for name, each in both.items()
    }
    return run._replace(predicted={**run.predicted, **predicted})


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((150, 150), "as often right as SWA + LA, ±_0.0 points"),
        (
            (152, 150),
            "1.0 ±_0.7 points above SWA + LA, which may be chance",
        ),
        (
            (120, 150),
            "15.0 ±_2.5 points below SWA + LA, more than chance",
        ),
    ],
)
def test_a_difference_is_told_with_what_chance_would_do(run, shares, said):
    said = said.replace("_", "\N{NO-BREAK SPACE}")
    assert f"On all images it is {said} (" in words.summary(with_right(run, *shares))


@pytest.mark.parametrize(
    ("confidence", "said"),
    [
        (0.75, "SWA + SRepr is about as sure as it is right (ECE"),
        (0.9, "SWA + SRepr is surer than it is right by 15.0 points (ECE"),
        (0.5, "SWA + SRepr is less sure than it is right by 25.0 points (ECE"),
    ],
)
def test_sureness_is_told_by_its_sign(run, confidence, said):
    run = with_right(run, 150, 150)
    sure = np.full(200, confidence, np.float32)
    row = run.predicted["swa-srepr"]._replace(confidence=sure)
    run = run._replace(predicted={**run.predicted, "swa-srepr": row})
    assert said in words.summary(run)


def test_figures_are_those_of_the_results(run):
    rows = {Row.of(row).key: row for row in run.results["rows"]}
    row, before = rows["swa-srepr"], rows["swa-none"]
    text = words.summary(run)
    start = (
        f"SWA + SRepr is right on {row['acc']['all']:.1f} % of the 200 test images: "
    )
    assert text.startswith(
        f"{start}{row['acc']['many']:.1f} % in the 1 many-shot class (more than 100 "
        f"training images), {row['acc']['medium']:.1f} % in the 2 medium-shot"
    )
    gain = row["acc"]["few"] - before["acc"]["few"]
    assert f"that is {words.signed(gain)} points in the few-shot classes" in text
    single = [row for row in rows.values() if row["backbone"] != "swag"]
    assert f"the lowest NLL ({min(row['nll'] for row in single):.3f})" in text
    assert words.signed(-1.25, 2) == "−1.25"
    assert words.signed(1.25, 2) == "+1.25"


@pytest.mark.parametrize(
    ("best", "said"),
    [
        (
            {"all": ["swa-la"], "nll": ["swa-none"], "ece": ["swa-srepr"]},
            "SWA + LA has the highest accuracy (99.0 %), SWA the lowest NLL (0.010) "
            "and SWA + SRepr the lowest ECE (0.010).",
        ),
        (
            {"all": ["swa-la"], "nll": ["swa-srepr"], "ece": ["swa-srepr"]},
            "SWA + LA has the highest accuracy (99.0 %) and SWA + SRepr the lowest "
            "NLL (0.010) and the lowest ECE (0.010).",
        ),
        (
            {"all": ["sgd-none", "swa-la"], "nll": ["swa-la"], "ece": ["swa-none"]},
            "SGD and 1 other have the highest accuracy (99.0 %), SWA + LA the lowest "
            "NLL (0.010) and SWA the lowest ECE (0.010).",
        ),
        (
            {
                "all": ["sgd-none", "swa-la", "swa-srepr"],
                "nll": ["sgd-none"],
                "ece": ["swa-none"],
            },
            "SGD and 2 others have the highest accuracy (99.0 %), SGD the lowest NLL "
            "(0.010) and SWA the lowest ECE (0.010).",
        ),
    ],
)
def test_the_best_rows_are_named_once_and_equal_ones_are_counted(run, best, said):
    def changed(row):
        key = Row.of(row).key
        # A hair apart, as sums of shares are: the table does not tell it.
        right = 99 + 1e-13 * (key == "swa-la") if key in best["all"] else 50.0
        figures = {name: 0.01 if key in best[name] else 0.5 for name in ("nll", "ece")}
        return {**row, **figures, "acc": {**row["acc"], "all": right}}

    rows = [changed(row) for row in run.results["rows"]]
    text = words.summary(run._replace(results={**run.results, "rows": rows}))
    assert text.endswith(f"Of all rows of a single pass, {said}")
