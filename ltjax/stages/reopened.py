"""The network of a finished run, and the way from new images to it."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ltjax.data import meta
from ltjax.stages import metadata
from ltjax.stages import start as starts
from ltjax.stages import system as systems
from ltjax.stages.start import Start
from ltjax.workdir import beside


class Reopened(NamedTuple):
    """A network as it was before it was trained."""

    start: Start
    fixed: dict  # weights that did not move, as in `system.System`
    # images uint8 [B, H, W, ch], or a batch {"image": ..., "meta": float32 [B, K]}, to
    # what the network takes; images alone are as if nothing were known beside them.
    # With other moments of the pixels than the run's, (mean, std), as its second.
    prepare: Callable
    parts: tuple  # `meta.Part`s of the metadata that it takes


def network(out, config, data):
    """The network of the run in `out`; `data` are its results' "dataset"."""
    parts = beside.read(out)
    widths = beside.asked(out, config)
    start = starts.again(out, config, data["classes"], data["image"][-1], widths)
    takes, known = metadata.META in start.net.takes, start.pretrained

    def inputs(below, images, beside):
        found = known.trunk(below, images)
        return (found, beside) if takes else found

    def nothing(count):
        return np.zeros((count, meta.width(parts)), np.float32)

    images = np.zeros((1, *data["image"]), np.float32)
    few = systems.arguments(inputs(known.below, images, nothing(1)))
    given = starts.given(start, config.seed, few)
    fixed = {"trunk": known.below, **given}

    def prepare(batch, moments=None):
        moments = moments or (data["mean"], data["std"])
        if not isinstance(batch, dict):
            batch = {"image": batch}
        images = systems.pixels(batch["image"], moments)
        beside = batch.get(metadata.META)
        if takes:  # the number may be symbolic where nothing is asked of it
            beside = jnp.asarray(nothing(len(images)) if beside is None else beside)
        return inputs(fixed["trunk"], images, beside)

    return Reopened(start, fixed, prepare, parts if takes else ())
