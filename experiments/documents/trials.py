"""Tables of what was tried, one line for each choice: sweeps, statistics, methods."""

import results
from tabular import MAIN, columns, markdown, named, title

from ltjax.classifier import METHODS
from ltjax.report.aggregate import moments

_LOWEST = 30
# Of batch-norm statistics: a row's place in the results, and its figures.
_STATISTICS = {
    "sgd": (
        ("sgd", "none", "none", ("all", "NLL", "ECE")),
        ("sgd", "la_posthoc", "LA post-hoc", ("all", "few", "NLL", "ECE")),
        ("sgd", "la", "LA re-trained", ("all", "few", "NLL")),
    ),
    "swa": (
        ("swa", "la_posthoc", "LA post-hoc", ("all", "few", "NLL")),
        ("swa", "la", "LA", ("all", "NLL", "ECE")),
        ("swa", "srepr", "SRepr", ("all", "few", "NLL", "ECE")),
        ("swag", "la", "SWAG + LA", ("all", "NLL", "ECE")),
    ),
}
_SPACES = "representation", "relative", "probability"


def sweep(file):
    """The choices of `sweep.py`, lowest NLL first."""
    heads = "classifier", "draws", "views", "all", "NLL", "less the lowest", "ECE"
    body = (
        (_named(line), line["samples"], line["views"], *_swept(line))
        for line in _by_nll(file)
    )
    return markdown(heads, body)


def expert_sweep(file):
    """The same of several experts: the `_LOWEST`, and all lines but SRepr's."""
    learned = "classifiers learn", "rate", "decay"
    heads = *learned, "classifier", "all", "NLL", "less the lowest", "ECE"
    body, lines = [], _by_nll(file)
    for place, line in enumerate(lines):
        distilled = line["classifier"] == "srepr" and not line["variant"]
        if place < _LOWEST or not distilled:
            how = line["experts"], f"{line['lr']:g}", f"{line['weight_decay']:g}"
            how = ("–",) * 3 if line["classifier"] == "none" else how
            body.append((*how, _named(line), *_swept(line)))
    return f"{markdown(heads, body, text=(0, 3))}\n\n{_both_ways(lines)}"


def _both_ways(lines):
    """In how many choices that were fitted both ways classifiers gain together."""
    ways = {"alone": {}, "together": {}}
    for line in lines:
        key = line["lr"], line["weight_decay"], _named(line)
        ways[line["experts"]][key] = line
    both = ways["alone"].keys() & ways["together"].keys()
    nll, ece = (
        sum(ways["together"][one][name] < ways["alone"][one][name] for one in both)
        for name in ("nll", "ece")
    )
    return (
        f"Of {len(both)} choices that were fitted both ways, together has the lower "
        f"NLL in {nll} and the lower ECE in {ece}."
    )


def _by_nll(file):
    return sorted(results.lines(file), key=lambda line: line["nll"])


def _swept(line):
    gap = f"{line['gap']:.4f} ± {line['gap_se']:.4f}"
    return f"{line['acc']['all']:.2f}", f"{line['nll']:.4f}", gap, f"{line['ece']:.3f}"


def _named(line):
    if line["classifier"] == "none":
        return "that of stage one"
    if line["variant"] == "b":
        return "SRepr (b)"
    if line["classifier"] == "la":
        return "LA, head of stage one" if line["variant"] else "LA"
    choice = line["srepr"]
    warm = f", T = {choice['temperature']:g}" if choice["form"] == "mean" else ""
    start = ", head of stage one" if choice["head"] == "stage_one" else ""
    return (
        f"{choice['form']}{warm}, α = {choice['alpha']:g}, LA on {choice['on']}{start}"
    )


# The rows that a choice of stage one is told by.
_STAGE_ONE = (
    *(("sgd", "none", ""), ("sgd", "la", "")),
    *(("swa", "none", ""), ("swa", "la", ""), ("swa", "srepr", "")),
)


