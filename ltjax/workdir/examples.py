"""Images that a page shows: test images, sure or not, and training images of the tail.

Of the tests there are those that a row is most and least sure of, group by group.
"""

import numpy as np
from PIL import Image

from ltjax.data import resident
from ltjax.data.dataset import streamed
from ltjax.workdir.files import write_arrays

FILE, TAIL, MAPS = "examples.npz", "tail.npz", "maps.npz"
WRONG = "surest mistakes"
_EACH = 6  # images of a kind in a group
_RAREST = 12  # classes of the tail
_SIDE = 48  # pixels of the longer side of what is kept


def chosen(labels, predicted, groups):
    """Rows of test images, {group: {kind: rows}}, at most six of a kind.

    labels [N], `predicted` a `predictions.Predicted`, `groups` masks, bool [C]. The
    kinds are `surest`, `surest mistakes` and `least sure`, each in that order; groups
    without images are left out.
    """
    order = np.argsort(-predicted.confidence, kind="stable")
    wrong = predicted.label != labels
    found = {}
    for name, mask in groups.items():
        rows = order[mask[labels[order]]]
        if len(rows):
            found[name] = {
                "surest": rows[:_EACH],
                WRONG: rows[wrong[rows]][:_EACH],
                "least sure": rows[::-1][:_EACH],
            }
    return found


def keep(out, images, kinds):
    """Stores the small images of what was `chosen` in the folder of a run.

    `images` are uint8 [N, H, W, ch], or `Pictures`.
    """
    rows = [row for kind in kinds.values() for each in kind.values() for row in each]
    rows = np.unique(np.array(rows, int))
    write_arrays(out / FILE, {"row": rows, "image": _smaller(images, rows)})


def keep_tail(out, images, labels):
    """Stores the first six training images of each of the twelve rarest classes.

    `images` as in `keep`, of `labels` [N].
    """
    counts = np.bincount(labels)
    known = np.flatnonzero(counts)
    rarest = known[np.argsort(counts[known], kind="stable")][:_RAREST]
    rows = [np.flatnonzero(labels == label)[:_EACH] for label in rarest]
    own = np.repeat(rarest, [len(each) for each in rows])
    arrays = {"label": own, "image": _smaller(images, np.concatenate(rows))}
    write_arrays(out / TAIL, arrays)


def read(out):
    """{row of the test images: uint8 [h, w, ch]}, as `keep` stored them."""
    if not (out / FILE).exists():
        return {}
    with np.load(out / FILE, allow_pickle=False) as file:
        return dict(zip(file["row"].tolist(), file["image"]))


def read_tail(out):
    """{class: its images}, the rarest first, as `keep_tail` stored them."""
    if not (out / TAIL).exists():
        return {}
    with np.load(out / TAIL, allow_pickle=False) as file:
        label, image = file["label"], file["image"]
    return {int(own): image[label == own] for own in dict.fromkeys(label.tolist())}


def keep_maps(out, name, rows, said, maps):
    """Stores where what a row of the table says of test images comes from.

    `name` is the row's, `said` [n] the labels, `maps` [n, places, places].
    """
    arrays = {"name": np.array(name), "row": np.array(rows), "said": said, "map": maps}
    write_arrays(out / MAPS, arrays)


def read_maps(out, predicted):
    """{row of the test images: its map}, as `keep_maps` stored them.

    Those of the last of the rows `predicted`, {name: `Predicted`}, as far as it says
    the same still: a folder may have been gone on with.
    """
    if not (out / MAPS).exists() or not predicted:
        return {}
    *_, (name, last) = predicted.items()
    with np.load(out / MAPS, allow_pickle=False) as file:
        if file["name"].item() != name:
            return {}
        found = zip(file["row"].tolist(), file["said"], file["map"])
        return {row: map for row, said, map in found if last.label[row] == said}


def whole(images, rows):
    """Rows of the images as they are tested, one after another."""
    seen = resident.each(images.plain, rows) if streamed(images) else images[rows]
    return map(np.asarray, seen)


def _smaller(images, rows):
    """Rows of the images, small, [n, h, w, 1 or 3]."""
    return np.stack([_small(image) for image in whole(images, rows)])


def _small(image):
    """An image of at most so many pixels a side, grey or RGB."""
    image = image[..., :3] if image.shape[-1] >= 3 else image[..., :1]
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.thumbnail((_SIDE, _SIDE))
    return np.asarray(picture).reshape(picture.height, picture.width, -1)
