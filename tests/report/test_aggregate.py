import copy
import json
import statistics

import numpy as np
import pytest

from ltjax.mistake import Mistake
from ltjax.report.aggregate import aggregate, moments

NAMES = [("sgd", "none", ""), ("swa", "srepr", ""), ("swa", "srepr", "b")]


def row(name, rng):
    return {
        **dict(zip(("backbone", "classifier", "variant"), name)),
        "acc": {"many": None, "few": 100 * rng.random(), "all": 100 * rng.random()},
        "nll": rng.random(),
        "seconds": rng.random(),
    }


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    return [{"rows": [row(name, rng) for name in NAMES]} for _ in range(4)]


def test_means_and_deviations_of_a_sample(runs):
    found = aggregate(runs)
    assert [tuple(row.values())[:3] for row in found] == NAMES
    for at, row in enumerate(found):
        for figure, values in (
            (row["nll"], [run["rows"][at]["nll"] for run in runs]),
            (row["seconds"], [run["rows"][at]["seconds"] for run in runs]),
            (row["acc"]["all"], [run["rows"][at]["acc"]["all"] for run in runs]),
        ):
            assert figure["mean"] == pytest.approx(statistics.mean(values), rel=1e-12)
            assert figure["std"] == pytest.approx(statistics.stdev(values), rel=1e-12)
        assert row["acc"]["many"] == {"mean": None, "std": None}
    json.dumps(found, allow_nan=False)


def test_the_order_of_runs_and_of_their_rows_does_not_matter(runs):
    shuffled = copy.deepcopy(runs[::-1])
    for run in shuffled[:-1]:
        run["rows"].reverse()
    last = aggregate([shuffled[-1], *shuffled[:-1]])
    for one, other in zip(aggregate(runs), last):
        assert one["nll"] == pytest.approx(other["nll"], rel=1e-12)
        assert one["backbone"] == other["backbone"]


def test_equal_runs_do_not_deviate_and_one_run_has_no_deviation(runs):
    for row, own in zip(aggregate([runs[0]] * 3), runs[0]["rows"]):
        assert row["nll"] == pytest.approx({"mean": own["nll"], "std": 0}, abs=1e-12)
    for row, own in zip(aggregate(runs[:1]), runs[0]["rows"]):
        assert row["nll"] == {"mean": own["nll"], "std": None}
    assert aggregate([]) == []


def test_a_figure_that_one_run_lacks_is_none(runs):
    runs[2]["rows"][0]["nll"] = None
    del runs[1]["rows"][1]["acc"]
    found = aggregate(runs)
    assert found[0]["nll"] == found[1]["acc"]["all"] == {"mean": None, "std": None}
    assert found[0]["acc"]["all"]["std"] > 0


def test_each_expert_has_its_moments(runs):
    values = [[0.5, 2.0], [1.5, 4.0], [2.5, 9.0], [3.5, 1.0]]
    for run, nlls in zip(runs, values):
        run["rows"][0]["experts"] = [{"nll": x, "acc": {"all": -x}} for x in nlls]
    first, _, other = aggregate(runs)
    assert "experts" not in other
    for at, expert in enumerate(first["experts"]):
        of_runs = [row[at] for row in values]
        mean, std = statistics.mean(of_runs), statistics.stdev(of_runs)
        assert expert["nll"] == {"mean": mean, "std": pytest.approx(std, rel=1e-12)}
        assert expert["acc"]["all"]["mean"] == -mean
    del runs[3]["rows"][0]["experts"]
    missing = aggregate(runs)[0]["experts"]
    assert [expert["nll"] for expert in missing] == [{"mean": None, "std": None}] * 2


def test_what_is_no_number_is_left_out(runs):
    for run in runs:
        run["rows"][0]["remark"] = "x"
    assert "remark" not in aggregate(runs)[0]


def test_other_rows_are_refused(runs):
    lacks = copy.deepcopy(runs)
    del lacks[2]["rows"][1]
    with pytest.raises(Mistake, match="run 3 has no row swa-srepr, run 1 has"):
        aggregate(lacks)
    with pytest.raises(Mistake, match="run 1 has no row swa-srepr, run 2 has"):
        aggregate([lacks[2], runs[0]])
    runs[1]["rows"].append(runs[1]["rows"][2])
    with pytest.raises(Mistake, match="run 2 has the row swa-srepr-b twice"):
        aggregate(runs)


def test_moments_of_numbers_far_from_zero():
    values = [1e6 + 1, 1e6 + 2, 1e6 + 3]
    assert moments(values) == {"mean": 1e6 + 2, "std": pytest.approx(1, rel=1e-9)}
