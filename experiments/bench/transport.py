"""Pseudo-labels of P2OT: Newton's method beside the scaling loop, ott-jax and POT.

Logits of a cosine head, N = 5,120 images and K = 100 clusters, all sides to the same
residual, the largest |log column - log of what it should be|, by turns in one process.
The loop is the paper's Algorithm 1: in logarithms, compiled, in float32, and of a
kernel in NumPy in float64. ott-jax and POT solve the case rho = 1, each to a stop of
its own; how far their plans are from ours is told. Peak memory is that of a process
with N = 100,000. Needs `pip install POT ott-jax` for all sides; those that are not
there are left out.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from bench import harness
from ltjax.mistake import Mistake
from ltjax.representation import semidual, transport

RESIDUAL = 1e-5
RHO, EPSILON, STRENGTH = 0.1, 0.1, 1.0
MOST = 100_000  # turns of a loop


def flags(parser):
    """Adds the part's flags."""
    add = parser.add_argument
    add("--repeats", type=int, default=5, help="turns of all sides")
    add("--images", type=int, default=5120, help="N")
    add("--clusters", type=int, default=100, help="K")
    add("--many", type=int, default=100_000, help="N of the peak memory")


def logits(images, clusters, seed=0):
    """Ten times cosines of images around K directions of unequal shares, float32."""
    rng = np.random.default_rng(seed)
    ways = rng.normal(size=(clusters, 16))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    shares = 0.01 ** (np.arange(clusters) / (clusters - 1))
    own = rng.choice(clusters, images, p=shares / shares.sum())
    found = ways[own] + 0.25 * rng.normal(size=(images, 16))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return np.float32(10 * found @ ways.T)


def cost(given):
    """-log softmax, float64."""
    top = given.max(1, keepdims=True).astype(np.float64)
    return np.log(np.exp(given - top).sum(1, keepdims=True)) + top - given


def newton(given):
    """The potentials of `semidual.newton`, as a function of rho."""
    return _compiled(given, lambda of, start: semidual.newton(of, start, RESIDUAL))


def loop(given):
    """Those of `semidual.scaling`."""

    def solve(of, start):
        return semidual.scaling(of, start, RESIDUAL, MOST)

    return _compiled(given, solve)


def _compiled(given, solve):
    costs = jnp.asarray(cost(given), jnp.float32)

    @jax.jit
    def found(costs, rho):
        of = semidual.problem(costs, rho, EPSILON, STRENGTH)
        dual = solve(of, semidual.begin(of))
        return dual, semidual.plan(of, dual.potentials)

    return lambda rho: jax.block_until_ready(found(costs, rho))


def kernel(given, rho):
    """Algorithm 1 of a kernel in float64; its turns."""
    images, clusters = given.shape
    wide = np.hstack([cost(given), np.zeros((images, 1))])
    matrix = np.exp(-wide / EPSILON)
    beta = np.append(np.full(clusters, rho / clusters), 1 - rho)
    softness = np.append(np.full(clusters, EPSILON / STRENGTH), 0.0)
    used = beta > 0
    matrix, beta, softness = matrix[:, used], beta[used], softness[used]
    b = np.full(len(beta), 1 / (clusters + 1))
    for turn in range(1, MOST + 1):  # noqa: B007
        a = 1 / images / (matrix @ b)
        before, b = b, (beta / (matrix.T @ a)) ** (1 / (1 + softness))
        if (np.abs(np.log(b / before)) * (1 + softness)).max() <= RESIDUAL:
            break
    return turn


def ott(given):
    """ott-jax's Sinkhorn of the case rho = 1, float32: its potentials."""
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    costs = jnp.asarray(cost(given), jnp.float32)
    images, clusters = costs.shape
    tau = STRENGTH / (STRENGTH + EPSILON)
    solver = sinkhorn.Sinkhorn(threshold=1e-6, max_iterations=20_000)

    @jax.jit
    def found(costs):
        problem = linear_problem.LinearProblem(
            geometry.Geometry(costs, epsilon=EPSILON),
            jnp.full(images, 1 / images),
            jnp.full(clusters, 1 / clusters),
            tau_b=tau,
        )
        return solver(problem).g

    return lambda: jax.block_until_ready(found(costs))


def pot(given):
    """POT's `sinkhorn_unbalanced` of the case rho = 1, float64: its plan."""
    import ot

    costs = cost(given)
    images, clusters = costs.shape
    a, b = np.full(images, 1 / images), np.full(clusters, 1 / clusters)
    return lambda: ot.unbalanced.sinkhorn_unbalanced(
        a,
        b,
        costs,
        EPSILON,
        (np.inf, STRENGTH),
        reg_type="entropy",
        numItermax=20_000,
        stopThr=1e-6,
    )


def peak(images, clusters):
    """Bytes of this process at most, and before, of a solution of so many images."""
    given = jnp.asarray(logits(images, clusters))
    before = harness.resident("VmRSS")
    jax.block_until_ready(transport.solve(given, RHO))
    return {"most": harness.resident(), "before": before}


def measure(flags):
    """The figures of the file."""
    harness.check_repeats(flags, 2)
    if not 2 <= flags.clusters <= flags.images:
        raise Mistake(
            f"--clusters is {flags.clusters}; it must be in 2..{flags.images}"
        )
    given = logits(flags.images, flags.clusters)
    solve, scale = newton(given), loop(given)
    sides = {
        RHO: {
            "newton": functools.partial(solve, RHO),
            "loop": functools.partial(scale, RHO),
            "kernel": functools.partial(kernel, given, RHO),
        },
        1.0: {
            "newton": functools.partial(solve, 1.0),
            "loop": functools.partial(scale, 1.0),
            "kernel": functools.partial(kernel, given, 1.0),
            **_others(given),
        },
    }
    detail = {}
    for rho, calls in sides.items():
        first, times, _ = harness.by_turns(calls, flags.repeats)
        detail[str(rho)] = {
            "seconds": times,
            "first_seconds": first,
            "ratios": {
                name: harness.ratio(turns, times["newton"])
                for name, turns in times.items()
            },
            "steps": {
                "newton": int(solve(rho)[0].steps),
                "loop": int(scale(rho)[0].steps),
                "kernel": kernel(given, rho),
            },
        }
    wanted = solve(1.0)[1]
    return {
        "images": flags.images,
        "clusters": flags.clusters,
        "residual": RESIDUAL,
        "rho": detail,
        "apart": _apart(given, wanted, sides[1.0]),
        "many": {"images": flags.many, **harness.apart(peak, flags.many, 100)},
    }


def _others(given):
    found = {}
    for name, make in {"ott-jax": ott, "POT": pot}.items():
        try:
            found[name] = make(given)
        except ImportError:
            print(f"{name} is not installed; it is left out", flush=True)
    return found


def _apart(given, wanted, calls):
    """How far the plans of others are from ours, times N, where they are there."""
    found = {}
    if "POT" in calls:
        plan = len(given) * np.asarray(calls["POT"]())
        found["POT"] = float(np.abs(plan - wanted).max())
    if "ott-jax" in calls:
        scores = (np.asarray(calls["ott-jax"]())[None] - cost(given)) / EPSILON
        plan = jax.nn.softmax(jnp.asarray(scores), -1)
        found["ott-jax"] = float(jnp.abs(plan - wanted).max())
    return found
