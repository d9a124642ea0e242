"""What AGLU costs beside SiLU: value and all gradients of 10^7 numbers, by turns.

Each in one compiled program, of the same numbers and the same slopes, as in a batch of
feature maps. Beside them is AGLU as its formula is written, with JAX's own gradients.
"""

import jax
import jax.numpy as jnp

from bench import harness
from ltjax.models.activations import aglu

SHAPE = (400, 25, 25, 40)  # 10^7 numbers
KAPPA, LAM = 1.05, 0.5  # about where it begins


def flags(parser):
    """Adds the part's flags."""
    parser.add_argument("--repeats", type=int, default=25, help="turns of all three")


def written(z, kappa, lam):
    """AGLU as in its paper; neither exact nor finite everywhere."""
    return z * (lam * jnp.exp(-kappa * z) + 1) ** (-1 / lam)


def calls(shape=SHAPE):
    """Calls that give the value and the gradients of each."""
    keys = jax.random.split(jax.random.key(0))
    z, dy = (jax.random.normal(key, shape) for key in keys)
    shaped = jnp.full((1,) * len(shape), KAPPA), jnp.full((1,) * len(shape), LAM)

    def timed(function, *args):
        @jax.jit
        def both(dy, *args):
            value, pull = jax.vjp(function, *args)
            return value, pull(dy)

        return harness.ready(lambda: both(dy, *args))

    return {
        "aglu": timed(aglu, z, *shaped),
        "silu": timed(jax.nn.silu, z),
        "written": timed(written, z, *shaped),
    }


def measure(flags):
    """The figures of the file."""
    harness.check_repeats(flags, 2)
    _, times, _ = harness.by_turns(calls(), flags.repeats)
    ratios = {
        name: harness.ratio(times[name], times["silu"]) for name in ("aglu", "written")
    }
    return {"numbers": 10**7, "ratios": ratios, "seconds": times}
