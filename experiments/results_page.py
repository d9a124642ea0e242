"""Writes docs/results.md and its figures from the files of results.

python experiments/results_page.py
"""

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib import pyplot
from scipy import stats

from ltjax.classifier import TITLES
from ltjax.mistake import Mistake

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
PAGE = ROOT / "docs" / "results.md"
FIGURES = ROOT / "docs" / "figures"


class Section(NamedTuple):
    """One data set under one config."""

    title: str
    name: str  # files table1_NAME.jsonl, table2_NAME.jsonl and figure3_NAME.jsonl
    seeds: tuple
    recipe: str


SECTIONS = (
    Section(
        "CIFAR-100-LT, imbalance factor 100, CPU recipe",
        "cifar100_lt100_cpu",
        (0, 1),
        "ResNet-32, 48 epochs a backbone instead of 200, on two CPU cores: the level "
        "is below the literature's; what is compared is the rows.",
    ),
)

# Columns: heading, decimals, what of a line, whether lower is better (None: neither).
MAIN = (
    ("many", 2, lambda line: line["acc"]["many"], False),
    ("medium", 2, lambda line: line["acc"]["medium"], False),
    ("few", 2, lambda line: line["acc"]["few"], False),
    ("all", 2, lambda line: line["acc"]["all"], False),
    ("NLL", 3, lambda line: line["nll"], True),
    ("ECE", 3, lambda line: line["ece"], True),
    ("Brier", 3, lambda line: line["brier"], True),
)
BESIDE = (
    ("ECE many", 3, lambda line: line["group_ece"]["many"], True),
    ("ECE medium", 3, lambda line: line["group_ece"]["medium"], True),
    ("ECE few", 3, lambda line: line["group_ece"]["few"], True),
    ("T", 2, lambda line: line["temperature"], None),
    ("NLL at T", 3, lambda line: line["nll_scaled"], True),
    ("ECE at T", 3, lambda line: line["ece_scaled"], True),
    ("all", 2, lambda line: line["acc"]["all"], None),
    (
        "best epoch on test",
        2,
        lambda line: line["best_epoch"] and line["best_epoch"]["all"],
        None,
    ),
)
INTRODUCTION = """\
# Results

`python experiments/results_page.py` writes this page from `experiments/results/`.

Every figure is of the test set after the last epoch; mean ± standard deviation over
seeds. Nothing was chosen on the test set: choices are made on 50 held-out training
images a class (`docs/decisions.md`). *many*, *medium* and *few* are means of the
accuracies of classes with more than 100, 20 to 100 and fewer than 20 training images,
in percent; NLL in nats; ECE a fraction over 15 bins. Bold: the best of the rows that
cost one pass. A SWAG row is the mean of ten passes.
"""


def lines_of(file, seeds):
    """The lines of a result file by seed; refuses what would mix or miss something."""
    path = RESULTS / file
    if not path.exists():
        raise Mistake(f"{path.name} does not exist in {RESULTS}; make it first")
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    except ValueError as error:
        raise Mistake(f"{path.name} is cut or damaged: {error}") from error
    kinds = sorted({(line["config"], line["settings"]) for line in lines})
    if len(kinds) > 1:
        names = ", ".join(f"{config} ({digest})" for config, digest in kinds)
        raise Mistake(f"{path.name} mixes configs: {names}; a table has one")
    found = {}
    for line in lines:
        found.setdefault(line["seed"], []).append(line)
    more = sorted(found.keys() - set(seeds))
    if more:
        raise Mistake(f"{path.name} has seed {more[0]}, which the page leaves out")
    missing = [seed for seed in seeds if seed not in found]
    if missing:
        listed = ", ".join(map(str, missing))
        raise Mistake(f"{path.name} lacks seed {listed} of the {len(seeds)} asked for")
    return {seed: found[seed] for seed in seeds}


def of_rows(by_seed):
    """{row: [its line of each seed]}, in the order of the file."""
    rows = {}
    for lines in by_seed.values():
        for line in lines:
            row = line["backbone"], line["classifier"], line["variant"]
            rows.setdefault(row, []).append(line)
    short = [row for row, lines in rows.items() if len(lines) != len(by_seed)]
    if short:
        raise Mistake(f"row {'-'.join(filter(None, short[0]))} lacks a seed")
    headline = [line["nll"] for line in rows.get(("swa", "srepr", ""), [])]
    return {
        row: lines
        for row, lines in rows.items()
        # The headline row under the name of its form.
        if not (row[2].startswith("c-") and [a["nll"] for a in lines] == headline)
    }


