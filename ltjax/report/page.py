"""The page of a run, from what the run has written."""

import numpy as np
from scipy import stats

from ltjax.data.columns import in_words
from ltjax.report import (
    closeup,
    diagrams,
    gallery,
    learning,
    markup,
    settings,
    shapes,
    table,
    tokens,
    words,
)
from ltjax.workdir import examples, results
from ltjax.workdir.files import write_text
from ltjax.workdir.rows import Row, told

_MOST_CLASSES = 200  # rows of the table of classes
_SPACES = {
    "probability": "probabilities",
    "relative": "features, relative",
}


def made(out, data):
    """Makes the page of a finished run; says where it is, or why there is none.

    `data` is the `Dataset` of which images are shown.
    """
    try:
        found = results.read(out)
        if found.chosen:
            examples.keep(out, data.test.image, found.chosen)
            found = found._replace(images=examples.read(out))
        if found.predicted:
            examples.keep_tail(out, data.train.image, data.train.label)
            found = found._replace(tail=examples.read_tail(out))
        write_text(out / markup.FILE, of_run(found))
    except Exception as error:  # whatever it is, the results stay
        return f"no {markup.FILE}: {type(error).__name__}: {error}"
    return f"a page about it is {out / markup.FILE}"


def there(out):
    """Whether a folder has a page that is not one of a run at work."""
    file = out / markup.FILE
    return file.exists() and markup.REFRESH.encode() not in file.read_bytes()


def of_run(run):
    """The page of a `results.Results` as HTML; what a run lacks is left out."""
    name = run.config.name or run.out.name
    return markup.paged(
        name,
        table.title(run.results),
        words.summary(run),
        {
            "rows": ("All rows", rows(run.results)),
            "metadata": ("What metadata are worth", _metadata(run)),
            "experts": ("Each expert alone", _experts(run.results)),
            "tokens": ("How far apart CLS and DIST are", tokens.apart(run)),
            "classes": ("Accuracy by class", _classes(run)),
            "calibration": ("Does it know when it is right?", closeup.calibration(run)),
            "refusal": ("What to leave to a person", closeup.refusal(run)),
            "strangers": ("Images of another set", closeup.strangers(run)),
            "coverage": (
                "Sets that hold the truth",
                _coverage(run.classes.get("coverage"), closeup.names(run)),
            ),
            "confusion": ("What is taken for what", closeup.confusions(run)),
            "examples": ("Most and least sure", gallery.examples(run)),
            "tail": ("The rarest classes", gallery.tail(run)),
            "dispersion": ("How far the draws disagree", _dispersion(run)),
            "activations": ("Activations that were learnt", shapes.learnt(run)),
            "training": ("Training", _training(run)),
            "every-class": ("Every class", _every_class(run)),
            "made": ("How it was made", settings.of_run(run)),
        },
    )


def rows(results):
    """The table of `results`, whose figures may be `{"mean", "std"}`."""
    lines = table.lines(results)
    if lines:
        yield markup.table(
            "All rows",
            ("row", *table.COLUMNS),
            [
                [
                    (line.name, *map(_cell, table.COLUMNS, line.figures, line.best))
                    for line in lines
                    if line.backbone == backbone
                ]
                for backbone in dict.fromkeys(line.backbone for line in lines)
            ],
            "; ".join(table.notes(results)),
        )


def _cell(column, figure, best):
    text = table.text(column, *figure)
    return markup.Bold(text) if best else text


def _metadata(run):
    """Every row with and without what is known beside images, group by group."""
    blind = {Row.of(row)._replace(blind=""): row for row in run.results["rows"]}
    pairs = [
        (row, blind[Row.of(row)])
        for row in told(run.results)
        if Row.of(blind[Row.of(row)]).blind
    ]
    if not pairs:
        return
    yield markup.paragraph(
        f"Beside each image there is {'; '.join(map(in_words, run.beside))}. Each row "
        "is tested twice, with that and with zeros, as if nothing were known."
    )
    yield markup.table(
        "With metadata, without, and the difference",
        ("row", *table.COLUMNS),
        [_compared(*pair) for pair in pairs],
        "accuracy in %, differences in points",
    )


def _compared(seen, absent):
    """Three lines: of a row, of the same without metadata, and the first less it."""
    yield table.label(seen), *_figures(seen)
    yield "without metadata", *_figures(absent)
    cells = []
    for column in table.COLUMNS:
        one, other = (table.figure(row, column)[0] for row in (seen, absent))
        digits = 3 if column in ("NLL", "ECE", "Brier") else 2
        known = None not in (one, other)
        cells.append(words.signed(one - other, digits) if known else "-")
    yield "difference", *cells


