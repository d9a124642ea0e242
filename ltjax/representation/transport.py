"""Pseudo-labels of unlabelled images by partial, imbalance-aware optimal transport.

P2OT (Zhang et al., ICLR 2024, arXiv:2401.09266) gives each image a soft label whose sum
is its weight: of all mass only a share rho is transported, that of confident images,
and the sizes of the clusters may differ, at the price of a divergence from their prior.
With Q [N, K], C = -log softmax(logits) and a virtual cluster that takes the rest,

    min <Q, C> + strength KL(Q^T 1 || rho prior) - epsilon H([Q, rest]),
    [Q, rest] 1 = 1 / N,  sum of Q = rho.

strength infinite is partial transport with clusters of given sizes (POT), rho = 1 is
transport of all images (UOT). SP2OT (arXiv:2404.03446) adds -weight <A, Q Q^T> of a
graph A of neighbours. All functions give N Q, whose rows sum to weights 0 to 1; they
are never scaled to sum to 1.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.mistake import Mistake
from ltjax.representation import graph, semidual

_ALIKE = 0.1  # share of a round's change by which the round before last is met again


class Solved(NamedTuple):
    """Pseudo-labels, and where their solver stopped."""

    plan: jax.Array  # N Q, [N, K]
    dual: semidual.Dual  # its potentials are the `start` of the next problem


class Semantic(NamedTuple):
    """The same of SP2OT."""

    plan: jax.Array
    dual: semidual.Dual  # of the last round
    rounds: jax.Array
    change: jax.Array  # of an entry of the plan, were one more round taken; its largest
    share: jax.Array  # of each new plan that was taken in the end: 1, the plain loop
    dampings: jax.Array  # how often that was halved, as plans came back in turns


def p2ot(logits, rho, *, epsilon=0.1, strength=1.0, prior=None):
    """Pseudo-labels N Q [N, K] of logits [N, K], without gradient.

    `rho` in (0, 1] may be traced. `prior` [K] is uniform if None.

    >>> import numpy as np
    >>> from ltjax.representation.transport import p2ot
    >>> sure = 5 * np.float32([[1, 0], [1, 0], [0, 1], [0, 0]])
    >>> labels = p2ot(sure, 0.5)
    >>> labels.sum(1).mean()
    Array(0.5, dtype=float32)
    >>> labels.sum(1)
    Array([0.548, 0.548, 0.894, 0.01 ], dtype=float32)
    """
    made = {"epsilon": epsilon, "strength": strength, "prior": prior}
    return jax.lax.stop_gradient(solve(logits, rho, **made).plan)


def solve(
    logits,
    rho,
    *,
    epsilon=0.1,
    strength=1.0,
    prior=None,
    start=None,
    implicit=False,
    known=None,
):
    """`p2ot`, from the potentials `start` [K + 1] of an earlier one, as a `Solved`.

    With `implicit` the plan has the gradient of the converged solution in logits, rho,
    epsilon, strength and prior; without, no gradient. Of images that are not `known`,
    bool [N], nothing is seen: the others have the labels that they have alone.
    """
    logits = _checked(logits, rho, epsilon, strength, prior)
    return _solved(logits, (rho, epsilon, strength, prior), start, known, implicit)


@partial(jax.jit, static_argnums=4)  # so that plain calls are compiled once
def _solved(logits, settings, start, known, implicit):
    given = _problem(logits, known, *settings)
    fixed = jax.lax.stop_gradient(given)
    dual = semidual.newton(fixed, semidual.begin(fixed, start), _tolerance(logits))
    dual = jax.lax.stop_gradient(dual)
    if not implicit:
        return Solved(_finite(semidual.plan(fixed, dual.potentials), logits), dual)
    potentials = semidual.implicit(given, dual.potentials)
    return Solved(_finite(semidual.plan(given, potentials), logits), dual)


def sp2ot(
    logits,
    rho,
    neighbours,
    similarity,
    *,
    weight,
    epsilon=0.1,
    strength=1.0,
    rounds=100,
):
    """Pseudo-labels N Q [N, K] that neighbours share, without gradient.

    neighbours [N, k] are rows of `logits`, similarity [N, k] what they weigh, 0 where
    one is missing. A graph of twice as many images needs twice the `weight` for the
    same labels; the paper's 1000 goes with 5,120.
    """
    made = {"epsilon": epsilon, "strength": strength, "rounds": rounds}
    return semantic(logits, rho, (neighbours, similarity), weight, **made).plan


def semantic(
    logits,
    rho,
    near,
    weight,
    *,
    epsilon=0.1,
    strength=1.0,
    rounds=100,
    start=None,
    known=None,
):
    """`sp2ot` of a pair `near` of neighbours and similarity, as a `Semantic`.

    Each round solves P2OT with the cost less weight (A + A^T) Q, Q that of the round
    before, beginning with rho / (N K). That lowers the objective where A + A^T has no
    negative eigenvalue, and a graph of neighbours has some: a large weight may have
    plans come back in turns, for ever. Where that is seen, after the third round, half
    of each new plan is mixed with half of the old one, and so on; what is found in the
    end is found by the plain loop, too, if it ends. `start` and `known` are those of
    `solve`.
    """
    logits = _checked(logits, rho, epsilon, strength, None)
    graph.check(*near, len(logits))
    near = jnp.asarray(near[0]), jnp.asarray(near[1], logits.dtype)
    settings = rho, weight, epsilon, strength
    return _shared(logits, near, settings, rounds, start, known)


@jax.jit
def _shared(logits, near, settings, rounds, start, known):
    rho, weight, epsilon, strength = settings
    logits, (neighbours, similarity) = jax.lax.stop_gradient((logits, near))
    images, clusters = logits.shape
    given = _problem(logits, known, rho, epsilon, strength)
    tolerance = _tolerance(logits)
    pull = jnp.asarray(weight / epsilon / images, logits.dtype)

    def solved(plan, potentials):
        shared = graph.both_ways(neighbours, similarity, plan)
        moved = given._replace(
            scores=given.scores + semidual.with_virtual(pull * shared)
        )
        dual = semidual.newton(moved, semidual.begin(moved, potentials), tolerance)
        return semidual.plan(moved, dual.potentials), dual

    def unfinished(loop):
        found, _, _ = loop
        return (found.rounds < rounds) & (found.change > _converged(logits))

    def body(loop):
        found, before, turns = loop
        target, dual = solved(found.plan, found.dual.potentials)
        plan = found.plan + found.share * (target - found.plan)
        moved = jnp.abs(plan - found.plan).max()
        back = jnp.abs(plan - before).max() < _ALIKE * moved
        turns = jnp.where(back & (found.rounds > 1), turns + 1, 0)
        halved = turns == 2  # twice in a row
        after = Semantic(
            plan,
            dual,
            found.rounds + 1,
            jnp.abs(target - found.plan).max(),
            jnp.where(halved, found.share / 2, found.share),
            found.dampings + halved,
        )
        return after, found.plan, jnp.where(halved, 0, turns)

    flat = jnp.full((images, clusters), rho / clusters, logits.dtype)
    flat = flat if known is None else jnp.where(known[:, None], flat, 0)
    least, none = jnp.zeros((), logits.dtype), jnp.int32(0)
    dual = semidual.Dual(semidual.begin(given, start), least, none)
    first = Semantic(flat, dual, none, least + jnp.inf, least + 1, none)
    found, _, _ = jax.lax.while_loop(unfinished, body, (first, flat, none))
    return found._replace(plan=_finite(found.plan, logits))


def ramp(progress, start=0.1, end=1.0):
    """The share rho at `progress`, 0 to 1, of a training: a sigmoid.

    >>> from ltjax.representation.transport import ramp
    >>> ramp(0.0), ramp(0.5), ramp(1.0)
    (Array(0.106, dtype=float32), Array(0.358, dtype=float32), Array(1., dtype=float32))
    """
    progress = jnp.asarray(progress, jnp.result_type(float))
    return start + (end - start) * jnp.exp(-5 * (1 - progress) ** 2)


def _problem(logits, known, rho, epsilon, strength, prior=None):
    """The problem; images that are not known leave all to the virtual cluster."""
    if known is None:
        return semidual.problem(_cost(logits), rho, epsilon, strength, prior)
    cost = jnp.where(known[:, None], _cost(logits), jnp.inf)
    return semidual.problem(cost, rho * known.mean(), epsilon, strength, prior)


def _cost(logits):
    # Of logits less their largest, so that what matters of a row is rounded least.
    known = jnp.isfinite(logits).all(-1, keepdims=True)
    logits = jnp.where(known, logits, 0)  # of what is not finite, see `_finite`
    centred = logits - logits.max(-1, keepdims=True)
    return jnp.log(jnp.exp(centred).sum(-1, keepdims=True)) - centred


def _tolerance(logits):
    return float(jnp.finfo(logits.dtype).eps) ** 0.8


def _converged(logits):
    return float(jnp.finfo(logits.dtype).eps) ** 0.7


def _finite(plan, logits):
    """The plan, where an image whose logits are not finite has no label."""
    return jnp.where(jnp.isfinite(logits).all(-1, keepdims=True), plan, 0)


def _checked(logits, rho, epsilon, strength, prior):
    """Logits as floating numbers; raises `Mistake` for what no problem can have."""
    shape = np.shape(logits)
    if len(shape) != 2:
        raise Mistake(f"logits have shape {shape}; they must be [images, clusters]")
    images, clusters = shape
    if clusters < 2:
        raise Mistake(f"clusters are {clusters}; they must be at least 2")
    if clusters > images:
        raise Mistake(
            f"clusters are {clusters} of {images} images; they must not be more than "
            "the images"
        )
    logits = jnp.asarray(logits)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    for told, value, right, wanted in (
        ("logits", logits, jnp.isfinite, "all must be finite"),
        ("rho", rho, lambda x: (x > 0) & (x <= 1), "it must be above 0, at most 1"),
        ("epsilon", epsilon, lambda x: (x > 0) & (x < np.inf), "it must be above 0"),
        ("strength", strength, lambda x: x > 0, "it must be above 0"),
        ("prior", prior, lambda x: (x >= 0) & (x < np.inf), "no share is below 0"),
    ):
        if value is None or isinstance(value, jax.core.Tracer):
            continue
        value = np.asarray(value)
        wrong = ~np.asarray(right(value))
        if wrong.any():
            raise Mistake(f"{told}: found {value[wrong].flat[0]}; {wanted}")
    known = prior is not None and not isinstance(prior, jax.core.Tracer)
    if known and not np.sum(np.asarray(prior)) > 0:
        raise Mistake("prior sums to 0; the share of some cluster must be above it")
    if prior is not None and np.shape(prior) != (clusters,):
        raise Mistake(
            f"prior has shape {np.shape(prior)}; it must be ({clusters},), a share of "
            "each cluster"
        )
    return logits
