"""The rows that a page looks at closely: what they say of every test image."""

import numpy as np

from ltjax.evaluation import confusion
from ltjax.evaluation.refusal import risks
from ltjax.evaluation.reliability import reliability
from ltjax.report import diagrams, markup, sureness, table
from ltjax.workdir.rows import Row

_MOST_PAIRS = 12  # mistakes that are listed


def names(run):
    """The rows of a `results.Results` looked at, as they are read, by their names."""
    rows = {Row.of(row).key: row for row in run.results["rows"]}
    return {name: table.label(rows[name]) for name in run.shown}


def predicted(run):
    """Those of them whose predictions were kept."""
    return {name: label for name, label in names(run).items() if name in run.predicted}


def class_names(run):
    """The name of every class, as its files have it, or its number."""
    known = run.results["dataset"].get("class_names")
    return known or [f"class {number}" for number in range(run.counts.size)]


def calibration(run):
    """Reliability diagrams, over all images and group by group, and histograms."""
    rows = predicted(run)
    if not rows:
        return
    figures = {Row.of(row).key: row for row in run.results["rows"]}
    # Without re-training it would be a third line that hides the two that matter.
    compared = dict(list(rows.items())[-2:])
    panels = []
    for group, mask in {"all": np.ones(run.counts.size, bool), **run.groups}.items():
        own = mask[run.labels]
        if not own.any():
            continue
        bins = {}
        for name, label in compared.items():
            row = figures[name]
            ece = row["ece"] if group == "all" else row["group_ece"][group]
            bins[f"{label}, ECE {ece:.3f}"] = _bins(run, name, own)
        title = f"{group}: {own.sum():,} test images"
        panels.append(sureness.reliability(title, bins))
    yield markup.figure(
        "Right images against confidence, in 15 bins, with 95 % intervals. On the "
        "diagonal a row is as sure as it is right, below it too sure. Marks grow with "
        "the number of images, whose distribution is below; lines join neighbours "
        f"of {diagrams.ENOUGH} or more. Groups are those of the true class.",
        *panels,
    )
    yield from _scaled(run.results)
    yield markup.heading("Confidences")
    yield markup.figure(
        "Test images by the probability of their top label. Where the dashed line is "
        "to the right of the solid one, the row is too sure.",
        *(
            sureness.confidence(label, _bins(run, name, bins=20))
            for name, label in rows.items()
        ),
    )


def _scaled(results):
    """What calibrating the rows has changed."""
    told = {
        table.label(row): (row, row["calibration"])
        for row in results["rows"]
        if "calibration" in row
    }
    if not told:
        return
    columns = {"nll": "NLL", "ece": "ECE", "brier": "Brier"}
    images = max(own["images"] for _, own in told.values())
    yield markup.heading("What a temperature has changed")
    yield markup.table(
        "Temperatures",
        (
            "row",
            "temperature",
            *(f"{name}: before, after" for name in columns.values()),
        ),
        [
            [
                (
                    name,
                    f"{own['temperature']:.3f}" + " and biases" * ("bias" in own),
                    *(f"{own['before'][of]:.3f}, {row[of]:.3f}" for of in columns),
                )
                for name, (row, own) in told.items()
            ]
        ],
        f"Fitted on {images:,} images that were held out of all training, classes "
        "weighing the same; measured on the test images, which nothing was fitted to.",
    )


def _bins(run, name, own=slice(None), bins=15):
    said, labels = run.predicted[name], run.labels[own]
    right = said.label[own] == labels
    return reliability(said.confidence[own], right, bins)


def refusal(run):
    """What refusing the least sure predictions buys, by each score there is."""
    rows = predicted(run)
    if not rows:
        return
    name, label = list(rows.items())[-1]
    last = run.predicted[name]
    right = last.label == run.labels
    scores = last.sureness
    panels = []
    for group, mask in {"all": np.ones(run.counts.size, bool), **run.groups}.items():
        own = mask[run.labels]
        if own.any():
            curves = {by: risks(score[own], right[own]) for by, score in scores.items()}
            title = f"{group}: {own.sum():,} test images"
            panels.append(sureness.risk(title, curves))
    yield markup.figure(
        f"{label}: how many predictions are wrong where only the surest are kept and "
        "the others are left to a person; of each group by itself. Sure by "
        f"{', '.join(scores)}: high confidence, low entropy"
        f"{', draws that agree' * ('disagreement' in scores)}.",
        *panels,
    )
    told = {Row.of(row).key: row for row in run.results["rows"]}[name].get("refusal")
    if told:
        groups = [
            group
            for group, area in told["confidence"]["aurc"].items()
            if area is not None
        ]
        yield markup.table(
            "What refusing buys",
            ("sure by", "kept", *(f"{group}: right, (kept)" for group in groups)),
            [
                [
                    (by, f"{share} %", *(_kept(of[group]) for group in groups))
                    for share, of in figures["at"].items()
                ]
                for by, figures in told.items()
            ],
            "kept: the share of all test images that is; right: of those of the "
            "group, in %, and behind it how many of the group are kept, in %",
        )


def strangers(run):
    """Whether images of another set are known as such."""
    found = run.results.get("strangers")
    if found:
        rows = names(run)
        yield markup.table(
            "Strangers",
            ("row", "by", "AUROC", "strangers that pass, %"),
            [
                [
                    (
                        rows.get(name, name),
                        by,
                        f"{of['auroc']:.3f}",
                        f"{100 * of['fpr95']:.1f}",
                    )
                    for by, of in scores.items()
                ]
                for name, scores in found["rows"].items()
            ],
            f"{found['images']:,} images of another set. AUROC: how often a test image "
            "is surer than a stranger, 0.5 by chance; strangers that pass where 95 % "
            "of the test images do (FPR95).",
            words=(1,),
        )


def _kept(of):
    if of["acc"] is None:
        return f"- ({of['kept']:.0f})"
    return f"{of['acc']:.1f} ({of['kept']:.0f})"


def confusions(run):
    """Which groups the images of each group go to, and the most frequent mistakes."""
    rows = predicted(run)
    if not rows:
        return
    groups = {group: mask for group, mask in run.groups.items() if mask.any()}
    yield markup.figure(
        "Of the test images of each group, those that are right, and those taken for "
        f"another class with {' or '.join(groups)} training images.",
        *(
            diagrams.confusion(
                label, confusion.between(run.labels, run.predicted[name].label, groups)
            )
            for name, label in rows.items()
        ),
    )
    name, label = list(rows.items())[-1]
    pairs = confusion.pairs(run.labels, run.predicted[name].label, _MOST_PAIRS)
    if not pairs:
        return
    known, counts = class_names(run), run.counts
    yield markup.heading(f"The most frequent mistakes of {label}")
    yield markup.table(
        "The most frequent mistakes",
        ("true class", "trained on", "taken for", "trained on", "images", "share"),
        [
            [
                (
                    known[true],
                    f"{counts[true]:,}",
                    known[said],
                    f"{counts[said]:,}",
                    f"{images:,}",
                    f"{100 * share:.0f} %",
                )
                for true, said, images, share in pairs
            ]
        ],
        "trained on: training images of that class; share: of the test images of the "
        "true class",
        words=(2,),
    )
