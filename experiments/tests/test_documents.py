"""docs/results.md says what the result files say."""

import json

import experts as expert_tables
import numpy as np
import page
import pattern
import pytest
import results
import spread
import tabular
import trials
from PIL import Image
from scipy import stats

from ltjax.mistake import Mistake


def test_the_page_agrees_with_the_result_files():
    assert page.PAGE.read_text(encoding="utf-8") == page.page()
    for name in page.SEEDS:
        *_, figure3 = page.files(name)
        with Image.open(page.figure(name)) as drawn:
            assert drawn.text["Source"] == spread.digest(figure3)


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
        "data": "d0",
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


def write(monkeypatch, tmp_path, lines, kind="table2"):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / f"{kind}_x.jsonl").write_text(text)


def test_means_deviations_and_the_best_of_one_pass(monkeypatch, tmp_path):
    lines = [line(seed, row) for seed in (0, 1, 2) for row in ROWS]
    for one in lines:
        if one["backbone"] == "swag":
            one["nll"] = 0.0  # the best, but of many passes
    write(monkeypatch, tmp_path, lines)
    rows = results.of_rows(results.by_seed("table2_x.jsonl", (0, 1, 2)))
    text = tabular.table(rows, tabular.MAIN)
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
    groups = tabular.table(rows, tabular.GROUPS)
    assert all("| – |" in row for row in groups.splitlines()[2:])  # no class is many
    best = tabular.table(rows, tabular.BEST_EPOCH)
    claims = [row.split("|")[3].strip() for row in best.splitlines()[2:]]
    assert claims == ["99.00 ± 0.00" if row[1] == "la" else "–" for row in ROWS]


@pytest.mark.parametrize(
    ("processors", "told"),
    [
        ((None, None), "device cpu; commit"),  # lines of earlier versions
        (("A; avx2", "A; avx2"), "device cpu; processor A; avx2; commit"),
        (("A; avx2", "B"), "device cpu; processor A; avx2 or B; commit"),
        (("B", None), "device cpu; processor B or not told; commit"),
    ],
)
def test_a_page_tells_the_processors_that_made_it(processors, told):
    lines = {
        seed: [line(seed, ROWS[0]) | ({"processor": name} if name else {})]
        for seed, name in enumerate(processors)
    }
    assert told in results.provenance(lines)


def test_srepr_is_compared_by_a_paired_test(monkeypatch, tmp_path):
    lines = [line(seed, row) for seed in (0, 1, 2) for row in ROWS]
    write(monkeypatch, tmp_path, lines)
    rows = results.of_rows(results.by_seed("table2_x.jsonl", (0, 1, 2)))
    ours, la = (
        [one["nll"] for one in rows[row]] for row in (("swa", "srepr", ""), ROWS[3])
    )
    expected = stats.ttest_rel(ours, la)
    text = tabular.against(rows)
    found = next(row for row in text.splitlines() if row.startswith("| SWA + LA |"))
    cells = [cell.strip() for cell in found.split("|")]
    assert float(cells[4]) == pytest.approx(np.mean(ours) - np.mean(la), abs=6e-4)
    assert float(cells[5]) == pytest.approx(expected.pvalue, abs=6e-4)


def test_the_pattern_is_judged_by_the_figures():
    def rows(nll, ece):
        made = {row: [line(0, row)] for row in ROWS}
        for row, acc in zip(ROWS, (30, 35, 30.4, 36, 36.5, 36, 99)):
            made[row][0]["acc"] = {"all": acc, "few": 2 * acc - 55}
        made["swa", "srepr", ""][0] |= {"nll": nll, "ece": ece}
        made["swa", "la", ""][0] |= {"nll": 0.5, "ece": 0.2}
        return made

    def verdicts(nll, ece, probability):
        text = pattern.table(rows(nll, ece), {"probability": probability})
        return [row.split("|")[-2].strip() for row in text.splitlines()[2:]]

    # SRepr's accuracy is 0.5 above LA's; NLL and ECE of LA are 0.5 and 0.2.
    assert verdicts(0.0, 0.0, -0.7) == ["yes"] * 15
    # Between what must show and what is further hoped for: 0.94 and 0.45 of LA's.
    further = verdicts(0.47, 0.09, -0.7)
    assert further[4:8] == ["yes", "no", "yes", "no"]
    assert verdicts(0.49, 0.11, -0.4)[4:8] == ["no"] * 4
    assert verdicts(0.49, 0.11, -0.4)[-1] == "no"


def test_a_pattern_of_classes_that_are_not_there_is_left_open():
    made = {row: [line(0, row)] for row in ROWS}
    for lines in made.values():
        lines[0]["acc"]["few"] = None
    text = pattern.table(made, {"probability": -0.7})
    few = [row for row in text.splitlines() if row.startswith("| few")]
    assert len(few) == 2
    assert all(row.endswith("| no such class | – |") for row in few)


