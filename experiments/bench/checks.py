"""What it costs that every step is looked at before the next one.

Ten steps of a ResNet-32 as a run takes them (a loop with bounds, loss, weights and
statistics looked at after every step) and as a plain `scan` without that, by turns.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from bench import harness, shared
from ltjax import losses
from ltjax.representation import objective, schedule, step

STEPS = 10


def flags(parser):
    """Adds the part's flags."""
    parser.add_argument("--repeats", type=int, default=25, help="turns of both loops")


def loops():
    """Two calls that take the same steps: as a run does, and without its checks."""
    at, tx = shared.shared(), schedule.sgd(*shared.SGD)
    rows = jnp.arange(STEPS * shared.BATCH).reshape(STEPS, shared.BATCH)
    keys = tuple(jax.random.split(jax.random.key(1)))
    run, carry, data = shared.started(at.net, at.variables, lambda nothing, state: ())
    gradient = step.make_gradient(
        at.net.apply, objective.per_example(losses.cross_entropy)
    )

    def unchecked(data, state, row):
        batch = {
            "image": shared.normalise(data["image"][row]),
            "label": data["label"][row],
        }
        grads, metrics, (batch_stats, _) = gradient(keys[1], state, batch)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return step.State(state.step + 1, params, batch_stats, opt_state), metrics

    @partial(jax.jit, donate_argnums=0)
    def scan(state, data):
        return jax.lax.scan(partial(unchecked, data), state, rows)

    plain = jax.tree.map(jnp.copy, carry[0])

    def checked():
        nonlocal carry
        carry, _ = run(keys, carry, data, rows, 0, STEPS)
        return carry

    def unlooked():
        nonlocal plain
        plain, _ = scan(plain, data)
        return plain

    return {"checked": harness.ready(checked), "plain": harness.ready(unlooked)}


def measure(flags):
    """The figures of the file."""
    harness.check_repeats(flags, 2)
    _, times, _ = harness.by_turns(loops(), flags.repeats)
    found = harness.ratio(times["checked"], times["plain"])
    return {
        "ratio": found["median"],
        "quartiles": found["quartiles"],
        "seconds": times,
    }
