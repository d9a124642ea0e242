"""The part of docs/results.md about several experts, of the lines of `experts.py`."""

import json

import result_lines
import row_tables

from ltjax.mistake import Mistake

SYSTEMS = {"ride": "RIDE", "shike": "SHIKE", "mdcs": "MDCS"}
_FIRST_STAGE = "sgd", "none", ""
# SHIKE's, by its own config: each classifier learns alone.
_SECOND_STAGE = "sgd", "la", "published"
PUBLISHED = {  # the row that is the published system
    "ride": _FIRST_STAGE,
    "shike": _SECOND_STAGE,
    "mdcs": _FIRST_STAGE,
}
COMBINED, _UNDISTILLED = ("swa", "srepr", ""), ("swa", "srepr", "b")
AGAINST = (
    _FIRST_STAGE,
    _SECOND_STAGE,
    ("sgd", "la", ""),
    ("swa", "none", ""),
    ("swa", "la", ""),
)
SEEDS = (0,)
# The one protocol. The first classifiers learned alone, with the settings of one
# network; these files tell how long the backbones took, too.
ALONE = {
    "ride": "experts_ride_common_cpu.jsonl",
    "shike": "experts_shike_common_cpu.jsonl",
    "mdcs": "experts_mdcs_common_cpu.jsonl",
}
COMMON = {
    "ride": "experts_ride_together_cpu.jsonl",
    "shike": "experts_shike_together_cpu.jsonl",
    "mdcs": "experts_mdcs_together_cpu.jsonl",
}
OWN = {  # each system's own views; RIDE's are those of the one protocol
    "shike": "experts_shike_own_cpu.jsonl",
}
# The runs of SHIKE's own config on the same backbones.
PUBLISHED_SHIKE = {
    COMMON["shike"]: "shike_common_cpu.jsonl",
    OWN["shike"]: "shike_own_cpu.jsonl",
}
ROUTE = "route_ride_cpu.json"
_COMPARED = ("all", "NLL", "ECE")


def read(files):
    """{system: {row: lines}} of files by system; refuses rows that are missing."""
    found = {}
    for system, file in files.items():
        rows = result_lines.of_rows(result_lines.lines_of(file, SEEDS))
        for row in {_FIRST_STAGE, COMBINED} - rows.keys():
            raise Mistake(f"{file} has no row {row_tables.title(row)}")
        if file in PUBLISHED_SHIKE:
            rows = _with_second_stage(rows, PUBLISHED_SHIKE[file])
        found[system] = rows
    return found


def _with_second_stage(rows, file):
    """The rows and, after the first, that of SHIKE's own second stage."""
    own = result_lines.of_rows(result_lines.lines_of(file, SEEDS))
    for row in (_FIRST_STAGE, ("sgd", "la", "")):
        if row not in own:
            raise Mistake(f"{file} has no row {row_tables.title(row)}")
    first, other = (found[_FIRST_STAGE] for found in (rows, own))
    if [line["nll"] for line in other] != [line["nll"] for line in first]:
        raise Mistake(f"{file} is of other backbones than the table's")
    return {_FIRST_STAGE: first, _SECOND_STAGE: own["sgd", "la", ""], **rows}


def _check_alike(lines, *fields):
    """Raises `Mistake` unless all lines agree in these fields."""
    kinds = {
        tuple(json.dumps(line[field], sort_keys=True) for field in fields)
        for line in lines
    }
    if len(kinds) > 1:
        raise Mistake(f"the systems were not trained alike: {sorted(kinds)}")


def _lines(systems):
    return [line for rows in systems.values() for of in rows.values() for line in of]


def section():
    """The text about all systems, and a routing's."""
    systems, own = read(COMMON), read(OWN)
    lines = _lines(systems)
    _check_alike(lines, "data", "epochs", "views")
    _check_alike(lines + _lines(own), "data", "epochs")
    before = read(ALONE)
    _check_alike(lines + _lines(before), "data", "epochs", "views")
    names = [SYSTEMS[system] for system in systems]
    parts = [
        f"## {_listed(names)} on CIFAR-100-LT, imbalance factor 100, CPU recipe",
        "Three experts each, a ResNet-32 that branches, trained for a fraction of the "
        "published 200 to 400 epochs: the level is far below the published 48 to 56 %, "
        "and the order may change with longer training. SGD is the published RIDE and "
        "MDCS, SGD + LA (published) SHIKE after its second stage, where each expert's "
        "classifier learns alone. In all other re-trained rows linear classifiers "
        "learn together, from the error of their mean. All rows are the mean of the "
        "experts' logits. The settings of re-training were chosen on held-out images "
        "of SHIKE's (`docs/decisions.md`). `experiments/experts.py` makes the figures.",
        f"One protocol: the same images, {lines[0]['epochs']} epochs a backbone, and "
        f"the same views ({_views(lines[0]['views'])}; MDCS has two of them). What is "
        "a system's own is its network, its loss, its batch and its rate. RIDE has "
        f"these views in its own recipe, too. {result_lines.provenance({0: lines})}",
        "What SWA + SRepr on the experts changes against a row without it:",
        gains(systems, COMBINED),
        "And SWA + SRepr (b), which is not distilled:",
        gains(systems, _UNDISTILLED),
        "### Alone or together",
        "The same rows of the SWA backbone, and the same re-trained with the settings "
        "of one network (`configs/cifar100_lt_cpu.py`), each expert's classifier from "
        "its own error.",
        ways(before, systems),
        *_every_row(systems, "all rows"),
        "### Each expert alone",
        "Means of the accuracies of a group's classes, and over all images; the mean "
        "is that of their logits.",
        alone(systems),
        *_with_own_views(own),
        "### What an image costs",
        cost(systems),
        "### RIDE's router",
        routed(result_lines.RESULTS / ROUTE),
    ]
    return "\n\n".join(parts)


