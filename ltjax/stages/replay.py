"""A step that was not finite, taken again."""

import jax
import numpy as np

from ltjax.config import own
from ltjax.mistake import Mistake
from ltjax.models import partition
from ltjax.posterior.members import arguments
from ltjax.representation import step
from ltjax.representation.objective import Task
from ltjax.stages import backbones, divergence
from ltjax.stages import start as starts
from ltjax.stages import system as systems
from ltjax.stages.keys import keys
from ltjax.workdir import beside, identity


def replayed(out):
    """Takes the step that the run in `out` refused again; yields lines about it.

    Raises `Mistake` where no step was refused, or its file is damaged.
    """
    found, arrays = divergence.read(out / divergence.FILE)
    try:
        config = identity.config_of(out)
    except (OSError, KeyError, TypeError) as error:
        raise Mistake(f"{out / 'config.json'} is not a run's config") from error
    own.check_whole(config, out)
    task = Task(found.counts, found.steps, config.optim.epochs)
    minimised = config.objective.make(task)
    every = backbones.every(config, task)
    tx = next(each.tx for each in every if each.name == found.backbone)
    batch = divergence.batch(arrays)
    inputs = batch["image"]
    few = jax.tree.map(lambda leaf: leaf[:1], arguments(inputs))

    # Nothing can be asked of the images here; weights of a file are of colours.
    start = starts.again(out, config, len(found.counts), 3, beside.asked(out, config))
    net = partition.bound(start.net, starts.given(start, config.seed, few))

    def begin():
        variables, _ = starts.begin(start, jax.random.key(0), few)
        memory = minimised.init(jax.random.key(0), variables)
        return step.init(variables, tx, memory)

    like = jax.eval_shape(begin)
    state = divergence.restored(arrays, like)

    @jax.jit
    def take(key, state, batch):
        gradient = step.make_gradient(systems.apply(net), minimised)
        grads, metrics, (batch_stats, _) = gradient(key, state, batch)
        again = step.elsewhere(gradient, key, state, batch)
        params, _ = step.moved(tx, grads, state, again)
        return metrics, {
            "gradient": grads,
            "statistics": batch_stats,
            "weights": params,
        }

    metrics, after = take(keys(config.seed).step, state, batch)

    epoch, at = divmod(found.step, found.steps)
    yield (
        f"{found.backbone}, step {found.step} (epoch {epoch + 1}, its step {at + 1} of "
        f"{found.steps}), learning rate {found.rate:g}"
    )
    yield f"images {' '.join(map(str, found.rows.tolist()))}"
    largest = (_largest(tree) for tree in (state.params, inputs))
    yield "before: weights up to {:g}, inputs up to {:g}".format(*largest)
    yield f"loss {float(metrics['loss']):g}, was {found.loss:g}"
    for what, tree in after.items():
        lines = divergence.not_finite(tree)
        count = len(jax.tree.leaves(tree))
        yield f"{what}: {len(lines)} of {count} tensors are not finite"
        yield from (f"  {line}" for line in lines)


def _largest(tree):
    return max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(tree))