def test_temperatures_of_some_seeds_are_told_as_theirs():
    by_seed = {seed: [line(seed, row) for row in ROWS] for seed in (0, 1)}
    everyone = page.scaled(by_seed)
    assert "only" not in everyone
    assert "1.50 ± 0.00" in everyone
    for one in by_seed[1]:
        one |= {"temperature": None, "nll_scaled": None, "ece_scaled": None}
    text, table = page.scaled(by_seed).split("\n\n")
    assert "Of seed 0 only: the others have no validation run" in text
    cells = [cell.strip("* ") for cell in table.splitlines()[2].split("|")[2:4]]
    assert cells == ["1.50", f"{by_seed[0][0]['nll']:.3f}"]
    for one in by_seed[0]:
        one |= {"temperature": None, "nll_scaled": None, "ece_scaled": None}
    assert page.scaled(by_seed) == "None has a validation run."


def test_candidates_are_counted_in_the_sweep(monkeypatch, tmp_path):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    with pytest.raises(Mistake, match=r"sweep_x.jsonl does not exist in"):
        page.beside("x")
    rows = [("srepr", "")] * 3 + [("srepr", "b"), ("la", ""), ("la", "stage_one")]
    lines = [{"classifier": row[0], "variant": row[1]} for row in rows]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "sweep_x.jsonl").write_text(text)
    assert "among 3 candidates" in page.beside("x")
    assert "LA had 1," in page.beside("x")


def test_statistics_have_a_row_for_each_rule(monkeypatch, tmp_path):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    acc = {"many": 60.0, "medium": 40.0, "few": 9.96, "all": 41.25}
    lines = [
        {"of": "sgd", "statistics": rule, "set": images, "backbone": "sgd"}
        | {"classifier": row, "acc": acc, "nll": 2.5, "ece": 0.125}
        for rule in ("a", "b")
        for images in ("held out", "test")
        for row in ("none", "la_posthoc", "la")
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "lines.jsonl").write_text(text)
    found = trials.statistics("lines.jsonl", "sgd", "test").splitlines()
    assert len(found) == 4
    cells = "41.2 / 2.500 / 0.125 | 41.2 / 10.0 / 2.500 / 0.125 | 41.2 / 10.0 / 2.500"
    assert found[2] == f"| a | {cells} |"


def expert_line(row, **changes):
    one = line(0, row)
    alone = {"acc": dict.fromkeys(one["acc"], 1.0), "nll": 9.0, "ece": 0.5}
    return {
        **one,
        "epochs": 16,
        "views": {"pad": 4, "flip": True, "rotate": 15.0, "policy": None, "cutout": 0},
        "cost": {"parameters": 1234567, "macs": 45_600_000},
        "experts": [one, {**alone, "brier": 1.0}],
        **changes,
    }


@pytest.fixture
def experts(monkeypatch, tmp_path):
    """Lines by file, and what writes them and tells the section and its gains."""
    table = expert_tables
    found = {
        file: [expert_line(row) for row in ROWS if row[0] != "swag"]
        for systems in (table.BEFORE, table.ALONE, table.CHOSEN, table.OWN)
        for files in systems.values()
        for file in files
    }
    route = (results.RESULTS / table.ROUTE).read_text()
    (tmp_path / table.ROUTE).write_text(route)
    monkeypatch.setattr(results, "RESULTS", tmp_path)

    def told():
        for file, lines in found.items():
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (tmp_path / file).write_text(text)
        blocks = table.blocks()
        return "\n\n".join(blocks.values()), [
            [cell.strip() for cell in row.split("|")[1:-1]]
            for row in blocks["gains"].splitlines()
            if row.startswith("| RIDE: ")
        ]

    return found, told


