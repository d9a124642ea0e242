"""The tables of systems that have a page of their own: gates, and clusters."""

import results
from tabular import MAIN, markdown, title

from ltjax.mistake import Mistake
from ltjax.report.aggregate import moments

# The three networks that are compared, by the names of their configs' forms.
NETWORKS = {
    "se_cpu": "SE with a sigmoid, ReLU",
    "gates_cpu": "SE with APA, ReLU",
    "cpu": "SE with APA, AGLU",
}
_ROWS = (
    *(("sgd", name) for name in ("none", "iif", "la")),
    *(("swa", name) for name in ("none", "iif", "la", "srepr")),
)
CLUSTERINGS = {
    "kmeans": "k-means",
    "sinkhorn": "Sinkhorn: all mass, equal sizes",
    "pot": "POT: growing mass, equal sizes",
    "uot": "UOT: all mass, unequal sizes",
    "p2ot": "P²OT: both",
    "sp2ot": "SP²OT: and neighbours",
}
_SHARES = ("balanced_accuracy", "accuracy", "nmi")


def gates(file="apa_{}.jsonl"):
    """Rows of the three networks, of one seed."""
    body = []
    for name, told in NETWORKS.items():
        for line in results.lines(file.format(name)):
            row = line["backbone"], line["classifier"], line["variant"]
            if row[:2] in _ROWS and not row[2]:
                figures = (f"{one.of(line):.{one.decimals}f}" for one in MAIN)
                body.append((told, title(row), *figures))
    heads = ("network", "row", *(one.heading for one in MAIN))
    return markdown(heads, body, text=(0, 1))


def clusters(file, memory=5120):
    """Every method under SWA's weights: means and deviations over seeds, in percent.

    Of those whose labels were found among so many images.
    """
    found = {}
    told = [line for line in results.lines(file) if line["memory"] == memory]
    for name in ("set", "imbalance_factor", "epochs"):
        kinds = sorted({line[name] for line in told})
        if len(kinds) > 1:
            raise Mistake(f"{file} mixes {name}: {kinds}; a table has one")
    for line in told:
        found.setdefault((line["method"], line["row"]), []).append(line)
    body = []
    for (method, row), lines in found.items():
        if row not in ("", "swa"):
            continue
        values = [[line[name] for line in lines] for name in _SHARES]
        for group in ("many", "medium", "few"):
            values.append([line["groups"][group] for line in lines])
        body.append((CLUSTERINGS[method], *map(_percent, values)))
    heads = ("labels by", "balanced", "accuracy", "NMI", "many", "medium", "few")
    return markdown(heads, body)


def _percent(values):
    if None in values:
        return "–"
    mean, std = moments(values).values()
    return f"{100 * mean:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")
