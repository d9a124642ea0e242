"""The part of docs/results.md about several experts, of the lines of `experts.py`."""

import json

import result_lines
import row_tables

from ltjax.mistake import Mistake

SYSTEMS = {"ride": "RIDE", "shike": "SHIKE", "mdcs": "MDCS"}
PUBLISHED = {  # the row that is the published system
    "ride": ("sgd", "none", ""),
    "shike": ("sgd", "la", ""),
    "mdcs": ("sgd", "none", ""),
}
COMBINED = "swa", "srepr", ""
AGAINST = {
    "SGD": ("sgd", "none", ""),
    "SGD + LA": ("sgd", "la", ""),
    "SWA": ("swa", "none", ""),
    "SWA + LA": ("swa", "la", ""),
}
FILES = {  # of the one protocol, that have been made, and their seeds
    "ride": ("experts_ride_common_cpu.jsonl", (0,)),
    "shike": ("experts_shike_common_cpu.jsonl", (0,)),
    "mdcs": ("experts_mdcs_common_cpu.jsonl", (0,)),
}
ROUTE = "route_ride_cpu.json"
_COMPARED = ("all", "NLL", "ECE")


def read():
    """{system: {row: lines}} of the files; refuses what is not of one protocol."""
    found, kinds = {}, set()
    for system, (file, seeds) in FILES.items():
        rows = result_lines.of_rows(result_lines.lines_of(file, seeds))
        for row in {PUBLISHED[system], COMBINED} - rows.keys():
            raise Mistake(f"{file} has no row {row_tables.title(row)}")
        found[system] = rows
        for line in (line for lines in rows.values() for line in lines):
            views = json.dumps(line["views"], sort_keys=True)
            kinds.add((line["data"], line["epochs"], views))
    if len(kinds) > 1:
        raise Mistake(f"{', '.join(found)} were not trained alike: {sorted(kinds)}")
    return found


def section():
    """The text about all systems, and a routing's."""
    systems = read()
    names = [SYSTEMS[system] for system in systems]
    lines = [line for rows in systems.values() for ls in rows.values() for line in ls]
    parts = [
        f"## {_listed(names)} on CIFAR-100-LT, imbalance factor 100, CPU recipe",
        "Three experts each, a ResNet-32 that branches, trained for a fraction of the "
        "published 200 to 400 epochs: the level is far below the published 48 to 56 %, "
        "and the order may change with longer training. SGD is the published RIDE and "
        "MDCS, SGD + LA the published SHIKE, after its second stage. All rows are the "
        "mean of the experts' logits. SRepr's settings are those chosen for one "
        "network (`docs/decisions.md`), not for these. `experiments/experts.py` makes "
        "the figures.",
        _missing(systems),
        f"One protocol: the same images, {lines[0]['epochs']} epochs a backbone, and "
        f"the same views ({_views(lines[0]['views'])}; MDCS has two of them). What is "
        "a system's own is its network, its loss, its batch and its rate. RIDE has "
        f"these views in its own recipe, too. {result_lines.provenance({0: lines})}",
        "What SWA + SRepr on the experts changes against a row without it:",
        gains(systems),
        *(
            part
            for system, rows in systems.items()
            for part in (
                f"### {SYSTEMS[system]}, all rows",
                row_tables.table(rows, row_tables.MAIN),
            )
        ),
        "### Each expert alone",
        "Means of the accuracies of a group's classes, and over all images; the mean "
        "is that of their logits.",
        alone(systems),
        "### What an image costs",
        cost(systems),
        "### RIDE's router",
        routed(result_lines.RESULTS / ROUTE),
    ]
    return "\n\n".join(filter(None, parts))


def _missing(systems):
    absent = [name for system, name in SYSTEMS.items() if system not in systems]
    return f"Not run yet: {_listed(absent)}." if absent else ""


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


def gains(systems):
    """A table of SWA + SRepr less other rows of the same system."""
    body = []
    compared = [figure for name, _, figure, _ in row_tables.MAIN if name in _COMPARED]
    for system, rows in systems.items():
        for name, row in AGAINST.items():
            if row not in rows:
                continue
            all_, nll, ece = (
                _mean(rows[COMBINED], figure) - _mean(rows[row], figure)
                for figure in compared
            )
            better = nll < 0 and ece < 0 and all_ >= 0
            published = " (published)" if row == PUBLISHED[system] else ""
            body.append(
                [
                    f"{SYSTEMS[system]}: {name}{published}",
                    f"{all_:+.2f}",
                    f"{nll:+.3f}",
                    f"{ece:+.3f}",
                    "yes" if better else "no",
                ]
            )
    heads = ["SWA + SRepr less", "all", "NLL", "ECE", "better NLL, ECE, no loss of all"]
    return row_tables.markdown(heads, body)


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