def test_what_re_training_adds_to_experts_is_judged_by_the_figures(experts):
    found, told = experts
    lines = found["experts_ride_together_cpu.jsonl"]
    for one in lines:
        one |= {"acc": dict.fromkeys(one["acc"], 30.0), "nll": 2.0, "ece": 0.2}
    ours = lines[ROWS.index(("swa", "srepr", ""))]
    ours |= {"nll": 1.9, "ece": 0.1}
    text, gains = told()
    assert [row[0] for row in gains] == [
        "RIDE: SGD (published)",
        "RIDE: SGD + LA",
        "RIDE: SWA",
        "RIDE: SWA + LA",
    ]
    assert all(row[1:] == ["+0.00", "-0.100", "-0.100", "yes"] for row in gains)
    assert "| RIDE | 1,234,567 | 45.6 |" in text
    assert "crops of 4 more pixels a side, flips and rotations by up to 15 deg" in text
    assert ": expert 2 | 1.00 | 1.00 | 1.00 | 1.00 | 9.000 | 0.500 | 1.000 |" in text
    ours["acc"] = {**ours["acc"], "all": 29.99}
    assert {row[4] for row in told()[1]} == {"no"}
    # Of their own views only data and epochs are compared.
    own = found["experts_shike_own_cpu.jsonl"]
    for one in own:
        one["views"] = {**one["views"], "policy": "autoaugment"}
    assert "and autoaugment" in told()[0]
    for one in own:
        one["epochs"] = 8
    with pytest.raises(Mistake, match="were not trained alike"):
        told()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ls: ls[0].update(settings="x"), "mixes configs: tiny"),
        (lambda ls: [one.update(data="d1") for one in ls], "were not trained alike"),
        (lambda ls: [one.update(epochs=8) for one in ls], "were not trained alike"),
        (lambda ls: ls[0].update(backbone="swag"), r"ride_.* has no row SGD$"),
        (lambda ls: ls.append(ls[0]), "row sgd-none stands twice in seed 0"),
    ],
)
def test_runs_of_experts_that_differ_are_refused(experts, change, words):
    found, told = experts
    change(found["experts_ride_together_cpu.jsonl"])
    with pytest.raises(Mistake, match=words):
        told()


def test_the_second_stage_of_shike_is_that_of_its_own_config(experts):
    found, told = experts
    rows = [
        (one["backbone"], one["classifier"]) for one in found["shike_own_cpu.jsonl"]
    ]
    published = found["shike_common_cpu.jsonl"][rows.index(("sgd", "la"))]
    published["nll"] = 7.125
    text, _ = told()
    assert "| SHIKE: SGD + LA (published) |" in text
    names = [row.split("|")[1] for row in text.splitlines() if "| 7.125 |" in row]
    assert names == [
        " SGD + LA (published) ",
        " SHIKE, SGD + LA (published): mean of 2 ",
    ]
    first = found["shike_common_cpu.jsonl"][rows.index(("sgd", "none"))]
    first["nll"] += 1
    with pytest.raises(Mistake, match=r"shike_common_.* is of other backbones"):
        told()


def spread_line(seed, counts, per_class):
    spaces = ("representation", "relative", "probability")
    return {
        "seed": seed,
        "counts": counts,
        "dispersion": dict.fromkeys(spaces, per_class),
        "spearman": dict.fromkeys(spaces, -0.25),
    }


def test_the_spread_is_told_per_group_and_drawn(tmp_path):
    counts = [200, 150, 60, 40]  # none is few
    by_seed = {
        0: [spread_line(0, counts, [1.0, 2.0, 3.0, 5.0])],
        1: [spread_line(1, counts, [1.0, 2.0, 5.0, 3.0])],
    }
    row = spread.table(by_seed).splitlines()[-1]
    cells = [cell.strip() for cell in row.split("|")[2:-1]]
    # Ranks that differ by a swap of two of four: 1 - 6 * 2 / (4 * 15).
    assert cells == ["1.50", "4.00", "–", "-0.25, -0.25", "+0.80"]
    file = tmp_path / "figures" / "x.png"
    spread.draw(by_seed, file)
    with Image.open(file) as drawn:
        assert drawn.text["Source"] == spread.digest(by_seed)
    by_seed[1][0]["counts"] = [200, 150, 60, 41]
    assert drawn.text["Source"] != spread.digest(by_seed)


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
            [line(0, ROWS[0]), line(1, ROWS[0], data="d1")],
            (0, 1),
            "table2_x.jsonl mixes data: d0, d1; a table has one set",
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
def test_what_would_mix_or_miss_is_refused(monkeypatch, tmp_path, lines, seeds, words):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    if lines:
        write(monkeypatch, tmp_path, lines)
    with pytest.raises(Mistake) as caught:
        results.by_seed("table2_x.jsonl", seeds)
    assert words in str(caught.value)


def test_rows_that_are_not_once_in_every_seed_are_refused():
    la, none = ROWS[3], ROWS[0]
    with pytest.raises(Mistake, match="row swa-la lacks seed 1"):
        results.of_rows({0: [line(0, la), line(0, none)], 1: [line(1, none)]})
    # As many lines as seeds, yet not one of each.
    with pytest.raises(Mistake, match="row swa-la stands twice in seed 0"):
        results.of_rows({0: [line(0, la), line(0, la)], 1: []})


def test_a_data_set_without_its_files_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(page.SEEDS, "x", (0,))
    for kind in ("table1", "table2", "figure3"):
        monkeypatch.setattr(results, "RESULTS", tmp_path)
        with pytest.raises(Mistake, match=f"{kind}_x.jsonl does not exist in"):
            page.blocks("x")
        write(monkeypatch, tmp_path, [line(0, ROWS[0])], kind)
    write(monkeypatch, tmp_path, [line(0, ROWS[0], data="d1")], "figure3")
    with pytest.raises(Mistake, match="the files of x are of several runs"):
        page.blocks("x")
