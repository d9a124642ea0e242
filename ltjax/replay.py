"""A step that was not finite, taken again: `python -m ltjax.replay runs/x`.

Reads the run's `config.json` and `divergence.npz`; prints which tensors of the gradient
and of the new weights are not finite, and how large the weights were before.
"""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import tyro

from ltjax.config import own
from ltjax.mistake import Mistake
from ltjax.representation import step
from ltjax.representation.objective import Task
from ltjax.runtime.command import exit_code, parsed
from ltjax.stages import divergence
from ltjax.stages import system as systems
from ltjax.stages.keys import keys
from ltjax.workdir import identity


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Takes the step that a run refused, since it was not finite, once more.

    Told are the tensors of gradient, statistics and new weights that are not finite:
      python -m ltjax.replay runs/digits_lt-seed0

    Exit codes: 0 done, 2 a mistake or used-up memory, in one line, 130 stopped by
    Ctrl-C.
    """

    out: tyro.conf.Positional[Path]
    """Folder of a run that stopped at such a step."""


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
    net = config.model.make(len(found.counts))
    task = Task(found.counts, found.steps, config.optim.epochs)
    minimised = config.objective.make(task)
    tx = next(
        each.tx
        for each in systems.backbones(config, task)
        if each.name == found.backbone
    )
    batch = divergence.batch(arrays)
    inputs = batch["image"]
    few = jax.tree.map(lambda leaf: leaf[:1], systems.arguments(inputs))

    def begin():
        variables = net.init(jax.random.key(0), *few)
        memory = minimised.init(jax.random.key(0), variables)
        return step.init(variables, tx, memory)

    like = jax.eval_shape(begin)
    state = divergence.restored(arrays, like)

    @jax.jit
    def take(key, state, batch):
        gradient = step.make_gradient(systems.apply(net), minimised)
        grads, metrics, (batch_stats, _) = gradient(key, state, batch)
        updates, _ = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
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
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(state.params))
    yield f"before: weights up to {largest:g}, inputs up to {np.abs(inputs).max():g}"
    yield f"loss {float(metrics['loss']):g}, was {found.loss:g}"
    for what, tree in after.items():
        lines = divergence.not_finite(tree)
        count = len(jax.tree.leaves(tree))
        yield f"{what}: {len(lines)} of {count} tensors are not finite"
        yield from (f"  {line}" for line in lines)


def main(args):
    """Replays the run of one command line; returns the exit code."""
    command = parsed(Command, "replay", args)

    def tell():
        for line in replayed(command.out):
            print(line)

    return exit_code(tell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
