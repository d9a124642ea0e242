"""The part of docs/results.md about several experts, of the lines of `experts.py`."""

import json

import row_tables

from ltjax.mistake import Mistake

TITLES = {"ride": "RIDE", "shike": "SHIKE", "mdcs": "MDCS"}
PUBLISHED = {  # the row that is the published system
    "ride": ("sgd", "none", ""),
    "shike": ("sgd", "la", ""),
    "mdcs": ("sgd", "none", ""),
}
COMBINED = "swa", "srepr", ""
AGAINST = {"SGD": ("sgd", "none", ""), "SGD + LA": ("sgd", "la", "")} | {
    "SWA": ("swa", "none", ""),
    "SWA + LA": ("swa", "la", ""),
}
PROTOCOLS = {
    "common": (
        "One protocol",
        "The same images, {epochs} epochs a backbone, and for all three the views that "
        "RIDE has: crops, flips and rotations by up to 15 degrees (MDCS has two of "
        "them). What is a system's own is its network, its loss, its batch and its "
        "rate.",
    ),
    "own": (
        "Each with its own views",
        "The same images and {epochs} epochs a backbone; SHIKE and the strong views of "
        "MDCS have AutoAugment and Cutout. RIDE's own views are those of the one "
        "protocol.",
    ),
}


def read(path):
    """{protocol: {system: {row: lines}}} of a file; refuses what would mix."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        data = sorted({line["data"] for line in lines})
        found, kinds = {}, {}
        for line in lines:
            place = line["protocol"], line["system"]
            kinds.setdefault(place, set()).add(line["settings"])
            row = line["backbone"], line["classifier"], line["variant"]
            rows = found.setdefault(place[0], {}).setdefault(place[1], {})
            rows.setdefault(row, []).append(line)
    except (ValueError, KeyError, TypeError) as error:
        raise Mistake(f"{path.name} is cut or damaged: {error!r}") from error
    if len(data) > 1:
        raise Mistake(f"{path.name} mixes data: {', '.join(data)}; a table has one set")
    for (protocol, system), settings in kinds.items():
        if len(settings) > 1:
            raise Mistake(f"{path.name} mixes settings of {system}, {protocol}")
    return {
        protocol: {name: row_tables.distinct(rows) for name, rows in systems.items()}
        for protocol, systems in found.items()
    }


def section(path, route):
    """The text about all systems under every protocol of a file, and a routing's."""
    found = read(path)
    parts = [
        "## RIDE, SHIKE and MDCS on CIFAR-100-LT, imbalance factor 100, CPU recipe",
        "Three experts each, a ResNet-32 that branches, trained for a fraction of the "
        "published 200 to 400 epochs: the level is far below the published 48 to 56 %, "
        "and the order of the three may change with longer training. SGD is the "
        "published RIDE and MDCS, SGD + LA the published SHIKE, after its second "
        "stage. All rows are the mean of the experts' logits. SRepr's settings are "
        "those chosen for one network (`docs/decisions.md`), not for these. "
        "`experiments/experts.py` makes the figures.",
        "A re-trained expert is calibrated alone; the mean of several logits is less "
        "sure than each, while it is more often right, so that the ensemble of them is "
        "less sure than it is right, and the more so the softer its teachers: SRepr "
        "without distillation, (b), has the lower NLL and ECE here. What SRepr mends "
        "in one network, too much confidence, averaging mends too. The best of such "
        "choices for experts is left to a validation run of theirs.",
    ]
    for protocol, systems in found.items():
        title, about = PROTOCOLS[protocol]
        epochs = {ls[0]["epochs"] for rows in systems.values() for ls in rows.values()}
        parts += [
            f"### {title}",
            about.format(epochs=" or ".join(map(str, sorted(epochs))))
            + f" {_provenance(systems)}",
            "What SWA + SRepr on the experts changes against a row without it:",
            gains(systems),
            *(
                part
                for system, rows in systems.items()
                for part in (
                    f"{TITLES[system]}, all rows:",
                    row_tables.table(rows, row_tables.MAIN),
                )
            ),
            "Each expert alone (means of the accuracies of a group's classes, and over "
            "all images), and the mean of their logits:",
            alone(systems),
        ]
    parts += ["### What an image costs", cost(found)]
    parts += ["### RIDE's router", routed(route)]
    return "\n\n".join(parts)


def gains(systems):
    """A table of SWA + SRepr less other rows of the same system."""
    body = []
    for system, rows in systems.items():
        for name, row in AGAINST.items():
            if row not in rows:
                continue
            all_, nll, ece = (
                _mean(rows[COMBINED], figure) - _mean(rows[row], figure)
                for figure in (_all, _nll, _ece)
            )
            better = nll < 0 and ece < 0 and all_ >= 0
            published = " (published)" if row == PUBLISHED[system] else ""
            body.append(
                [
                    f"{TITLES[system]}: {name}{published}",
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
            name = f"{TITLES[system]}, {row_tables.title(row)}"
            count = len(lines[0]["experts"])
            for number in range(count):
                single = [line["experts"][number] for line in lines]
                body.append([f"{name}: expert {number + 1}", *_figures(single)])
            body.append([f"{name}: mean of {count}", *_figures(lines)])
    heads = [heading for heading, *_ in row_tables.MAIN]
    return row_tables.markdown(["row", *heads], body)


def cost(found):
    """A table of parameters and multiplications, which no protocol changes."""
    costs = {
        TITLES[system]: rows[COMBINED][0]["cost"]
        for systems in found.values()
        for system, rows in systems.items()
    }
    body = [
        [name, f"{cost['parameters']:,}", f"{cost['macs'] / 1e6:.1f}"]
        for name, cost in costs.items()
    ]
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


def _all(line):
    return line["acc"]["all"]


def _nll(line):
    return line["nll"]


def _ece(line):
    return line["ece"]


def _provenance(systems):
    lines = [line for rows in systems.values() for ls in rows.values() for line in ls]
    seeds = sorted({line["seed"] for line in lines})
    commits = sorted({str(line["commit"])[:7] for line in lines})
    devices = sorted({line["device"] for line in lines})
    word = "Seed" if len(seeds) == 1 else "Seeds"
    return (
        f"{word} {', '.join(map(str, seeds))}; device {', '.join(devices)}; "
        f"commit {', '.join(commits)}."
    )