def stage_one(file):
    """The choices of `stage_one.py` in their order, means over seeds."""
    found = {}
    for line in results.lines(file):
        row = line["backbone"], line["classifier"], line["variant"]
        found.setdefault(line["change"], {}).setdefault(row, []).append(line)
    shown = columns("all", "NLL", "ECE")

    def cell(lines):
        if not lines:  # not of this change
            return "–"
        means = (moments([one.of(line) for line in lines])["mean"] for one in shown)
        return " / ".join(f"{m:.{one.decimals}f}" for m, one in zip(means, shown))

    body = (
        (change, *(cell(rows.get(row, [])) for row in _STAGE_ONE))
        for change, rows in found.items()
    )
    heads = (f"{title(row)}: all / NLL / ECE" for row in _STAGE_ONE)
    return markdown(("change", *heads), body)


def methods(file):
    """The rows of the SWA backbone, means over seeds; at T where one was fitted."""
    rows = {}
    for line in results.lines(file):
        if line["backbone"] == "swa":
            rows.setdefault((line["classifier"], line["variant"]), []).append(line)
    del rows["srepr", "c-mean"]  # the headline row under its own name
    scaled = [
        one._replace(heading=f"{one.heading} at T", path=(f"{one.path[0]}_scaled",))
        for one in columns("NLL", "ECE")
    ]
    shown = [*columns("few", "all", "NLL", "ECE"), *scaled]

    def mean(lines, column):
        values = [column.of(line) for line in lines]
        found = moments([value for value in values if value is not None])["mean"]
        return f"{found:.{column.decimals}f}"

    body = (
        (_method(*name), *(mean(lines, column) for column in shown))
        for name, lines in rows.items()
    )
    heads = ("classifier", *(column.heading for column in shown))
    return markdown(heads, body, text=None)


# What the lines of pretrained networks are of, by config; and of new weights.
_BEGUN = {
    "pretrained_cifar100_probe": "head, 96 pixels",
    "pretrained_cifar100": "last block, 128 pixels",
    "cifar100_lt_cpu": "ResNet-32 from new weights",
}
_FROM_NEW = ("sgd", "la"), ("swa", "la"), ("swa", "srepr")
_FROM_KNOWN = ("sgd", "none"), ("swa", "none"), *_FROM_NEW, ("swag", "srepr")


def pretrained(file, beside="table2_cifar100_lt100_cpu.jsonl"):
    """Some rows of networks that knew ImageNet, and of one that knew nothing."""

    def some(file, wanted):
        return [
            line
            for line in results.lines(file)
            if line["seed"] == 0
            and (line["backbone"], line["classifier"]) in wanted
            and not line["variant"]
        ]

    body = []
    for line in [*some(beside, _FROM_NEW), *some(file, _FROM_KNOWN)]:
        row = title((line["backbone"], line["classifier"], line["variant"]))
        figures = (f"{column.of(line):.{column.decimals}f}" for column in MAIN)
        body.append((_BEGUN[line["config"]], row, *figures))
    heads = ("what learns", "row", *(column.heading for column in MAIN))
    return markdown(heads, body, text=(0, 1))


def _method(classifier, variant):
    known = METHODS.get(classifier)
    return named(known.TITLE if known else "that of stage one", variant)


def statistics(file, of, images):
    """The rules of batch norm for the backbone `of`, on "held out" or "test"."""
    rules = {}
    for line in results.lines(file):
        if line["of"] == of and line["set"] == images:
            row = line["backbone"], line.get("classifier", "dispersion")
            rules.setdefault(line["statistics"], {})[row] = line
    rows = _STATISTICS[of]
    heads = ["statistics", *(f"{name}: {' / '.join(of)}" for *_, name, of in rows)]
    body = []
    for rule, found in rules.items():
        cells = [_cell(found.get(tuple(place)), names) for *place, _, names in rows]
        if of == "swa":
            ranks = found["swag", "dispersion"]["rank_correlation"]
            cells.append(" / ".join(f"{ranks[space]:+.2f}" for space in _SPACES))
        body.append([rule, *cells])
    if of == "swa":
        heads.append("rank correlation of dispersion with class count")
    return markdown(heads, body, text=None)


def _cell(line, names):
    if line is None:
        return "–"
    shown = (next(one for one in MAIN if one.heading == name) for name in names)
    decimals = {"all": 1, "few": 1}
    return " / ".join(
        f"{one.of(line):.{decimals.get(one.heading, one.decimals)}f}" for one in shown
    )
