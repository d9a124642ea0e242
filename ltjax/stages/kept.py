"""What a finished run keeps of a backbone: features, classifiers, statistics."""

import functools

import jax
import jax.numpy as jnp

from ltjax.mistake import Mistake
from ltjax.stages import bank
from ltjax.workdir import checkpoint, feature_file


def features(out, name, what):
    """What the run in `out` keeps of the backbone `name`.

    "plain" [1, N, D], "test" [M + 1, N, D], "view0", ...: on the device, or mapped from
    its file where there is no room for it.
    """
    file = feature_file.file_of(bank.folder(out, name), what)
    if not feature_file.there(file):
        return _entry(newest(out, f"features/{name}"), what)
    _refuse(file, feature_file.damage(file), out)
    return bank.placed(file)


def batch_stats(out, name):
    """The batch-norm statistics [M + 1, ...] that the run keeps of the backbone."""
    return _entry(newest(out, f"features/{name}"), "batch_stats")


def heads(out, name):
    """Every member's own stage-one head, [M + 1, ...], of a backbone with draws."""
    place = newest(out, f"features/{name}")
    if "heads" not in checkpoint.names(place):
        raise Mistake(
            f"{place} has no heads of the draws: an earlier version wrote it; delete "
            f"{out / 'results.json'}, and its command with --accept-changes makes them"
        )
    return _entry(place, "heads")


def head(out, name, row):
    """The parameters of a row of the backbone `name`."""
    return _entry(newest(out, f"heads/{name}"), row)


def newest(out, stage):
    """The checkpoint that the run in `out` keeps of a stage, "swa" or "heads/swa".

    Raises `Mistake` where there is none, or it is damaged.
    """
    folder = out / "checkpoints" / stage
    places = checkpoint.steps(folder)
    if not places:
        raise Mistake(f"{folder} has nothing; finish the run first")
    _refuse(places[0], _damage(places[0], _state(places[0])), out)
    return places[0]


def _refuse(place, wrong, out):
    if wrong:
        raise Mistake(
            f"{place} cannot be used: {wrong}; delete {out / 'results.json'}, and its "
            "command makes it again"
        )


@functools.lru_cache
def _damage(place, state):
    """`checkpoint.damage`: files are read whole once, not for every entry of them."""
    return checkpoint.damage(place)


def _state(place):
    """What changes when a file below `place` does."""
    stats = ((str(file), file.stat()) for file in sorted(place.rglob("*")))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _entry(place, name):
    if name not in checkpoint.names(place):
        raise Mistake(f"{place} has no {name}; finish the run first")
    return jax.tree.map(jnp.asarray, checkpoint.load_as_saved(place, [name])[name])