def _every_row(systems, what):
    for system, rows in systems.items():
        yield f"### {SYSTEMS[system]}, {what}"
        yield row_tables.table(rows, row_tables.MAIN)


def _with_own_views(systems):
    names = _listed([SYSTEMS[system] for system in systems])
    views = [
        f"{SYSTEMS[system]} {_views(_lines({system: rows})[0]['views'])}"
        for system, rows in systems.items()
    ]
    yield "### Each with its own views"
    yield (
        f"{names} in as many epochs with the views of their release, "
        f"{'; '.join(views)}. "
        f"{result_lines.provenance({0: _lines(systems)})}"
    )
    yield gains(systems, COMBINED)
    yield from _every_row(systems, "own views, all rows")


def _views(views):
    told = [
        f"crops of {views['pad']} more pixels a side",
        "flips" if views["flip"] else "",
        f"rotations by up to {views['rotate']:g} degrees" if views["rotate"] else "",
        views["policy"] or "",
        f"cutout of {views['cutout']} pixels" if views["cutout"] else "",
    ]
    return _listed(list(filter(None, told)))


def _listed(words):
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def gains(systems, combined):
    """A table of the row `combined` less other rows of the same system."""
    body = []
    compared = [figure for name, _, figure, _ in row_tables.MAIN if name in _COMPARED]
    for system, rows in systems.items():
        for row in AGAINST:
            if row not in rows:
                continue
            all_, nll, ece = (
                _mean(rows[combined], figure) - _mean(rows[row], figure)
                for figure in compared
            )
            better = nll < 0 and ece < 0 and all_ >= 0
            body.append(
                [
                    f"{SYSTEMS[system]}: {title(system, row)}",
                    f"{all_:+.2f}",
                    f"{nll:+.3f}",
                    f"{ece:+.3f}",
                    "yes" if better else "no",
                ]
            )
    heads = [
        f"{row_tables.title(combined)} less",
        "all",
        "NLL",
        "ECE",
        "better NLL, ECE, no loss of all",
    ]
    return row_tables.markdown(heads, body)


def ways(alone, together):
    """A table of what the settings of re-training change."""
    columns = [column for column in row_tables.MAIN if column[0] in _COMPARED]
    body = []
    for system, rows in together.items():
        for row in (("swa", "la", ""), _UNDISTILLED, COMBINED):
            cells = (
                f"{_mean(lines[row], figure):.{decimals}f}"
                for _, decimals, figure, _ in columns
                for lines in (alone[system], rows)
            )
            body.append([f"{SYSTEMS[system]}: {row_tables.title(row)}", *cells])
    heads = [f"{name}, {way}" for name in _COMPARED for way in ("alone", "together")]
    return row_tables.markdown(["row", *heads], body)


def title(system, row):
    """A row's name, and whether it is the published system."""
    published = row == PUBLISHED[system] != _SECOND_STAGE
    return row_tables.title(row) + (" (published)" if published else "")


def alone(systems):
    """A table of the experts of each system's published row and of SWA + SRepr."""
    body = []
    for system, rows in systems.items():
        for row in (PUBLISHED[system], COMBINED):
            lines = rows[row]
            name = f"{SYSTEMS[system]}, {row_tables.title(row)}"
            count = len(lines[0]["experts"])
            for number in range(count):
                single = [line["experts"][number] for line in lines]
                body.append([f"{name}: expert {number + 1}", *_figures(single)])
            body.append([f"{name}: mean of {count}", *_figures(lines)])
    heads = [heading for heading, *_ in row_tables.MAIN]
    return row_tables.markdown(["row", *heads], body)


def cost(systems):
    """A table of parameters and multiplications."""
    body = []
    for system, rows in systems.items():
        cost = rows[COMBINED][0]["cost"]
        figures = f"{cost['parameters']:,}", f"{cost['macs'] / 1e6:.1f}"
        body.append([SYSTEMS[system], *figures])
    heads = ["system", "parameters", "million multiplications an image"]
    return row_tables.markdown(heads, body)


def routed(path):
    """What `python -m ltjax.route` wrote of a run, as a text."""
    found = json.loads(path.read_text())
    shares = ", ".join(f"{100 * share:.1f} %" for share in found["stopped"])
    text = (
        f"`python -m ltjax.route` on the row {found['row']} of RIDE's run under the "
        f"one protocol, with the released recipe: 1, 2, ... experts saw {shares} of "
        "the test images. The multiplications of what is routed have the router's in "
        "them."
    )
    columns = (*row_tables.MAIN[:6], ("million multiplications", 1, _mega, None))
    body = [
        [
            row["name"],
            *(f"{figure(row):.{places}f}" for _, places, figure, _ in columns),
        ]
        for row in found["rows"]
    ]
    heads = [heading for heading, *_ in columns]
    return f"{text}\n\n{row_tables.markdown(['experts', *heads], body)}"


def _mega(row):
    return row["macs"] / 1e6


def _figures(lines):
    """The cells of `row_tables.MAIN`, means over seeds."""
    return [
        f"{_mean(lines, figure):.{decimals}f}"
        for _, decimals, figure, _ in row_tables.MAIN
    ]


def _mean(lines, figure):
    return sum(map(figure, lines)) / len(lines)
