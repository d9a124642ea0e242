"""The images of a page: what a row is most and least sure of, and the tail."""

import numpy as np
from PIL import Image

from ltjax.report import closeup, markup
from ltjax.workdir.examples import WRONG

_MOST_TAKEN = 4  # classes that one is taken for


def examples(run):
    """The images that the last row is most and least sure of, group by group."""
    if not run.chosen or not run.images:
        return
    label = closeup.names(run)[run.last]
    yield markup.paragraph(
        f"Test images as {label} sees them: the class it says, with its probability "
        "and, where it is wrong (✗), the true class.",
        "soft",
    )
    for group, kinds in run.chosen.items():
        yield markup.heading(f"{group}-shot classes")
        for kind, rows in kinds.items():
            faces = [_face(run, run.predicted[run.last], row) for row in rows]
            if faces:
                yield markup.paragraph(kind, "soft")
                yield markup.faces(faces)
            if kind == WRONG:
                yield from _explained(run, rows)


def _explained(run, rows):
    """Where the predictions of some rows come from, if the run has looked."""
    known = [int(row) for row in rows if int(row) in run.maps]
    if known:
        yield markup.paragraph(
            "what speaks for these mistakes: bright where the probability falls if "
            "that part is covered",
            "soft",
        )
        yield markup.faces([_shaded(run, row) for row in known])


def _shaded(run, row):
    """An image in grey, as bright as its parts speak for what it was taken for."""
    image, found = run.images[row], np.maximum(run.maps[row], 0)
    height, width = image.shape[:2]
    most = found.max()
    light = Image.fromarray(found / most if most > 0 else found)
    light = np.asarray(light.resize((width, height), Image.Resampling.BILINEAR))
    shown = image.mean(-1, keepdims=True) * (0.2 + 0.8 * light[..., None])
    down, across = np.unravel_index(found.argmax(), found.shape)
    place = _place(down, across, len(found))
    fall = f"-{100 * found[down, across]:.0f} points"
    alt = f"test image {row}: it falls by {fall[1:]} where the {place} is covered"
    return shown.astype(np.uint8), alt, (fall, place)


def _place(down, across, places):
    """A place of so many along either side, in words."""
    rows, columns = ("upper", "middle", "lower"), ("left", "centre", "right")
    return f"{rows[3 * down // places]} {columns[3 * across // places]}"


def tail(run):
    """The rarest classes: what was learned from, and what they are taken for."""
    if run.last is None or not run.tail:
        return
    label = closeup.names(run)[run.last]
    said, known = run.predicted[run.last].label, closeup.class_names(run)
    yield markup.paragraph(
        f"Training images of each, at most six, and what {label} takes its test images "
        "for.",
        "soft",
    )
    for own, images in run.tail.items():
        count = run.counts[own]
        yield markup.heading(f"{known[own]}: {count:,} to train on")
        faces = [(image, f"a training image of {known[own]}", ()) for image in images]
        yield markup.faces(faces)
        yield markup.paragraph(_taken(known, said[run.labels == own], own), "soft")


def _taken(names, said, own):
    """What the test images of a class are taken for, in words, the most first."""
    if not len(said):
        return "No test images."
    kinds, counts = np.unique(said[said != own], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_TAKEN]
    told = [f"{(said == own).sum()} of {len(said)} test images are right"]
    told += [f"{counts[at]} taken for {names[kinds[at]]}" for at in order]
    if len(kinds) > len(order):
        told.append(f"others for {len(kinds) - len(order)} more")
    return f"{'; '.join(told)}."


def _face(run, predicted, row):
    """One small image: its pixels, what it shows, and the lines below it."""
    known = closeup.class_names(run)
    true, said = known[run.labels[row]], known[predicted.label[row]]
    sure = f"{100 * predicted.confidence[row]:.1f} %"
    lines = (f"✓ {said}", sure)
    if run.labels[row] != predicted.label[row]:
        lines = (f"✗ {said}", sure, f"is {true}")
    alt = f"test image {row}, {true}; said to be {said}, {sure}"
    return run.images[int(row)], alt, lines