def _experts(results):
    several = [row for row in told(results) if "experts" in row]
    if several:
        yield markup.table(
            "Each expert alone",
            ("row", *table.COLUMNS),
            [
                [
                    *(
                        (f"{table.label(row)}, expert {number}", *_figures(single))
                        for number, single in enumerate(row["experts"], 1)
                    ),
                    (f"{table.label(row)}, mean of their logits", *_figures(row)),
                ]
                for row in several
            ],
        )


def _figures(row):
    return (table.text(name, *table.figure(row, name)) for name in table.COLUMNS)


def accuracies(run):
    """Percent right per class, [C], of the rows looked at, by name as it is read."""
    found = run.classes.get("accuracy", {})
    return {
        label: 100 * _array(found[name])
        for name, label in closeup.names(run).items()
        if name in found
    }


def _classes(run):
    curves = accuracies(run)
    if curves:
        yield markup.figure(
            "Above, right test images of each class; below, images it was trained on, "
            "on a logarithmic scale. Of many classes, dots are the classes and lines "
            "means over neighbours.",
            diagrams.per_class(curves, run.counts, run.groups, ylim=(-2, 102)),
        )


def _coverage(found, names):
    if found:
        lines = [
            (name, f"{100 * of['coverage']:.1f} %", f"{of['size']:.2f}")
            for name, of in found["groups"].items()
            if of
        ]
        head = ("group", "sets that hold the true class", "classes in a set")
        yield markup.paragraph(
            "Sets of classes that are to hold the true one for "
            f"{100 * found['asked']:g} % of images, by {names[found['row']]}: one half "
            f"of the test images, {found['calibration']:,}, calibrates, the other is "
            f"measured; the mean of {found['splits']} halvings. ltjax.predict "
            "--coverage calibrates with all of them."
        )
        yield markup.table("Conformal sets", head, [lines])


def _dispersion(run):
    spaces = run.classes.get("dispersion", {})
    panels = []
    for space, name in _SPACES.items():
        values = _array(spaces.get(space, []))
        known = ~np.isnan(values)
        if known.any():
            title = name
            if all(np.ptp(each[known]) > 0 for each in (run.counts, values)):
                rho = stats.spearmanr(run.counts[known], values[known]).statistic
                title += f": ρ = {words.signed(rho, 2)}"
            panels.append(diagrams.dispersion(title, values, run.counts, run.groups))
    if panels:
        yield markup.figure(
            "The squared spread of the posterior's draws, as the mean over each "
            "class's test images, of features over their squared length; ρ is "
            "Spearman's rank correlation with the number of training images. By the "
            "paper rare classes have the larger spread.",
            *panels,
        )


def _training(run):
    if run.epochs:
        yield from learning.curves(run.epochs, run.swa_start)
    elif run.results["rows"]:
        yield markup.paragraph(
            "The backbones were taken over from another run, which has their curves.",
            "soft",
        )


def _every_class(run):
    curves = accuracies(run)
    if not curves:
        return
    order = np.argsort(-run.counts, kind="stable")
    spaces = run.classes.get("dispersion", {})
    spread = 1000 * _array(spaces.get("probability", [None] * len(order)))
    known, half = closeup.class_names(run), _MOST_CLASSES // 2
    kept = order if len(order) <= 2 * half else [*order[:half], *order[-half:]]
    by_group = {group: [] for group in run.groups}
    for at in kept:
        group = next(name for name, mask in run.groups.items() if mask[at])
        cells = (known[at], f"{run.counts[at]:,}")
        accuracy = (_text(values[at]) for values in curves.values())
        by_group[group].append((*cells, *accuracy, _text(spread[at])))
    note = "right test images in %; spread of the draws' probabilities in thousandths"
    if len(kept) < len(order):
        note += f"; {len(order) - len(kept)} in the middle are left to classes.json"
    head = ("class", "trained on", *curves, "spread")
    yield markup.details(
        f"{len(order)} classes, from the most training images to the fewest",
        markup.table("Every class", head, by_group.values(), note),
    )


def _text(value):
    return "-" if np.isnan(value) else f"{value:.1f}"


def _array(values):
    return np.array([np.nan if value is None else value for value in values], float)
