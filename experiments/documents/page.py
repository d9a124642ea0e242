"""docs/results.md: the words of `results.md` beside this, and what files say in them.

{BLOCK} in the words is a block of the experts, {BLOCK, NAME} one of a data set.
"""

import re
from pathlib import Path

import experts
import pattern
import results
import spread
import tabular

from ltjax.mistake import Mistake

WORDS = Path(__file__).with_name("results.md")
PAGE = Path(__file__).parents[2] / "docs" / "results.md"
# The seeds of files table1_NAME.jsonl, table2_NAME.jsonl and figure3_NAME.jsonl.
SEEDS = {"cifar100_lt100_cpu": (0, 1, 2), "fashion_lt100_cpu": (0,)}


def files(name):
    """The lines by seed of a data set's three files, which must be of the same runs."""
    found = [
        results.by_seed(f"{kind}_{name}.jsonl", SEEDS[name])
        for kind in ("table1", "table2", "figure3")
    ]
    kinds = {
        (line["dataset"], line["settings"], line["data"])
        for by_seed in found
        for lines in by_seed.values()
        for line in lines
    }
    if len(kinds) > 1:
        raise Mistake(f"the files of {name} are of several runs: {sorted(kinds)}")
    return found


def blocks(name):
    """What the files say of a data set, by its name on the page."""
    table1, table2, figure3 = files(name)
    rows, steps = results.of_rows(table2), results.of_rows(table1)
    comparisons = 3 * (len(rows) - 1)
    return {
        "made by": results.provenance(table2),
        "pattern": pattern.table(rows, spread.mean_spearman(figure3)),
        "choices": beside(name),
        "candidates": str(counted(name, "srepr")),
        "rows": tabular.table(rows, tabular.MAIN),
        "steps": tabular.table(
            steps, tabular.MAIN, "step", lambda row: steps[row][0]["step"]
        ),
        "seeds": str(len(table2)),
        "comparisons": str(comparisons),
        "by chance": f"{comparisons / 20:.0f}",
        "bound": f"{0.05 / comparisons:.1g}",
        "against": tabular.against(rows),
        "spread": spread.table(figure3),
        "groups": tabular.table(rows, tabular.GROUPS),
        "scaled": scaled(table2),
        "best": tabular.table(rows, tabular.BEST_EPOCH),
    }


def counted(name, classifier):
    """The candidates that a sweep's file has for the row of a classifier."""
    lines = results.lines(f"sweep_{name}.jsonl")
    return sum((of["classifier"], of["variant"]) == (classifier, "") for of in lines)


def beside(name):
    """Beside SRepr against LA: how many candidates either had."""
    srepr, la = (counted(name, row) for row in ("srepr", "la"))
    return (
        f"SRepr's settings are the choice among {srepr} candidates on held-out images; "
        f"LA had {la}, the usual defaults."
    )


def scaled(by_seed):
    """After temperature scaling: of which seeds, where not of all, and the table."""
    fitted = {
        seed: lines
        for seed, lines in by_seed.items()
        if all(line["temperature"] is not None for line in lines)
    }
    if not fitted:
        return "None has a validation run."
    some = ""
    if len(fitted) < len(by_seed):
        some = (
            f" Of {results.seeds_in_words(fitted)} only: the others have no "
            "validation run. NLL and ECE as they are, are those of the same seeds here."
        )
    table = tabular.table(results.of_rows(fitted), tabular.SCALED)
    return f"validation run of the same seed.{some}\n\n{table}"


def page():
    """The whole text of docs/results.md."""
    found = {
        **experts.blocks(),
        "expert candidates": str(counted("experts_shike_cpu", "srepr")),
        **{
            f"{block}, {name}": text
            for name in SEEDS
            for block, text in blocks(name).items()
        },
    }
    words = WORDS.read_text(encoding="utf-8")
    return re.sub("{(.+?)}", lambda mark: found[mark[1]], words)


def figure(name):
    """The file of a data set's figure."""
    return PAGE.parent / "figures" / f"figure3_{name}.png"


def write():
    """Writes the page and its figures."""
    PAGE.write_text(page(), encoding="utf-8")
    for name in SEEDS:
        *_, figure3 = files(name)
        spread.draw(figure3, figure(name))