def title(row):
    """A row's name as a reader knows it."""
    backbone, classifier, variant = row
    name = backbone.upper()
    if classifier != "none":
        name += f" + {TITLES[classifier]}"
    return f"{name} ({variant})" if variant else name


def table(rows, columns, first="row", name=title):
    """A Markdown table of mean ± deviation, the best of each column in bold."""
    cells = {}
    for heading, decimals, figure, lower in columns:
        means = {}
        for row, lines in rows.items():
            values = [figure(line) for line in lines]
            if None in values:
                cells[row, heading] = "–"
                continue
            means[row] = float(f"{np.mean(values):.{decimals}f}")
            text = f"{means[row]:.{decimals}f}"
            if len(values) > 1:
                text += f" ± {np.std(values, ddof=1):.{decimals}f}"
            cells[row, heading] = text
        single = [mean for row, mean in means.items() if row[0] != "swag"]
        if lower is None or not single:
            continue
        best = min(single) if lower else max(single)
        for row, mean in means.items():
            if mean == best and row[0] != "swag":
                cells[row, heading] = f"**{cells[row, heading]}**"
    headings = [heading for heading, *_ in columns]
    head = [
        f"| {first} | {' | '.join(headings)} |",
        "| --- |" + " --: |" * len(headings),
    ]
    body = [
        f"| {name(row)} | {' | '.join(cells[row, h] for h in headings)} |"
        for row in rows
    ]
    return "\n".join(head + body)


def against(rows):
    """A Markdown table of SRepr less each other row, paired by seed."""
    ours = rows["swa", "srepr", ""]
    head = ["| SRepr less | all | p | NLL | p | ECE | p |", "| --- |" + " --: |" * 6]
    body = []
    for row, lines in rows.items():
        if row == ("swa", "srepr", ""):
            continue
        cells = []
        for heading in ("all", "NLL", "ECE"):
            _, decimals, figure, _ = next(c for c in MAIN if c[0] == heading)
            gaps = [figure(a) - figure(b) for a, b in zip(ours, lines)]
            cells += [f"{np.mean(gaps):+.{decimals}f}", p_value(gaps)]
        body.append(f"| {title(row)} | {' | '.join(cells)} |")
    return "\n".join(head + body)


def p_value(gaps):
    """Two-sided p of a paired t-test that the mean gap over seeds is 0."""
    if len(gaps) < 2 or np.ptp(gaps) == 0:
        return "–"
    p = stats.ttest_1samp(gaps, 0).pvalue
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def pattern(rows, spearman):
    """What a reproduction must show, as claim, figure, and whether it holds."""

    def mean(row, *path):
        values = []
        for line in rows[row]:
            for name in path:
                line = line[name]
            values.append(line)
        return float(np.mean(values))

    none, la = ("swa", "none", ""), ("swa", "la", "")
    srepr = ("swa", "srepr", "")
    sgd, sgd_la = ("sgd", "none", ""), ("sgd", "la", "")
    # The rows of the paper's table.
    paper = [
        row
        for row in rows
        if row[0] != "swag"
        and row[1] not in ("tau_norm", "ncm", "la_posthoc")
        and not row[2]
    ]
    claims = []

    def claim(text, value, holds):
        claims.append(f"| {text} | {value} | {'yes' if holds else 'no'} |")

    gain = mean(la, "acc", "few") - mean(none, "acc", "few")
    claim("SWA + LA over SWA, few: at least +10", f"{gain:+.2f}", gain >= 10)
    gain = mean(la, "acc", "all") - mean(sgd_la, "acc", "all")
    claim("SWA + LA over SGD + LA, all: above 0", f"{gain:+.2f}", gain > 0)
    gain = mean(none, "acc", "all") - mean(sgd, "acc", "all")
    claim("SWA and SGD, all: within about 0.5", f"{gain:+.2f}", abs(gain) <= 0.5)
    ratio = mean(srepr, "ece") / mean(la, "ece")
    claim("SRepr's ECE over SWA + LA's: at most 0.5", f"{ratio:.2f}", ratio <= 0.5)
    ratio = mean(srepr, "nll") / mean(la, "nll")
    claim("SRepr's NLL over SWA + LA's: at most 0.97", f"{ratio:.3f}", ratio <= 0.97)
    gain = mean(srepr, "acc", "all") - mean(la, "acc", "all")
    claim("SRepr over SWA + LA, all: not below 0", f"{gain:+.2f}", gain >= 0)
    for name in ("nll", "ece"):
        for words, among in (
            ("the paper's rows", paper),
            ("all rows of one pass", rows),
        ):
            best = min(
                (row for row in among if row[0] != "swag"),
                key=lambda row: mean(row, name),
            )
            holds = mean(best, name) == mean(srepr, name)
            claim(
                f"SRepr's {name.upper()} is the lowest of {words}", title(best), holds
            )
    for space, value in spearman.items():
        words = f"rank correlation of class count and dispersion, {space}"
        if space == "probability":
            claim(f"{words}: at most −0.5", f"{value:+.2f}", value <= -0.5)
        else:
            claims.append(f"| {words} | {value:+.2f} | |")
    return "\n".join(["| claim | found | holds |", "| --- | --: | --- |", *claims])


