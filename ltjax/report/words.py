"""What a run says, in sentences that are computed from its figures."""

from ltjax.evaluation.reliability import difference
from ltjax.report.table import label
from ltjax.workdir.rows import Row, told

_MEANING = {
    "many": "more than 100",
    "medium": "20 to 100",
    "few": "fewer than 20",
}
MINUS = "\N{MINUS SIGN}"
_FIXED = "\N{NO-BREAK SPACE}"  # a line does not end there
# Of confidence less accuracy; closer is not worth a word.
_CLOSE = 0.01


def summary(run):
    """A paragraph about a `results.Results`: what it gets right, and if it knows."""
    rows = {Row.of(row).key: row for row in run.results["rows"] if not row["variant"]}
    shown = [rows[name] for name in run.shown]
    if not shown:
        return ""
    *others, last = shown
    sentences = [_right(last, run)]
    if others:
        sentences.append(_gain(last, others[0], run))
    known = [row for row in shown[1:] if Row.of(row).key in run.predicted]
    if len(known) > 1:
        sentences.append(_against(*reversed(known), run))
    if known:
        sentences.append(_sureness(known[::-1], run))
    return " ".join([*sentences, _best(run.results)])


def signed(value, digits=1):
    """A difference, with its sign."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def _right(row, run):
    parts = [
        f"{row['acc'][group]:.1f} % in the {mask.sum()} {group}-shot "
        f"{'class' if mask.sum() == 1 else 'classes'} ({_MEANING[group]}"
        for group, mask in run.groups.items()
        if row["acc"][group] is not None
    ]
    # What the numbers are of is said once.
    parts = [parts[0] + " training images)", *(f"{part})" for part in parts[1:])]
    images = run.results["dataset"]["test"]
    return (
        f"{label(row)} is right on {row['acc']['all']:.1f} % of the {images:,} test "
        f"images: {_listed(parts)}."
    )


def _gain(row, before, run):
    """What re-training changed where there are the fewest images, and the most."""
    known = [group for group in run.groups if row["acc"][group] is not None]
    changes = {group: row["acc"][group] - before["acc"][group] for group in known}
    rarest, largest = known[-1], known[0]
    told = f"{signed(changes[rarest])} points in the {rarest}-shot classes"
    if rarest != largest:
        told += f" and {signed(changes[largest])} in the {largest}-shot ones"
    return f"Compared with {label(before)}, not re-trained, that is {told}."


def _against(row, other, run):
    """The difference of two rows, and whether so many images can tell it."""
    right = [run.predicted[Row.of(r).key].label == run.labels for r in (row, other)]
    gap, error = (100 * value for value in difference(*right))
    spread = f"±{_FIXED}{error:.1f} points"
    told = f"as often right as {label(other)}, {spread}"
    if round(gap, 1):
        way = "below" if gap < 0 else "above"
        verdict = "more than chance" if abs(gap) > 2 * error else "which may be chance"
        told = f"{abs(gap):.1f} {spread} {way} {label(other)}, {verdict}"
    return f"On all images it is {told} (standard error, on the same images)."


def _sureness(rows, run):
    """Mean confidence against accuracy, and the ECE, of one row or two."""
    parts = []
    for row in rows:
        predicted = run.predicted[Row.of(row).key]
        right = predicted.label == run.labels
        gap = float(predicted.confidence.mean() - right.mean())
        how = "about as sure as it is right"
        if abs(gap) > _CLOSE:
            way = "surer" if gap > 0 else "less sure"
            how = f"{way} than it is right by {100 * abs(gap):.1f} points"
        known = {g: e for g, e in row["group_ece"].items() if e is not None}
        worst = max(known, key=known.get)
        parts.append(
            f"{label(row)} is {how} (ECE {row['ece']:.3f}, in the {worst}-shot classes "
            f"{known[worst]:.3f})"
        )
    return f"On average {_listed(parts)}."


def _best(results):
    """The best rows of a single pass; who has two of the figures is named once."""
    rows = [row for row in told(results) if row["backbone"] != "swag"]
    # Equal as the table tells them: of few test images many rows get as many right.
    right = f"{max(row['acc']['all'] for row in rows):.2f}"
    first, *others = (row for row in rows if f"{row['acc']['all']:.2f}" == right)
    likely = min(rows, key=lambda row: row["nll"])
    honest = min(rows, key=lambda row: row["ece"])
    name, verb = label(first), "has"
    if others:
        shared = "1 other" if len(others) == 1 else f"{len(others)} others"
        name, verb = f"{name} and {shared}", "have"
    figures = {name: [f"{verb} the highest accuracy ({first['acc']['all']:.1f} %)"]}
    for row, figure in (
        (likely, f"the lowest NLL ({likely['nll']:.3f})"),
        (honest, f"the lowest ECE ({honest['ece']:.3f})"),
    ):
        figures.setdefault(label(row), []).append(figure)
    parts = [f"{name} {_listed(found)}" for name, found in figures.items()]
    return f"Of all rows of a single pass, {_listed(parts)}."


def _listed(parts):
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
