"""Distillation of an ensemble into one student: of its mean, or of its spread too.

The member axis comes first, the class axis last. The teacher passes no gradient.
"""

import math

import chex
import jax
import jax.numpy as jnp

from ltjax.losses.adjusted import cross_entropy, soft_cross_entropy

MAX_PRECISION = 1e4  # of a target on which the members agree

_LOG_SERIES_START = math.log(4.0)  # from here the series below err by less than 1e-7


def mean_distillation(member_logits, logits, temperature):
    """T^2 KL(mean_m softmax(member_logits / T) || softmax(logits / T)).

    Hinton et al. 2015 (arXiv:1503.02531). member_logits [M, ..., C], logits [..., C].
    The factor T^2 keeps the gradient's size as T grows. The gradient is that of the
    mean over members of the divergences from each.

    >>> from ltjax.losses import mean_distillation
    >>> members = [[[2.0, 0.0]], [[0.0, 0.0]]]
    >>> mean_distillation(members, [[2.0, 0.0]], temperature=1.0)
    Array([0.127], dtype=float32)
    """
    members, logits = _arrays(member_logits, logits)
    teacher = _log_mean_prob(jax.nn.log_softmax(members / temperature))
    teacher = jax.lax.stop_gradient(teacher)
    student = jax.nn.log_softmax(logits / temperature)
    return temperature**2 * divergence(teacher, student)


def deit_lt(
    cls_logits, dist_logits, targets, teacher_labels, *, weights=None, alpha=0.5
):
    """The batch's scalar of DeiT-LT: labels for CLS, a teacher's answers for DIST.

    Rangwani et al. 2024 (arXiv:2404.02900), as released. cls_logits and dist_logits
    [B, C], targets [B, C] shares of the classes, teacher_labels [B] what the teacher
    takes the images for. With t the teacher's label of an image,

        (1 - alpha) mean CE(cls, targets) + alpha sum w_t CE(dist, t) / sum w_t,

    of `weights` w [C] of the classes, all 1 without.

    >>> import numpy as np
    >>> from ltjax.losses import deit_lt
    >>> logits, targets = np.array([[2.0, 0.0], [2.0, 0.0]]), np.eye(2)
    >>> deit_lt(logits, logits, targets, np.array([0, 0]))
    Array(0.627, dtype=float32)
    """
    labels = jnp.asarray(teacher_labels)
    base = soft_cross_entropy(cls_logits, targets).mean()
    loss = cross_entropy(dist_logits, labels)
    if weights is None:
        return (1 - alpha) * base + alpha * loss.mean()
    own = jnp.asarray(weights, jnp.float32)[labels]
    total = own.sum()
    taught = (own * loss).sum() / jnp.where(total > 0, total, 1)
    return (1 - alpha) * base + alpha * taught


def divergence(log_teacher, log_student):
    """KL(teacher || student) of log probabilities [..., C]; gradients into both."""
    chex.assert_equal_shape((log_teacher, log_student))
    probs = jnp.exp(log_teacher)
    gap = jnp.where(probs > 0, log_teacher - log_student, 0)  # 0 log 0 = 0
    return (probs * gap).sum(-1)


def dirichlet_distillation(member_logits, logits):
    """KL(Dir(exp(logits) + 1) || Dir(target)) / precision of the target.

    Distribution distillation with proxy targets, Ryabinin et al. 2021
    (arXiv:2105.06987). member_logits [M, ..., C], logits [..., C]. With p_m the
    members' probabilities and p their mean,

        precision = (C - 1) / (2 sum_c p_c (log p_c - mean_m log p_mc)),

    at most `MAX_PRECISION` (reached when members agree), and target = p * precision
    + 1. Concentrations appear only as logarithms and inverses, so that value and
    gradient stay finite for logits of any size that float32 holds well (1e3 is tested).

    >>> import jax
    >>> from ltjax.losses import dirichlet_distillation
    >>> members = [[[2.0, 0.0]], [[0.0, 0.0]]]
    >>> jax.jit(dirichlet_distillation)(members, [[2.0, 0.0]])
    Array([0.127], dtype=float32)
    """
    members, logits = _arrays(member_logits, logits)
    mean, precision = jax.lax.stop_gradient(_proxy_target(members))
    target = jnp.log1p(jnp.exp(mean) * precision[..., None])
    student = jax.nn.softplus(logits)
    return _dirichlet_divergence(student, target) / precision


