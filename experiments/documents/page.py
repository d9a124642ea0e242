"""docs/results.md and its figures, from the files of results."""

from pathlib import Path
from typing import NamedTuple

import choices
import experts
import pattern
import results
import spread
import tabular

from ltjax.mistake import Mistake

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "results.md"
FIGURES = ROOT / "docs" / "figures"


class Section(NamedTuple):
    """One data set under one config."""

    title: str
    name: str  # files table1_NAME.jsonl, table2_NAME.jsonl and figure3_NAME.jsonl
    seeds: tuple
    recipe: str
    remarks: str = ""  # what the table of the pattern cannot say


SECTIONS = (
    Section(
        "CIFAR-100-LT, imbalance factor 100, CPU recipe",
        "cifar100_lt100_cpu",
        (0, 1, 2),
        "ResNet-32, 48 epochs a backbone instead of 200, on two CPU cores: the level "
        "is below the literature's; what is compared is the rows.",
        "Not run: the recipe of 200 epochs, where CE alone should come near 39 % and "
        "SRepr to at least 47 %; imbalance factors 10 and 50; more seeds. "
        "τ-normalisation's low ECE is that of a classifier that is rarely sure: it "
        "gives up several points of accuracy and has the higher NLL. It is no row of "
        "the paper's table. Dispersion in probability space does rise from many to "
        "few, but classes of a group differ more than the groups do, alike in every "
        "seed (see the spread of the draws).",
    ),
    Section(
        "Fashion-MNIST-LT, imbalance factor 100, CPU recipe",
        "fashion_lt100_cpu",
        (0,),
        "ResNet-20, 16 epochs a backbone, on two CPU cores. Fashion-MNIST has no "
        "customary long-tailed version; this is the rule and draw of CIFAR's.",
        "LA is calibrated here as it is, and distillation has little to mend "
        "([Decisions](decisions.md)). SWA stays behind SGD after these few epochs; "
        "longer trainings and more seeds were not run.",
    ),
)

EXPERTS = "experts_shike_cpu"  # the sweep of theirs

INTRODUCTION = """\
# Results

`python experiments/documents/documents.py` writes this page, of `experiments/results/`.

**These figures will be made anew.** Every table on this page was made with batch-norm
statistics of un-augmented training images in class order, which cost accuracy
([Decisions](decisions.md#batch-norm-statistics)): all features, those of SGD's rows
too, come through them. The same holds for the table of
[CIFAR-100-LT](sets.md#cifar-100-lt), the sweeps in [Decisions](decisions.md), the table
in [Which method when](methods.md), and those of the experts.

The row *SWAG* has another fault besides: each draw's features went through the head of
the mean, not through the draw's own.

Every figure is of the test set after the last epoch; mean ± standard deviation over
seeds. Settings were chosen on 50 held-out training images a class, though not without
knowledge of test figures: [what was chosen, and on what](#what-was-chosen-and-on-what).

*many*, *medium* and *few* are means of the accuracies of classes with more than 100, 20
to 100 and fewer than 20 training images, *all* is the accuracy over all test images, in
percent; NLL in nats; ECE a fraction over 15 bins. Bold: the best of the rows that cost
one pass.

Rows are a backbone (SGD, or SWA: a second training that ends at a constant rate, whose
weights are averaged) and what re-trains the classifier on its features. *SRepr* is the
paper's method, its step (c); *(b)* is its step before, stochastic representations
without distillation; *(c-dirichlet)* the other form of distillation. *SWAG* is the mean
of the ten drawn networks, each with its own head (but see above); *SWAG + LA* and
*SWAG + SRepr* send the features of the draws through the one re-trained head. All three
cost ten passes. tau-norm, NCM, LA post-hoc and SWAG are no rows of the paper's table.
"""


def files(about):
    """The lines by seed of a section's three files, which must be of the same runs."""
    found = [
        results.by_seed(f"{kind}_{about.name}.jsonl", about.seeds)
        for kind in ("table1", "table2", "figure3")
    ]
    kinds = {
        (line["dataset"], line["settings"], line["data"])
        for by_seed in found
        for lines in by_seed.values()
        for line in lines
    }
    if len(kinds) > 1:
        raise Mistake(f"the files of {about.name} are of several runs: {sorted(kinds)}")
    return found


