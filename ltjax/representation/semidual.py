"""Partial transport of N images to K clusters, solved for the potentials of K + 1.

The problem of P2OT (Zhang et al., ICLR 2024, arXiv:2401.09266) has K clusters and a
virtual one, of cost 0, that takes what is not transported. With scores s = -cost /
epsilon and potentials h of the columns, in units of epsilon, the plan times N has rows
softmax_j(s_ij + h_j), and h solves, for the mean of the rows,

    log column_j(h) = log target_j - softness_j h_j,

where the targets are rho prior_j of the clusters, whose softness is epsilon / strength,
and 1 - rho of the virtual one, whose softness is 0. There a concave function of h has
its maximum, the semi-dual. `scaling` is the paper's Algorithm 1 in logarithms, `newton`
finds the same in a few steps.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

_HALVINGS = 6  # of a step of Newton, before one of `scaling` is taken in its place
_SWEEPS = 3  # of `scaling` before the first step of Newton
_HARD = 40  # evaluations after which an easier problem comes first
_EASIER = 2.0  # by so many halves, until one is solved
_PROBLEMS = 16  # the last of them is the one that is asked for
_RANGE = 256.0  # of scores that Newton's method begins with
_ROUGH = 1e-2  # residual on the way to larger ones
_TINY = 1e-30  # below that a column has underflown


class Problem(NamedTuple):
    """What is to be transported; the last column is the virtual cluster."""

    scores: jax.Array  # -cost / epsilon, [N, K + 1]; 0 in the last column
    target: jax.Array  # logarithms, [K + 1]; -inf of a cluster that takes nothing
    softness: jax.Array  # epsilon / strength, [K + 1]; 0 where the target is exact


class Dual(NamedTuple):
    """Where a solver stopped; its potentials are the warm start of the next one."""

    potentials: jax.Array  # [K + 1], in units of epsilon
    residual: jax.Array  # largest |log column - log of what it should be|
    steps: jax.Array  # evaluations of all rows


class _Point(NamedTuple):
    """Potentials, and what they come to."""

    potentials: jax.Array
    shares: jax.Array  # rows of the plan times N, [N, K + 1]
    columns: jax.Array  # means of the shares
    gap: jax.Array  # log column - log of what it should be, [K + 1]
    steps: jax.Array


def problem(cost, rho, epsilon, strength, prior=None):
    """The `Problem` of costs [N, K], of which a share `rho` of all mass is transported.

    `strength` is that of the divergence of the clusters' shares from `prior` [K], which
    is uniform if None; infinite: they are exact. All of it may be traced.
    """
    clusters, kind = cost.shape[1], cost.dtype
    prior = jnp.ones(clusters, kind) if prior is None else jnp.asarray(prior, kind)
    rho, softness = (jnp.asarray(x, kind) for x in (rho, epsilon / strength))
    shares = jnp.append(rho * prior / prior.sum(), 1 - rho)
    return Problem(
        with_virtual(-cost / epsilon),
        jnp.log(jnp.maximum(shares, 0)),
        jnp.append(jnp.full(clusters, softness), jnp.zeros((), kind)),
    )


def with_virtual(scores):
    """Scores [N, K] and those of the virtual cluster, [N, K + 1]."""
    return jnp.pad(scores, ((0, 0), (0, 1)))


def begin(given, potentials=None):
    """Potentials to begin with: those of an earlier problem, or of equal scalings.

    What is not finite of them begins anew.
    """
    count = len(given.target)
    fresh = jnp.full(count, -jnp.log(count), given.target.dtype)
    if potentials is not None:
        potentials = jnp.asarray(potentials, fresh.dtype)
        fresh = jnp.where(jnp.isfinite(potentials), potentials, fresh)
    return jnp.where(given.target > -jnp.inf, fresh, -jnp.inf)


def plan(given, potentials):
    """The plan times N, [N, K]: a row sums to the weight of its image, 0 to 1."""
    return jax.nn.softmax(given.scores + potentials[None])[:, :-1]


def scaling(given, start, tolerance=0.0, steps=1000):
    """The `Dual` after rows and columns were scaled in turn, at most `steps` times.

    It ends where the residual is at most `tolerance`.
    """

    def unfinished(point):
        return (point.steps <= steps) & (_residual(point) > tolerance)

    found = jax.lax.while_loop(
        unfinished, partial(_swept, given), _at(given, start, jnp.int32(1))
    )
    return _told(found)


def newton(given, start, tolerance, steps=100):
    """The `Dual` after steps of Newton's method, each of them halved until it helps.

    Where it does not, the step is one of `scaling`. It ends at `tolerance`, or where no
    step helps any more for rounding, or after `steps` evaluations of all rows. A
    problem that is too hard for that, of scores far apart, is gone to by way of easier
    ones, whose epsilon is larger.
    """

    def body(path):
        eased = _eased(given, path.level)
        wanted = jnp.where(path.level > 0, _ROUGH, tolerance)
        ends = jnp.where(path.tried < _PROBLEMS - 1, jnp.minimum(steps, _HARD), steps)
        found = _newton(eased, path.solved / 2**path.level, wanted, ends)
        potentials = found.potentials * 2**path.level
        done = found.residual <= jnp.maximum(wanted, _rounding(eased))
        # The next one is easier; after the first that was solved, half as much harder.
        stride = jnp.where(done | ~path.any, path.stride, path.stride / 2)
        below = jnp.where(done, path.level, path.level_solved) - stride
        level = jnp.where(done | path.any, below, path.level + _EASIER)
        last = path.tried == _PROBLEMS - 2
        return _Path(
            jnp.where(last, 0, jnp.maximum(level, 0)),
            jnp.where(done, path.level, path.level_solved),
            jnp.where(done, potentials, path.solved),
            stride,
            path.any | done,
            path.tried + 1,
            Dual(potentials, found.residual, path.dual.steps + found.steps),
            (path.level == 0) & (done | (path.tried == _PROBLEMS - 1)),
        )

    level = jnp.ceil(jnp.log2(jnp.maximum(_largest(given) / _RANGE, 1)))
    none, no = jnp.int32(0), jnp.bool(False)
    dual = Dual(start, jnp.zeros_like(level), none)
    path = _Path(level, level, start, jnp.ones_like(level), no, none, dual, no)
    return jax.lax.while_loop(lambda path: ~path.ended, body, path).dual


class _Path(NamedTuple):
    """Problems of epsilon times 2^level, on the way to level 0."""

    level: jax.Array  # of the next one
    level_solved: jax.Array  # of the last one that was solved
    solved: jax.Array  # its potentials, in units of the epsilon of level 0
    stride: jax.Array
    any: jax.Array  # whether one was solved at all
    tried: jax.Array
    dual: Dual
    ended: jax.Array


def _eased(given, level):
    times = 2**level
    return Problem(given.scores / times, given.target, given.softness * times)


def _newton(given, start, tolerance, steps):
    rounding = _rounding(given)

    def unfinished(loop):
        point, stuck = loop
        left = _residual(point)
        return (left > tolerance) & (point.steps < steps) & ~stuck

    def body(loop):
        point, _ = loop
        nearer = _nearer(given, point, _direction(given, point))
        helped = _residual(nearer) < _residual(point)
        stuck = ~helped & (_residual(point) < rounding)
        swept = jax.lax.cond(
            helped | stuck,
            lambda: jax.tree.map(partial(jnp.where, helped), nearer, point),
            lambda: _swept(given, point._replace(steps=nearer.steps)),
        )
        return swept, stuck

    point = _at(given, _balanced(given, start), jnp.int32(1))
    point = jax.lax.fori_loop(0, _SWEEPS, lambda _, p: _swept(given, p), point)
    return _told(jax.lax.while_loop(unfinished, body, (point, jnp.bool(False)))[0])


def implicit(given, potentials):
    """The same potentials of a solved problem, with the gradient of its solution.

    By the implicit function theorem, so at the cost of a single step of Newton.
    """
    potentials = jax.lax.stop_gradient(potentials)
    point = _at(given, potentials, jnp.int32(0))
    held = jax.lax.stop_gradient(point)
    used = given.target > -jnp.inf
    side = jnp.where(used, held.columns * (point.gap - held.gap), 0)
    step = jnp.linalg.solve(_matrix(given, held), side)
    return jnp.where(used, potentials - step, potentials)


def _at(given, potentials, steps):
    every = given.scores + potentials[None]
    log_shares = jax.nn.log_softmax(every)
    shares = jnp.exp(log_shares)
    columns = _means(shares)
    # Of a column that underflows the largest entry stands for all.
    least = log_shares.max(0) - jnp.log(len(every))
    logs = jnp.where(columns > _TINY, jnp.log(jnp.maximum(columns, _TINY)), least)
    wanted = given.target - given.softness * potentials
    gap = jnp.where(given.target > -jnp.inf, logs - wanted, 0)
    return _Point(potentials, shares, columns, gap, steps)


def _largest(given):
    return jnp.where(jnp.isfinite(given.scores), jnp.abs(given.scores), 0).max()


def _rounding(given):
    """A residual that rounding may leave."""
    return jnp.finfo(given.scores.dtype).eps * (100 + _largest(given))


def _balanced(given, potentials):
    """Potentials whose virtual cluster takes about its share, were rows not split."""
    every = given.scores + potentials[None]
    worth = jax.nn.logsumexp(every[:, :-1], 1)
    virtual = jnp.quantile(worth, jnp.exp(given.target[-1]), method="higher")
    kept = jnp.where(given.target[-1] > -jnp.inf, virtual, -jnp.inf)
    return potentials.at[-1].set(kept)


def _means(shares):
    # A product adds in blocks, and so loses less than a sum over the rows one by one.
    ones = jnp.full(len(shares), 1 / len(shares), shares.dtype)
    return jnp.dot(ones, shares, precision=jax.lax.Precision.HIGHEST)


def _residual(point):
    return jnp.abs(point.gap).max()


def _swept(given, point):
    after = point.potentials - point.gap / (1 + given.softness)
    return _at(given, after, point.steps + 1)


def _told(point):
    return Dual(point.potentials, _residual(point), point.steps)


def _matrix(given, point):
    """The slope of the gap times the columns: symmetric, positive definite."""
    shares, columns = point.shares, point.columns
    both = jnp.dot(shares.T, shares, precision=jax.lax.Precision.HIGHEST) / len(shares)
    found = jnp.diag(columns * (1 + given.softness)) - both
    # Where all targets are exact the potentials may move together.
    free = jnp.where(given.softness.max() == 0, 1, 0)
    found = found + free * jnp.outer(columns, columns)
    return found + jnp.diag(jnp.where(given.target > -jnp.inf, 0, 1).astype(both.dtype))


def _direction(given, point):
    matrix = _matrix(given, point)
    size = jax.lax.rsqrt(jnp.maximum(jnp.diag(matrix), _TINY))
    factor = jax.scipy.linalg.cho_factor(matrix * jnp.outer(size, size))
    side = jnp.where(given.target > -jnp.inf, point.columns * point.gap, 0)
    return -size * jax.scipy.linalg.cho_solve(factor, size * side)


def _nearer(given, point, direction):
    """The first point on the way whose residual is smaller, or the last one tried."""
    used = given.target > -jnp.inf

    def tried(times, steps):
        moved = point.potentials + 0.5**times * direction
        return _at(given, jnp.where(used, moved, -jnp.inf), steps + 1)

    def unfinished(loop):
        times, trial = loop
        # A trial that is not finite does not help.
        helped = _residual(trial) < _residual(point)
        return ~helped & (times < _HALVINGS)

    def body(loop):
        times, trial = loop
        return times + 1, tried(times + 1, trial.steps)

    first = jnp.int32(0), tried(jnp.int32(0), point.steps)
    return jax.lax.while_loop(unfinished, body, first)[1]