def _arrays(member_logits, logits):
    members = jnp.asarray(member_logits, jnp.float32)
    logits = jnp.asarray(logits, jnp.float32)
    chex.assert_shape(members, (None, *logits.shape))
    return members, logits


def _log_mean_prob(log_probs):
    return jax.nn.logsumexp(log_probs, axis=0) - math.log(len(log_probs))


def _proxy_target(members):
    """Log mean probabilities [..., C] and precision [...] of the members."""
    log_probs = jax.nn.log_softmax(members)
    mean = _log_mean_prob(log_probs)
    terms = jnp.exp(mean) * _excess(log_probs - mean[None]).mean(0)
    freedom = members.shape[-1] - 1
    spread = jnp.maximum(2 * terms.sum(-1), freedom / MAX_PRECISION)
    return mean, freedom / spread


def _dirichlet_divergence(log_a, log_b):
    """KL(Dir(a) || Dir(b)) of log concentrations [..., C], all at least 0.

    The textbook form subtracts log-gammas of the size of a log a. Here they are split
    as lgamma(x) = x log x - x + g(x) and digamma(x) = log x - r(x) / x, where g and r
    vary slowly; the large parts add up to a categorical divergence of the means:

        KL = sum_c b_c log((b_c / b_0) / (a_c / a_0)) + sum_c R(a_c, b_c) - R(a_0, b_0),
        R(a, b) = (b / a - 1) r(a) + g(b) - g(a),   index 0 for the sum over classes.

    The first sum is taken in the form of `_excess`.
    """
    total_a, total_b = (
        jax.nn.logsumexp(x, axis=-1, keepdims=True) for x in (log_a, log_b)
    )
    means = jnp.exp(log_b) * _excess((log_a - total_a) - (log_b - total_b))
    rest = _remainder(log_a, log_b).sum(-1) - _remainder(total_a, total_b)[..., 0]
    return means.sum(-1) + rest


def _excess(log_ratio):
    """ratio - 1 - log(ratio): p * this sums over classes to KL(p || p * ratio).

    ratio - 1 adds 0 to that sum, but with it every term is a square to leading order,
    so that the rounding of the logarithms does not show when the two nearly agree.
    """
    return jnp.expm1(log_ratio) - log_ratio


def _remainder(log_a, log_b):
    slope = jnp.expm1(log_b - log_a) * _digamma_rest(log_a)
    return slope + _lgamma_rest(log_b) - _lgamma_rest(log_a)


def _lgamma_rest(log_x):
    """lgamma(x) - x log x + x, for x >= 1."""
    ladder = _ladder(log_x)
    climb = sum((x + 1) * jnp.log1p(1 / x) - 1 for x in ladder)
    low = climb + _lgamma_series(jnp.log(ladder[-1] + 1))
    return jnp.where(log_x < _LOG_SERIES_START, low, _lgamma_series(log_x))


def _digamma_rest(log_x):
    """x (log x - digamma(x)), for x >= 1."""
    ladder = _ladder(log_x)
    climb = sum(1 / x - jnp.log1p(1 / x) for x in ladder)
    top = ladder[-1] + 1
    low = ladder[0] * (climb + _digamma_series(jnp.log(top)) / top)
    return jnp.where(log_x < _LOG_SERIES_START, low, _digamma_series(log_x))


def _ladder(log_x):
    """x, x + 1, x + 2, x + 3 for x below the series' start.

    The recurrences from x + 4 have only small positive steps and elementary
    derivatives; the derivative of digamma itself costs more than the rest of the loss.
    """
    x = jnp.exp(jnp.minimum(log_x, _LOG_SERIES_START))
    return [x + i for i in range(4)]


def _lgamma_series(log_x):
    u = jnp.exp(-log_x)
    bend = u * (1 / 12 - u**2 * (1 / 360 - u**2 / 1260))
    return (math.log(2 * math.pi) - log_x) / 2 + bend


def _digamma_series(log_x):
    u = jnp.exp(-log_x)
    return 1 / 2 + u * (1 / 12 - u**2 * (1 / 120 - u**2 * (1 / 252 - u**2 / 240)))
