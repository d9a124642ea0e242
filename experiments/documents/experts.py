"""The part of docs/results.md about several experts, of `lines.py experts`."""

import json
from functools import partial

import results
import tabular

from ltjax.mistake import Mistake

SYSTEMS = {"ride": "RIDE", "shike": "SHIKE", "mdcs": "MDCS"}
_FIRST_STAGE, _LA = ("sgd", "none", ""), ("sgd", "la", "")
# SHIKE's, by its own config: each classifier learns alone.
_SECOND_STAGE = "sgd", "la", "published"
PUBLISHED = {  # the row that is the published system
    "ride": _FIRST_STAGE,
    "shike": _SECOND_STAGE,
    "mdcs": _FIRST_STAGE,
}
COMBINED, _UNDISTILLED = ("swa", "srepr", ""), ("swa", "srepr", "b")
AGAINST = _FIRST_STAGE, _SECOND_STAGE, _LA, ("swa", "none", ""), ("swa", "la", "")
SEEDS = (0,)
# Under the one protocol: re-trained with the settings of one network, in the runs that
# trained the backbones, and on these with the settings chosen for experts, but alone.
BEFORE = {
    "ride": ("experts_ride_common_cpu.jsonl",),
    "shike": ("experts_shike_common_cpu.jsonl",),
    "mdcs": ("experts_mdcs_common_cpu.jsonl",),
}
ALONE = {
    "ride": ("experts_ride_alone_cpu.jsonl",),
    "shike": ("experts_shike_alone_cpu.jsonl",),
    "mdcs": ("experts_mdcs_alone_cpu.jsonl",),
}
# The settings chosen. The second file is that of SHIKE's own config, same backbones.
CHOSEN = {
    "ride": ("experts_ride_together_cpu.jsonl",),
    "shike": ("experts_shike_together_cpu.jsonl", "shike_common_cpu.jsonl"),
    "mdcs": ("experts_mdcs_together_cpu.jsonl",),
}
# With each system's own views; RIDE's are those of the one protocol.
OWN = {
    "shike": ("experts_shike_own_cpu.jsonl", "shike_own_cpu.jsonl"),
    "mdcs": ("experts_mdcs_own_cpu.jsonl",),
}
ROUTE = "route_ride_cpu.json"
_COMPARED = tabular.columns("all", "NLL", "ECE")
_EVERY = [column.heading for column in tabular.MAIN]


def read(files):
    """{system: {row: lines}} of files by system; refuses rows that are missing."""
    found = {}
    for system, (file, *second) in files.items():
        rows = _rows(file, _FIRST_STAGE, COMBINED)
        for other in second:
            rows = _with_second_stage(rows, other)
        found[system] = rows
    return found


def _rows(file, *needed):
    rows = results.of_rows(results.by_seed(file, SEEDS))
    for row in needed:
        if row not in rows:
            raise Mistake(f"{file} has no row {tabular.title(row)}")
    return rows


def _with_second_stage(rows, file):
    """The rows and, after the first, that of SHIKE's own second stage."""
    own = _rows(file, _FIRST_STAGE, _LA)
    first, other = (found[_FIRST_STAGE] for found in (rows, own))
    if [line["nll"] for line in other] != [line["nll"] for line in first]:
        raise Mistake(f"{file} is of other backbones than the table's")
    return {_FIRST_STAGE: first, _SECOND_STAGE: own[_LA], **rows}


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
    systems, before, alone, own = map(read, (CHOSEN, BEFORE, ALONE, OWN))
    lines = _lines(systems)
    every = lines + _lines(before) + _lines(alone)
    _check_alike(every, "data", "epochs", "views")
    _check_alike(lines + _lines(own), "data", "epochs")
    names = [SYSTEMS[system] for system in systems]
    parts = [
        f"## {_listed(names)} on CIFAR-100-LT, imbalance factor 100, CPU recipe",
        "Three experts each, a ResNet-32 that branches, trained for a fraction of the "
        "published 200 to 400 epochs: the level is far below the published 48 to 56 %, "
        "and the order may change with longer training. The published systems are the "
        "rows SGD of RIDE and MDCS, and SGD + LA (published) of SHIKE, whose second "
        "stage trains each expert's classifier by its own loss. In all other "
        "re-trained rows linear classifiers learn together, from the loss of their "
        "mean logits. Every row is scored on the mean of the experts' logits. "
        "`experiments/tables/lines.py experts` makes the figures.",
        "The settings of re-training were chosen on held-out images, with SHIKE only, "
        "from a list that grew after first figures of this test set had been seen "
        "([Decisions](decisions.md)).",
        f"One protocol: the same images, {lines[0]['epochs']} epochs a backbone, and "
        f"the same views ({_views(lines[0]['views'])}; MDCS has two of them). What is "
        "a system's own is its network, its loss, its batch and its rate. RIDE has "
        f"these views in its own recipe, too. {results.provenance({0: lines})}",
        "What SWA + SRepr on the experts changes against a row without it:",
        gains(systems, COMBINED),
        "And SWA + SRepr (b), which is not distilled:",
        gains(systems, _UNDISTILLED),
        "### Settings of one network, and those chosen for experts",
        "The SWA backbone's rows with the settings of `configs/cifar100_lt.py:cpu` "
        "(before: each classifier alone, a rate of 0.1, a weight decay of 0.0005, "
        "α = 0.6, T = 4), with those chosen for LA and SRepr, but each classifier "
        "still alone, and with all that was chosen, together.",
        settings_compared(before, alone, systems),
        *_every_row(systems, "all rows"),
        "### Each expert alone",
        "Means of the accuracies of a group's classes, and over all images; the mean "
        "is that of their logits. Before and alone as above; experts that learned "
        "together are no classifiers by themselves.",
        each_expert(before, alone, systems),
        *_with_own_views(own),
        "### What an image costs",
        cost(systems),
        "### RIDE's router",
        routed(results.figures(ROUTE)),
    ]
    return "\n\n".join(parts)


