"""The page of a run without labels: clusters by size, with images of each."""

import json

import numpy as np

from ltjax.clustering import sheet
from ltjax.config import record
from ltjax.report import markup
from ltjax.stages import clusters
from ltjax.workdir.files import write_text

_MOST = 100  # clusters of which images are shown
_SUREST, _LEAST = 8, 4
_SIDE = 64  # pixels of the longer side that is shown


def made(out, config, results, found, images, names):
    """Makes the page of a run; says where it is, or why there is none.

    `found` is a `clusters.Sorted`, `images` uint8 [N, H, W, ch] or None of features.
    """
    try:
        write_text(out / markup.FILE, of_run(config, results, found, images, names))
    except Exception as error:  # whatever it is, the results stay
        return f"no {markup.FILE}: {type(error).__name__}: {error}"
    return f"a page about it is {out / markup.FILE}"


def of_run(config, results, found, images, names):
    """The page as HTML."""
    data, count = results["dataset"], results["dataset"]["classes"]
    sizes = clusters.sizes(found, count)
    order = np.argsort(-sizes, kind="stable")
    below = (
        f"{data['name']}: {data['train']:,} images in {count} clusters, by "
        f"{type(config.objective).__name__}, without labels"
    )
    used = int((sizes > 0).sum())
    summary = (
        f"Of {count} clusters {used} hold images, the largest {sizes.max():,}, the "
        f"smallest {sizes[sizes > 0].min():,}. The two most probable clusters of "
        f"{(found.margin > 0.5).sum():,} images are more than 0.5 apart."
    )
    return markup.paged(
        config.name or "clusters",
        below,
        summary,
        {
            "rows": ("All rows", _rows(results)),
            "sizes": ("Clusters by size", _sizes(found, sizes, order)),
            "images": ("Images of each cluster", _images(found, order, images, names)),
            "made": ("How it was made", _made(config, results)),
        },
    )


def _rows(results):
    found = sheet.table(results)
    head = [str(column.header) for column in found.columns]
    cells = [list(column.cells) for column in found.columns]
    yield markup.table(
        "All rows",
        head,
        [[list(map(str, row)) for row in zip(*cells)]],
        "shares in %; balanced is the mean recall of the classes after matching, all "
        "the share of right images, AUROC how well disagreement of draws finds wrong "
        "ones; scores are there where labels are, which nothing else has read",
    )


def _sizes(found, sizes, order):
    near, total = clusters.near(found), sizes.sum()
    rows = []
    for cluster in order:
        inside = found.cluster == cluster
        means = (
            f"{values[inside].mean():.2f}" if inside.any() else "-"
            for values in (found.weight, found.margin)
        )
        others = ", ".join(map(str, near[cluster]))
        share = f"{100 * sizes[cluster] / total:.1f}"
        rows.append((str(cluster), f"{sizes[cluster]:,}", share, *means, others))
    yield markup.table(
        "Clusters by size",
        ("cluster", "images", "%", "weight", "margin", "nearest clusters"),
        [rows],
        "weight and margin are means over the cluster's images; nearest are those "
        "whose columns have the smallest angle to its own",
        words=(5,),
    )


def _images(found, order, images, names):
    if images is None:
        return
    for cluster in order[:_MOST]:
        rows = np.flatnonzero(found.cluster == cluster)
        if not len(rows):
            continue
        rows = rows[np.lexsort((-found.margin[rows], -found.weight[rows]))]
        yield markup.heading(f"Cluster {cluster}: {len(rows):,} images")
        yield markup.paragraph("surest", "soft")
        yield markup.faces(_faces(found, rows[:_SUREST], images, names))
        if len(rows) > _SUREST:
            yield markup.paragraph("least sure", "soft")
            least = rows[_SUREST:][::-1][:_LEAST]
            yield markup.faces(_faces(found, least, images, names))


def _faces(found, rows, images, names):
    for row in rows:
        image = images[row]
        every = -(-max(image.shape[:2]) // _SIDE)
        lines = (str(names[row])[-24:], f"weight {found.weight[row]:.2f}")
        yield image[::every, ::every], f"image {names[row]}", lines


def _made(config, results):
    losses = results["heads"]
    rows = [
        (name.upper(), *(f"{loss:.3f}" for loss in found))
        for name, found in losses.items()
    ]
    heads = [f"head {at + 1}" for at in range(len(next(iter(losses.values()))))]
    yield markup.table(
        "Loss over rho of each head",
        ("row", *heads),
        [rows],
        "in the last epoch; the head with the smallest one is taken",
    )
    text = json.dumps(record.to_json(config), indent=1, ensure_ascii=False)
    yield markup.details("The whole config", markup.verbatim(text))
