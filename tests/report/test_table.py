from io import StringIO

import pytest
from rich.console import Console

from ltjax.classifier import METHODS
from ltjax.report.aggregate import aggregate
from ltjax.report.table import table


def row(backbone, classifier, variant="", many=90.0, nll=1.0, **more):
    figures = {"nll": nll, "ece": 0.05, "brier": 0.4, "seconds": 1.25}
    acc = {"many": many, "medium": 50.0, "few": 20.0, "all": 60.0}
    names = {"backbone": backbone, "classifier": classifier, "variant": variant}
    return {**names, "acc": acc, **figures, **more}


def results(*rows):
    data = {"name": "cifar100", "classes": 3, "train": 111, "test": 30}
    counts = [100, 10, 1]
    return {
        "dataset": {**data, "counts": counts, "imbalance_factor": 100},
        "seed": 3,
        "rows": list(rows),
        "seconds": {},
    }


def every_row():
    """All rows of a run, each with figures of its own."""
    pairs = [(backbone, c) for backbone in ("sgd", "swa") for c in ("none", *METHODS)]
    names = [(b, c, "") for b, c in pairs if (b, c) != ("sgd", "srepr")]
    names += [("swa", "srepr", v) for v in ("b", "c-mean", "c-dirichlet")]
    names += [("swag", c, "") for c in ("none", "la", "srepr")]
    rows = [row(*name, nll=1 + i / 100) for i, name in enumerate(names)]
    headline, _, mean = [r for r in rows if r["classifier"] == "srepr"][:3]
    mean["nll"] = headline["nll"]  # the headline row under its own name
    return rows


def render(found, width=80, colours=False):
    console = Console(file=StringIO(), width=width, force_terminal=colours)
    console.print(table(found, width))
    return console.file.getvalue()


def names(text):
    """The row names of a rendered table, blank lines between groups as "".

    A name ends where two spaces follow.
    """
    body = text.splitlines()[4:]
    end = next(i for i, line in enumerate(body) if line.startswith("accuracy"))
    return [line.strip().split("  ")[0] for line in body[:end]]


@pytest.mark.parametrize("width", [80, 120])
def test_every_row_takes_one_line_in_80_columns(width):
    text = render(results(*every_row()), width)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    heads = ["cRT", "LWS", "tau-norm", "NCM", "LA post-hoc", "IIF", "LA", "DisAlign"]
    assert names(text) == [
        "SGD",
        *(f"SGD + {head}" for head in heads),
        "",
        "SWA",
        *(f"SWA + {head}" for head in heads),
        "SWA + SRepr",
        "SWA + SRepr (b)",
        "SWA + SRepr (c-dirichlet)",
        "",
        "SWAG",
        "SWAG + LA",
        "SWAG + SRepr",
        "",
    ]


def test_figures_are_in_their_columns():
    text = render(results(row("sgd", "none", many=87.654, nll=1.23456)))
    head, line = text.splitlines()[2], text.splitlines()[4]
    assert dict(zip(head.split(), line.split(), strict=True)) == {
        "row": "SGD",
        "many": "87.65",
        "medium": "50.00",
        "few": "20.00",
        "all": "60.00",
        "NLL": "1.235",
        "ECE": "0.050",
        "Brier": "0.400",
    }


def test_the_title_says_what_was_run():
    title = render(results(row("sgd", "none"))).splitlines()[0].strip()
    assert title == "cifar100, 111 training images (100 to 1 a class), seed 3"


def test_an_absent_group_is_a_dash():
    rows = (row("sgd", "none", many=None), row("sgd", "la"))
    for some in (rows[:1], rows):
        assert render(results(*some)).splitlines()[4].split()[:2] == ["SGD", "-"]
    assert render(results(*rows)).splitlines()[5].split()[:4] == [
        *("SGD", "+", "LA", "90.00")
    ]


def test_a_huge_nll_keeps_the_table_in_80_columns():
    rows = [{**found, "nll": 9876.54321} for found in every_row()]
    text = render(results(*rows))
    assert "9877" in text
    assert "…" not in text


def bold(text):
    """(row, figure) of all bold figures."""
    found = set()
    for line in text.splitlines():
        for part in line.split("\x1b[1m")[1:]:
            name = line.strip().split("  ")[0].removeprefix("\x1b[1m")
            found.add((name, part.split("\x1b")[0].strip()))
    return {(name, figure) for name, figure in found if figure[:1].isdigit()}


def test_the_best_single_pass_is_bold():
    base = {"ece": 0.9, "brier": 0.9}
    best = {
        "acc": {"many": 95.0, "medium": 50.0, "few": 20.0, "all": 60.0},
        "ece": 0.1,
        "brier": 0.2,
    }
    rows = (
        row("sgd", "none", many=91.0, nll=0.7, **base),
        row("sgd", "crt", nll=0.8, **best),
        row("swag", "none", many=99.0, nll=0.1, ece=0.01, brier=0.01),
    )
    for part in (rows[0], rows[2]):
        part["acc"] |= {"medium": 40.0, "few": 10.0, "all": 50.0}
    assert bold(render(results(*rows), colours=True)) == {
        ("SGD", "0.700"),
        ("SGD + cRT", "95.00"),
        ("SGD + cRT", "50.00"),
        ("SGD + cRT", "20.00"),
        ("SGD + cRT", "60.00"),
        ("SGD + cRT", "0.100"),
        ("SGD + cRT", "0.200"),
    }


