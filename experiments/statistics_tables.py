"""Tables of what `batch_statistics.py` found."""

import json

# Columns of a table: a row's place in the results, and its figures.
_COLUMNS = {
    "sgd": (
        ("sgd", "none", "none: all / NLL / ECE", ("all", "nll", "ece")),
        (
            *("sgd", "la_posthoc", "LA post-hoc: all / few / NLL / ECE"),
            ("all", "few", "nll", "ece"),
        ),
        ("sgd", "la", "LA re-trained: all / few / NLL", ("all", "few", "nll")),
    ),
    "swa": (
        ("swa", "la_posthoc", "LA post-hoc: all / few / NLL", ("all", "few", "nll")),
        ("swa", "la", "LA: all / NLL / ECE", ("all", "nll", "ece")),
        ("swa", "srepr", "SRepr: all / few / NLL / ECE", ("all", "few", "nll", "ece")),
        ("swag", "la", "SWAG + LA: all / NLL / ECE", ("all", "nll", "ece")),
    ),
}
_SPACES = "representation", "relative", "probability"
_DECIMALS = {"all": 1, "few": 1, "nll": 3, "ece": 3}


def of_backbone(path, of, images):
    """A Markdown table of the rules for the backbone `of`, on "held out" or "test"."""
    rules = {}
    for line in map(json.loads, path.read_text().splitlines()):
        if line["of"] == of and line["set"] == images:
            row = line["backbone"], line.get("classifier", "dispersion")
            rules.setdefault(line["statistics"], {})[row] = line
    columns = _COLUMNS[of]
    heads = ["statistics", *(title for _, _, title, _ in columns)]
    body = [
        [rule, *(_cell(rows.get(place[:2]), place[3]) for place in columns)]
        for rule, rows in rules.items()
    ]
    if of == "swa":
        heads.append("rank correlation of dispersion with class count")
        for cells, rows in zip(body, rules.values(), strict=True):
            found = rows["swag", "dispersion"]["rank_correlation"]
            cells.append(" / ".join(f"{found[space]:+.2f}" for space in _SPACES))
    lines = [heads, ["---"] * len(heads), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(line, names):
    if line is None:
        return "–"
    return " / ".join(f"{_figure(line, name):.{_DECIMALS[name]}f}" for name in names)


def _figure(line, name):
    return line["acc"][name] if name in ("all", "few") else line[name]