def mean_spearman(by_seed):
    """The rank correlation in every space, the mean over seeds."""
    found = [lines[0]["spearman"] for lines in by_seed.values()]
    return {space: float(np.mean([f[space] for f in found])) for space in found[0]}


def provenance(by_seed):
    """Which commits and devices made the lines."""
    lines = [line for lines in by_seed.values() for line in lines]
    # A dirty tree is told, too.
    commits = sorted(
        {re.sub(r"(\w{7})\w*", r"\1", str(line["commit"])) for line in lines}
    )
    devices = sorted({line["device"] for line in lines})
    seeds = "Seed" if len(by_seed) == 1 else "Seeds"
    return (
        f"{seeds} {', '.join(map(str, by_seed))}; device {', '.join(devices)}; "
        f"commit {', '.join(commits)}."
    )


def section(about):
    """The text of one data set."""
    table1, table2, figure3 = (
        lines_of(f"{kind}_{about.name}.jsonl", about.seeds)
        for kind in ("table1", "table2", "figure3")
    )
    kinds = {
        (line["dataset"], line["settings"])
        for table in (table1, table2, figure3)
        for lines in table.values()
        for line in lines
    }
    if len(kinds) > 1:
        raise Mistake(f"the files of {about.name} are of several runs: {sorted(kinds)}")
    rows = of_rows(table2)
    steps = {row: lines[0]["step"] for row, lines in of_rows(table1).items()}
    parts = [
        f"## {about.title}",
        f"{about.recipe} {provenance(table2)}",
        table(rows, MAIN),
        "What each part of SRepr adds (the paper's Table 1):",
        table(of_rows(table1), MAIN, "step", lambda row: steps[row]),
        "The pattern of the paper, and whether it shows:",
        pattern(rows, mean_spearman(figure3)),
    ]
    if len(about.seeds) > 1:
        parts += [
            "SRepr less each other row, mean over seeds, with the p-value of a paired "
            f"t-test over {len(about.seeds)} seeds (few: read it as a hint):",
            against(rows),
        ]
    fitted = all(line["holdout"] for lines in table2.values() for line in lines)
    parts += [
        "ECE per group; NLL and ECE after a temperature T fitted on the validation "
        f"run of the same seed{'' if fitted else ' (not run yet)'}; and the accuracy "
        "that the head's best epoch on the test set would have claimed, for comparison "
        "with work that reports it:",
        table(rows, BESIDE),
        "Spread of the draws per class, head classes at the left (the paper's "
        "Figure 3):",
        f"![Dispersion per class](figures/figure3_{about.name}.png)",
    ]
    return "\n\n".join(parts)


def page():
    """The whole text of docs/results.md."""
    return "\n".join([INTRODUCTION, *(section(about) + "\n" for about in SECTIONS)])


def draw(about):
    """Writes the figure of one data set."""
    by_seed = lines_of(f"figure3_{about.name}.jsonl", about.seeds)
    spaces = ("representation", "probability")
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, space in zip(axes, spaces):
        values = [lines[0]["dispersion"][space] for lines in by_seed.values()]
        counts = np.array(next(iter(by_seed.values()))[0]["counts"])
        order = np.argsort(-counts, kind="stable")
        values = np.array(values, float)[:, order]
        for one in values:
            axis.plot(one, color="tab:blue", alpha=0.25, linewidth=0.8)
        axis.plot(values.mean(0), color="tab:blue", linewidth=1.6)
        rho = mean_spearman(by_seed)[space]
        axis.set_title(f"{space} space, Spearman(count, dispersion) {rho:+.2f}", size=9)
        axis.set_xlabel("class, by training images, largest first")
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("dispersion, mean over test images")
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / f"figure3_{about.name}.png", dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    matplotlib.use("Agg")
    try:
        PAGE.write_text(page(), encoding="utf-8")
        for about in SECTIONS:
            draw(about)
    except Mistake as mistake:
        print(f"results_page: {mistake}", file=sys.stderr)
        sys.exit(2)
