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
# The row that is the published system.
PUBLISHED = {"ride": _FIRST_STAGE, "shike": _SECOND_STAGE, "mdcs": _FIRST_STAGE}
COMBINED, _UNDISTILLED = ("swa", "srepr", ""), ("swa", "srepr", "b")
AGAINST = _FIRST_STAGE, _SECOND_STAGE, _LA, ("swa", "none", ""), ("swa", "la", "")
SEEDS = (0,)
# Under the one protocol: re-trained with the settings of one network, in the runs that
# trained the backbones, and on these with the settings chosen for experts, but alone.
BEFORE, ALONE, CHOSEN, OWN = (
    {name: [f"experts_{name}_{way}_cpu.jsonl"] for name in systems}
    for way, systems in (
        ("common", SYSTEMS),
        ("alone", SYSTEMS),
        ("together", SYSTEMS),  # the settings chosen
        ("own", ("shike", "mdcs")),  # own views; RIDE's are those of the one protocol
    )
)
# SHIKE's own config on the same backbones.
CHOSEN["shike"].append("shike_common_cpu.jsonl")
OWN["shike"].append("shike_own_cpu.jsonl")
ROUTE = "route_ride_cpu.json"
_COMPARED = tabular.columns("all", "NLL", "ECE")


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


def blocks():
    """What the files say of all systems, and of a routing, by its name on the page."""
    systems, before, alone, own = map(read, (CHOSEN, BEFORE, ALONE, OWN))
    lines = _lines(systems)
    every = lines + _lines(before) + _lines(alone)
    _check_alike(every, "data", "epochs", "views")
    _check_alike(lines + _lines(own), "data", "epochs")
    return {
        "epochs": str(lines[0]["epochs"]),
        "views": _views(lines[0]["views"]),
        "made by": results.provenance({0: lines}),
        "gains": gains(systems, COMBINED),
        "gains (b)": gains(systems, _UNDISTILLED),
        "settings": settings_compared(before, alone, systems),
        **_every_row(systems, "rows"),
        "each": each_expert(before, alone, systems),
        "own views": " ".join(
            f"{SYSTEMS[system]}: {_views(rows[_FIRST_STAGE][0]['views'])}."
            for system, rows in own.items()
        ),
        "own made by": results.provenance({0: _lines(own)}),
        "own gains": gains(own, COMBINED),
        "own gains (b)": gains(own, _UNDISTILLED),
        **_every_row(own, "own rows"),
        "cost": cost(systems),
        **routed(results.figures(ROUTE)),
    }


def _every_row(systems, what):
    return {
        f"{what} {system}": tabular.table(
            rows, tabular.MAIN, name=partial(title, system)
        )
        for system, rows in systems.items()
    }


def _views(views):
    told = [
        f"crops of {views['pad']} more pixels a side",
        "flips" if views["flip"] else "",
        f"rotations by up to {views['rotate']:g} degrees" if views["rotate"] else "",
        views["policy"] or "",
        f"cutout of {views['cutout']} pixels" if views["cutout"] else "",
    ]
    *others, last = filter(None, told)
    return f"{', '.join(others)} and {last}"


def gains(systems, combined):
    """A table of the row `combined` less other rows of the same system."""
    body = []
    for system, rows in systems.items():
        for row in (row for row in AGAINST if row in rows):
            all_, nll, ece = (
                tabular.mean(rows[combined], *one.path)
                - tabular.mean(rows[row], *one.path)
                for one in _COMPARED
            )
            better = nll < 0 and ece < 0 and all_ >= 0
            name = f"{SYSTEMS[system]}: {title(system, row)}"
            cells = f"{all_:+.2f}", f"{nll:+.3f}", f"{ece:+.3f}"
            body.append([name, *cells, "yes" if better else "no"])
    heads = (column.heading for column in _COMPARED)
    last = "better NLL, ECE, no loss of all"
    return tabular.markdown([f"{tabular.title(combined)} less", *heads, last], body)


def settings_compared(before, alone, together):
    """A table of what the settings of re-training change."""
    ways = {"before": before, "alone": alone, "together": together}
    body = []
    for system, rows in together.items():
        for row in (("swa", "crt", ""), ("swa", "la", ""), _UNDISTILLED, COMBINED):
            if row in rows:
                found = [
                    tabular.means(of[system][row], _COMPARED) for of in ways.values()
                ]
                body.append([f"{SYSTEMS[system]}: {tabular.title(row)}"])
                body[-1] += (cell for cells in zip(*found) for cell in cells)
    heads = [f"{one.heading}, {way}" for one in _COMPARED for way in ways]
    return tabular.markdown(["row", *heads], body)


def short():
    """A table of the published systems, and of the SWA backbone re-trained."""
    named = (
        (f"{SYSTEMS[system]}: {title(system, row)}", rows[row])
        for system, rows in read(CHOSEN).items()
        for row in (PUBLISHED[system], ("swa", "la", ""), _UNDISTILLED, COMBINED)
    )
    return tabular.plain("row", named, tabular.columns("few", "all", "NLL", "ECE"))


def title(system, row):
    """A row's name, and whether it is the published system."""
    published = row == PUBLISHED[system] == _FIRST_STAGE  # SHIKE's says so itself
    return tabular.title(row) + (" (published)" if published else "")


def each_expert(before, alone, together):
    """A table of the experts of each system's published row and of SWA + SRepr."""
    named = []
    for system, rows in together.items():
        published = PUBLISHED[system]
        for way, row, lines in (
            ("", published, rows[published]),
            (", before", COMBINED, before[system][COMBINED]),
            (", alone", COMBINED, alone[system][COMBINED]),
            (", together", COMBINED, rows[COMBINED]),
        ):
            name = f"{SYSTEMS[system]}, {title(system, row)}{way}"
            each = list(zip(*(line["experts"] for line in lines)))
            named += ((f"{name}: expert {at}", of) for at, of in enumerate(each, 1))
            named.append((f"{name}: mean of {len(each)}", lines))
    return tabular.plain("row", named, tabular.MAIN)


def cost(systems):
    """A table of parameters and multiplications."""
    costs = {name: rows[COMBINED][0]["cost"] for name, rows in systems.items()}
    body = (
        (SYSTEMS[name], f"{of['parameters']:,}", f"{of['macs'] / 1e6:.1f}")
        for name, of in costs.items()
    )
    heads = ["system", "parameters", "million multiplications an image"]
    return tabular.markdown(heads, body)


def routed(found):
    """What `python -m ltjax.route` wrote of a run: its row, shares and table."""
    shown = tabular.MAIN[:6]
    body = [
        [row["name"], *tabular.means([row], shown), f"{row['macs'] / 1e6:.1f}"]
        for row in found["rows"]
    ]
    heads = ["experts", *(one.heading for one in shown), "million multiplications"]
    shares = ", ".join(f"{100 * share:.1f} %" for share in found["stopped"])
    table = tabular.markdown(heads, body)
    return {"routed row": found["row"], "routed shares": shares, "routed": table}
