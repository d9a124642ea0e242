"""Heads that begin at the means of their classes: a look at all images before training.

Of weights that were trained before, so that their features say something.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.posterior import members as extractors
from ltjax.posterior import point
from ltjax.runtime import devices
from ltjax.stages import system as systems
from ltjax.stages.loader import unlabelled


def begun(system, loader, variables):
    """The variables that train, with the head at the means of the classes.

    Unchanged where the head does not begin there. A class without images keeps the
    column that it has.
    """
    if not getattr(system.net.head, "at_means", False):
        return variables
    found = class_means(system, loader, variables)
    params = dict(variables["params"])
    params["head"] = system.net.head.begun(params["head"], found)
    return {**variables, "params": params}


def class_means(system, loader, variables):
    """Mean of each class's `inputs` of the head, [C, D] or [C, E, D]; NaN for none."""
    draw = extractors.features_of(extractors.whole(point.sample))
    passes = loader.passes(systems.extractor(system, draw), whole=False)
    images = unlabelled(loader.train)
    if isinstance(images["image"], jax.Array):
        images = devices.whole(images)
    stats = variables.get("batch_stats", {}).get("features", {})
    who = (
        devices.whole(point.init(variables["params"])),
        extractors.make(jax.random.key(0), 0, 1.0),
        jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], stats),
    )
    classes, total, first = len(loader.task.counts), 0.0, 0
    for part in passes.features(*who, images):
        (seen,) = np.asarray(part, np.float64)
        labels = loader.labels[first : first + len(seen)]
        one_hot = np.eye(classes)[labels]
        total = total + np.tensordot(one_hot, seen, (0, 0))
        first += len(seen)
    counts = np.asarray(loader.task.counts).reshape(-1, *(1,) * (total.ndim - 1))
    with np.errstate(invalid="ignore"):
        return total / counts