def _every_row(systems, what):
    for system, rows in systems.items():
        yield f"### {SYSTEMS[system]}, {what}"
        yield tabular.table(rows, tabular.MAIN, name=partial(title, system))


def _with_own_views(systems):
    views = (
        f"{SYSTEMS[system]}: {_views(rows[_FIRST_STAGE][0]['views'])}."
        for system, rows in systems.items()
    )
    yield "### Each with its own views"
    yield (
        "The same images and epochs, each system with the views of its release; "
        f"RIDE's are those above. {' '.join(views)} "
        f"{results.provenance({0: _lines(systems)})}"
    )
    yield gains(systems, COMBINED)
    yield gains(systems, _UNDISTILLED)
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
    for system, rows in systems.items():
        for row in AGAINST:
            if row not in rows:
                continue
            less = [
                tabular.mean(rows[combined], *column.path)
                - tabular.mean(rows[row], *column.path)
                for column in _COMPARED
            ]
            all_, nll, ece = less
            better = nll < 0 and ece < 0 and all_ >= 0
            cells = [
                f"{gap:+.{column.decimals}f}" for gap, column in zip(less, _COMPARED)
            ]
            name = f"{SYSTEMS[system]}: {title(system, row)}"
            body.append([name, *cells, "yes" if better else "no"])
    heads = [
        f"{tabular.title(combined)} less",
        "all",
        "NLL",
        "ECE",
        "better NLL, ECE, no loss of all",
    ]
    return tabular.markdown(heads, body)


def settings_compared(before, alone, together):
    """A table of what the settings of re-training change."""
    ways = {"before": before, "alone": alone, "together": together}
    body = []
    for system, rows in together.items():
        for row in (("swa", "crt", ""), ("swa", "la", ""), _UNDISTILLED, COMBINED):
            if row not in rows:
                continue
            of_ways = [
                tabular.means(way[system][row], _COMPARED) for way in ways.values()
            ]
            name = f"{SYSTEMS[system]}: {tabular.title(row)}"
            body.append([name, *(cell for cells in zip(*of_ways) for cell in cells)])
    heads = [f"{one.heading}, {way}" for one in _COMPARED for way in ways]
    return tabular.markdown(["row", *heads], body)


def short():
    """A table of the published systems, and of the SWA backbone re-trained."""
    shown = tabular.columns("few", "all", "NLL", "ECE")
    body = [
        [f"{SYSTEMS[system]}: {title(system, row)}", *tabular.means(rows[row], shown)]
        for system, rows in read(CHOSEN).items()
        for row in (PUBLISHED[system], ("swa", "la", ""), _UNDISTILLED, COMBINED)
    ]
    return tabular.markdown(["row", *(one.heading for one in shown)], body)


def title(system, row):
    """A row's name, and whether it is the published system."""
    published = row == PUBLISHED[system] == _FIRST_STAGE  # SHIKE's says so itself
    return tabular.title(row) + (" (published)" if published else "")


def each_expert(before, alone, together):
    """A table of the experts of each system's published row and of SWA + SRepr."""
    body = []
    for system, rows in together.items():
        for way, row, lines in (
            ("", PUBLISHED[system], rows[PUBLISHED[system]]),
            (", before", COMBINED, before[system][COMBINED]),
            (", alone", COMBINED, alone[system][COMBINED]),
            (", together", COMBINED, rows[COMBINED]),
        ):
            name = f"{SYSTEMS[system]}, {title(system, row)}{way}"
            count = len(lines[0]["experts"])
            for number in range(count):
                single = [line["experts"][number] for line in lines]
                body.append(
                    [
                        f"{name}: expert {number + 1}",
                        *tabular.means(single, tabular.MAIN),
                    ]
                )
            body.append(
                [f"{name}: mean of {count}", *tabular.means(lines, tabular.MAIN)]
            )
    return tabular.markdown(["row", *_EVERY], body)


def cost(systems):
    """A table of parameters and multiplications."""
    body = []
    for system, rows in systems.items():
        cost = rows[COMBINED][0]["cost"]
        figures = f"{cost['parameters']:,}", f"{cost['macs'] / 1e6:.1f}"
        body.append([SYSTEMS[system], *figures])
    heads = ["system", "parameters", "million multiplications an image"]
    return tabular.markdown(heads, body)


def routed(found):
    """What `python -m ltjax.route` wrote of a run, as a text."""
    shares = ", ".join(f"{100 * share:.1f} %" for share in found["stopped"])
    text = (
        f"`python -m ltjax.route` on the row {found['row']} of RIDE's run under the "
        f"one protocol, with the released recipe: 1, 2, ... experts saw {shares} of "
        "the test images. The multiplications of what is routed have the router's in "
        "them."
    )
    shown = tabular.MAIN[:6]
    body = [
        [row["name"], *tabular.means([row], shown), f"{row['macs'] / 1e6:.1f}"]
        for row in found["rows"]
    ]
    heads = ["experts", *(one.heading for one in shown), "million multiplications"]
    return f"{text}\n\n{tabular.markdown(heads, body)}"
