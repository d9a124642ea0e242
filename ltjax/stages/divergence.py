"""A step that was not finite: told, left in a file, and taken again to look at it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.mistake import Mistake
from ltjax.workdir.files import unfinished

FILE = "divergence.npz"

_SHOWN = 8  # rows of a batch that a message names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """Which step it was, and how it went."""

    backbone: str
    step: int  # from 0, over all epochs
    steps: int  # of an epoch
    rate: float
    loss: float
    rows: np.ndarray  # training images of the batch, int [B]
    counts: np.ndarray  # training images per class, int [C]

    def message(self):
        """In one line: what was not finite, where, on which images."""
        what = (
            "the gradient or a weight is not finite"
            if np.isfinite(self.loss)
            else f"the loss is {self.loss}"
        )
        shown = ", ".join(map(str, self.rows[:_SHOWN].tolist()))
        more = f", ... ({len(self.rows)} in all)" if len(self.rows) > _SHOWN else ""
        return (
            f"{self.backbone}: {what} at step {self.step}, learning rate "
            f"{self.rate:g}, images {shown}{more}"
        )


def refuse(out, found, state, batch):
    """Leaves a file that replays the step, and raises `Mistake`.

    `state` is the one before it; `batch()` its batch as the step got it.
    """
    advice = "try a smaller --optim.lr"
    # Of several processes each has a part of the batch only.
    if jax.process_count() == 1:
        try:
            write(out / FILE, found, state, batch())
            advice = f"python -m ltjax.replay {out} takes it again; {advice}"
        except OSError as error:
            (out / unfinished(out / FILE)).unlink(missing_ok=True)
            advice = f"{FILE} cannot be written ({error.strerror}); {advice}"
    raise Mistake(f"{found.message()}; {advice}")


def write(path, found, state, batch):
    """Writes the step, the state before it and its batch to an .npz file, in one step.

    Their arrays are named by their places: `state/params/head/bias`, `batch/image`.
    """
    # What may be of a type that NumPy has not.
    inputs = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), batch["image"])
    batch = {**batch, "image": inputs}
    both = _leaves({"state": state, "batch": batch})
    arrays = {name: np.asarray(leaf) for name, leaf in both}
    part = path.with_name(unfinished(path))
    with part.open("wb") as file:
        np.savez(file, **dataclasses.asdict(found), **arrays)
    part.replace(path)


def read(path):
    """The `Step` of a file, and all its arrays. Raises `Mistake` where it is none."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        fields = {field.name: arrays[field.name] for field in dataclasses.fields(Step)}
    except FileNotFoundError:
        raise Mistake(f"{path} is not there; no step of the run diverged") from None
    except Exception as error:  # whatever a damaged archive raises
        raise Mistake(f"{path} is damaged ({type(error).__name__})") from error
    vectors = {name: fields.pop(name) for name in ("rows", "counts")}
    scalars = {name: value.item() for name, value in fields.items()}
    return Step(**scalars, **vectors), arrays


def restored(arrays, like):
    """The state of a file's arrays, of the structure of `like`."""
    try:
        leaves = [jnp.asarray(arrays[f"state/{name}"]) for name, _ in _leaves(like)]
    except KeyError as error:
        raise Mistake(f"{FILE} is of another network: it has no {error}") from error
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def batch(arrays):
    """The batch of a file's arrays."""
    found = {
        name.removeprefix("batch/"): array
        for name, array in arrays.items()
        if name.startswith("batch/")
    }
    several = sorted(name for name in found if name.startswith("image/"))
    if several:  # of a network that takes more than one
        found["image"] = tuple(found.pop(name) for name in several)
    if "image" not in found:
        raise Mistake(f"{FILE} has no batch/image; an earlier version wrote it")
    return found


def not_finite(tree):
    """One line for each tensor of the tree that has numbers which are not finite."""
    lines = []
    for name, leaf in _leaves(tree):
        wrong = int((~np.isfinite(np.asarray(leaf))).sum())
        if wrong:
            lines.append(f"{name}: {wrong} of {leaf.size} not finite")
    return lines


def _leaves(tree):
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree.leaves_with_path(tree)
    ]