def test_no_dash_is_bold():
    rows = [row("sgd", c, many=None) for c in ("none", "la")]
    text = render(results(*rows), colours=True)
    assert "\x1b[1m-" not in text
    assert ("SGD", "50.00") in bold(text)


@pytest.mark.parametrize("form", ["mean", "dirichlet"])
def test_the_headline_form_of_srepr_is_shown_once(form):
    other = {"mean": "dirichlet", "dirichlet": "mean"}[form]
    text = render(
        results(
            row("swa", "srepr", nll=0.5),
            row("swa", "srepr", "b", nll=0.6),
            row("swa", "srepr", f"c-{form}", nll=0.5),
            row("swa", "srepr", f"c-{other}", nll=0.7),
        )
    )
    assert names(text) == [
        "SWA + SRepr",
        "SWA + SRepr (b)",
        f"SWA + SRepr (c-{other})",
        "",
    ]


def test_the_caption_explains_only_what_is_there():
    plain = render(results(row("sgd", "none")))
    assert "accuracy in %" in plain
    assert "SWAG" not in plain
    assert "SRepr" not in plain
    whole = render(results(*every_row()))
    assert "SRepr (b): not distilled" in whole
    assert "SWAG: the mean of the drawn networks" in whole
    assert "SWAG + ...: that of the draws' features" in whole
    drawn = render(results(row("sgd", "none"), row("swag", "none")))
    assert "SWAG: the mean" in drawn
    assert "SWAG + ..." not in drawn


def test_a_name_with_brackets_is_no_markup():
    found = results(row("sgd", "none"))
    found["dataset"]["name"] = "[red]mine[/red]"
    assert "[red]mine[/red], 111" in render(found)


def of_seeds(runs):
    dataset = runs[0]["dataset"]
    return {"dataset": dataset, "seeds": [0, 1, 2], "rows": aggregate(runs)}


def three_runs():
    """The rows of three seeds, whose NLL and accuracy differ by 1 % of themselves."""
    runs = [results(*every_row()) for _ in range(3)]
    for scale, run in zip((0.99, 1.0, 1.01), runs):
        for found in run["rows"]:
            found["nll"] *= scale
            found["acc"] = {name: scale * v for name, v in found["acc"].items()}
    return runs


MEANS = ["90.00", "50.00", "20.00", "60.00", "1.000", "0.050", "0.400"]
SPREADS = ["±0.90", "±0.50", "±0.20", "±0.60", "±0.010", "±0.000", "±0.000"]


def test_seeds_are_means_and_deviations():
    text = render(of_seeds(three_runs()), 130)
    lines = text.splitlines()
    assert lines[0].strip() == (
        "cifar100, 111 training images (100 to 1 a class), seeds 0, 1, 2"
    )
    assert lines[3].split()[1:] == [
        part for pair in zip(MEANS, SPREADS) for part in pair
    ]
    found = names("\n" + text)  # as it has no edge
    assert [*found, ""] == names(render(results(*every_row())))
    assert "mean ± standard deviation over the seeds (squares over n - 1)" in text


@pytest.mark.parametrize("width", [80, 129])
def test_deviations_go_under_means_where_there_is_no_room(width):
    lines = render(of_seeds(three_runs()), width).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[3].split()[1:] == MEANS
    assert lines[4].split() == SPREADS
    for mean, spread in zip(MEANS, SPREADS[:6]):  # each under its own, to the digit
        ends = lines[3].index(mean) + len(mean)
        assert lines[4][:ends].endswith(spread)


def test_the_best_mean_is_bold():
    rows = of_seeds(
        [results(row("sgd", "none", nll=nll), row("swa", "none")) for nll in (0.9, 1.0)]
    )
    found = bold(render(rows, 130, colours=True))
    assert ("SGD", "0.950 ±0.071") in found
    assert not any(figure.startswith("1.000") for _, figure in found)


def test_one_seed_has_no_deviation():
    text = render({**of_seeds([results(row("sgd", "none"))]), "seeds": [4]})
    assert text.splitlines()[3].split()[1:] == MEANS
    assert text.splitlines()[0].strip().endswith(", seed 4")
    assert "±" not in text


def test_wide_figures_of_seeds_fit():
    runs = three_runs()
    for found in (found for run in runs for found in run["rows"]):
        found["acc"]["few"] = found["acc"]["all"] = 100.0
    runs[0]["rows"][0]["acc"].update({"few": 70.0, "all": 70.0})
    for width in (80, 130):
        text = render(of_seeds(runs), width)
        assert max(map(len, text.splitlines())) <= width
        assert "100.00" in text
        assert "±17.32" in text
        assert "…" not in text