def section(about):
    """The text of one data set."""
    table1, table2, figure3 = files(about)
    rows, steps = results.of_rows(table2), results.of_rows(table1)
    parts = [
        f"## {about.title}",
        f"{about.recipe} {results.provenance(table2)}",
        "### Does the paper's pattern show?",
        "The paper's figures are those of ImageNet-LT. *Wanted* is the bound that ours "
        "are held against, *further* a stricter one.",
        pattern.table(rows, spread.mean_spearman(figure3)),
        choices.beside(about.name),
        about.remarks,
        "### All rows (the paper's Table 2)",
        tabular.table(rows, tabular.MAIN),
        "### What each part of SRepr adds (the paper's Table 1)",
        tabular.table(steps, tabular.MAIN, "step", lambda row: steps[row][0]["step"]),
        start(rows),
        paired(rows, about.seeds),
        "### Spread of the draws (the paper's Figure 3)",
        f"![Dispersion per class](figures/{figure_name(about)})",
        "Classes with many training images at the left. Below: the mean of each group "
        "of classes, the rank correlation with the class count in each seed and, to "
        "tell chance from the classes themselves, that of two seeds with each other.",
        spread.table(figure3),
        "### Calibration of each group",
        tabular.table(rows, tabular.GROUPS),
        *scaled(table2),
        "### What the best epoch on the test set would have claimed",
        "For comparison with work that reports it; – where no epochs are trained.",
        tabular.table(rows, tabular.BEST_EPOCH),
    ]
    return "\n\n".join(filter(None, parts))


def start(rows):
    """What re-training starts from, where that is not the same for all."""
    if ("swa", "la", "stage_one") not in rows:
        return ""
    return (
        "LA, like cRT, re-trains a new head; (b) and (c) start from the head of stage "
        "one. What that start alone gives is the row *SWA + LA (head of stage one)* "
        "above."
    )


def paired(rows, seeds):
    """SRepr against each row, and how far that can be trusted."""
    if len(seeds) < 2:
        return ""
    count = 3 * (len(rows) - 1)
    return (
        "### SRepr against each row\n\n"
        "SRepr less the other row, mean over seeds, with the p-value of a paired "
        f"t-test over {len(seeds)} seeds. Read the p-values as hints: the seeds are "
        f"few, and of {count} comparisons, uncorrected, about {count / 20:.0f} would "
        "fall below 0.05 if there were no difference at all; a Bonferroni bound is "
        f"{0.05 / count:.1g}.\n\n{tabular.against(rows)}"
    )


def scaled(by_seed):
    """NLL and ECE after temperature scaling, of the seeds that have a temperature."""
    fitted = {
        seed: lines
        for seed, lines in by_seed.items()
        if all(line["temperature"] is not None for line in lines)
    }
    if not fitted:
        return ()
    some = ""
    if len(fitted) < len(by_seed):
        some = (
            f" Of {results.seeds_in_words(fitted)} only: the others have no "
            "validation run. NLL and ECE as they are, are those of the same seeds here."
        )
    return (
        "### After temperature scaling",
        "NLL and ECE of the logits over a temperature T that was fitted on the "
        f"validation run of the same seed.{some}",
        tabular.table(results.of_rows(fitted), tabular.SCALED),
    )


def page():
    """The whole text of docs/results.md."""
    chosen = choices.section(*(about.name for about in SECTIONS), EXPERTS)
    sections = (chosen, *map(section, SECTIONS), experts.section())
    return "\n".join([INTRODUCTION, *(text + "\n" for text in sections)])


def figure_name(about):
    """The file of a section's figure."""
    return f"figure3_{about.name}.png"


def write():
    """Writes the page and its figures."""
    PAGE.write_text(page(), encoding="utf-8")
    for about in SECTIONS:
        *_, figure3 = files(about)
        spread.draw(figure3, FIGURES / figure_name(about))
