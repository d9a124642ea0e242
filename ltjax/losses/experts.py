"""Losses of networks with several experts: RIDE, SHIKE, MDCS.

Logits are [B, E, C] for E experts, already multiplied by the scale of their heads;
labels [B]; counts [C] images per class; epochs count from 1. Each loss is one number
for the batch, a sum over experts and a mean over images, as the authors' programs
compute it, where all other losses are one number an example; where a paper says
otherwise there is an argument.
"""

import chex
import jax
import jax.numpy as jnp

from ltjax.losses.adjusted import balanced_softmax, cross_entropy, log_prior
from ltjax.losses.distillation import divergence, mean_distillation
from ltjax.losses.margin import ldam
from ltjax.losses.weights import class_balanced_weights

SCALE = 30.0  # of the heads: the cosines' logits are in -30..30
MAX_MARGIN = 0.5
BETA = 0.9999  # of the class weights


def temperatures(counts, factor):
    """RIDE's temperature per class, psi / max psi. Returns [C].

    psi = factor * counts / mean(counts) + 1 - factor, so that it is 1 for the largest
    class and lower for rarer ones. factor in 0..1, less than 1; at 0 all are 1.
    """
    psi = _psi(counts, factor)
    return psi / psi.max()


def paper_temperatures(counts, factor):
    """The temperatures of RIDE's paper, psi + 1 - max psi; see `temperatures`."""
    psi = _psi(counts, factor)
    return psi + 1 - psi.max()


def ride(
    logits,
    labels,
    counts,
    epoch,
    *,
    diversity=-0.45,
    reweight_factor=0.05,
    reweight_epoch=160,
    temperatures=temperatures,
    collaborative=None,
):
    """The batch's scalar of RIDE: margins for each expert, less their divergence.

    Wang et al. 2021 (RIDE, arXiv:2010.01809). With z the mean of the experts' logits
    z_i, held fixed, margins m and the class axis of logits divided by T,

        sum_i CE_w(z_i - 30 m_y at y, y)
              + diversity * mean(T)^2 * KL(softmax(z / T) || softmax(z_i / T)).

    After `reweight_epoch` the cross entropy is an average weighted by
    `class_balanced_weights`, and T are `temperatures(counts, reweight_factor)`; until
    then, and always where `reweight_epoch` is None or negative, both are 1. A
    `collaborative` loss has the margins on z, for every expert; None, as released, is
    exactly where `diversity` is 0.
    """
    logits, labels = _arrays(logits, labels)
    counts = jnp.asarray(counts)
    never = reweight_epoch is None or reweight_epoch < 0
    late = False if never else epoch > reweight_epoch
    weights = jnp.where(late, class_balanced_weights(counts, BETA), 1)[labels]
    heat = jnp.where(late, temperatures(counts, reweight_factor), 1)

    mean = jnp.broadcast_to(logits.mean(1, keepdims=True), logits.shape)
    if collaborative is None:
        collaborative = diversity == 0
    judged = mean if collaborative else logits
    loss = ldam(judged, _each(labels, logits), counts, SCALE * MAX_MARGIN, scale=1)
    total = weights.sum()
    base = (weights * loss.sum(1)).sum() / jnp.where(total > 0, total, 1)

    cold, cold_mean = (x / heat.reshape(1, 1, -1) for x in (logits, mean))
    apart = mean_distillation(cold_mean[None], cold, temperature=1.0)
    return base + diversity * heat.mean() ** 2 * apart.sum(1).mean()


def distilled(loss, logits, teacher_logits, *, temperature=1.5, repeated=True):
    """The batch's scalar of RIDE, distilled from the mean of a teacher's experts.

    loss + temperature^2 KL(teacher || student), both of mean logits; teacher_logits
    [B, E', C]. `repeated`, as released, counts the whole once for each expert.
    """
    logits, teacher_logits = (
        jnp.asarray(x, jnp.float32) for x in (logits, teacher_logits)
    )
    student, teacher = logits.mean(1), teacher_logits.mean(1)
    loss = loss + mean_distillation(teacher[None], student, temperature).mean()
    return logits.shape[1] * loss if repeated else loss


def shike(logits, labels, *, detached=False):
    """The batch's scalar of SHIKE: cross entropy, consensus, mutual distillation.

    Jin et al. 2023 (SHIKE, arXiv:2304.01279), first stage. With p_i the experts'
    probabilities,

        sum_i CE(z_i, y) + 10/C KL(G || S_i) + 1/C sum_j KL(p_j || p_i).

    G is `consensus`, on the hardest wrong class; S_i is the softmax of z_i with -30 for
    the label. As released the gradient flows into both sides of every divergence;
    `detached` keeps it out of G and p_j.
    """
    logits, labels = _arrays(logits, labels)
    classes = logits.shape[-1]
    wrong = jnp.where(_is_label(logits, labels), -SCALE, logits)
    students, experts = jax.nn.log_softmax(wrong), jax.nn.log_softmax(logits)
    teacher, peers = consensus(logits, labels), experts
    if detached:
        teacher, peers = jax.lax.stop_gradient((teacher, peers))

    loss = cross_entropy(logits, _each(labels, logits))
    every = jnp.broadcast_to(teacher[:, None], logits.shape)
    agreement = divergence(every, students)
    pairs = (*logits.shape[:2], *logits.shape[1:])
    mutual = divergence(
        *(jnp.broadcast_to(x, pairs) for x in (peers[:, :, None], experts[:, None]))
    )
    total = loss + (10 * agreement + mutual.sum(1)) / classes
    return total.sum(1).mean()


def consensus(logits, labels):
    """SHIKE's teacher of what is wrong, log probabilities [B, C].

    The softmax of the experts' largest logit of each class, but of their mean for the
    hardest wrong class (that of the largest mean) and of 0 for the label.
    """
    logits, labels = _arrays(logits, labels)
    mean, largest = logits.mean(1), logits.max(1)
    is_label = _is_label(mean, labels)
    hardest = jnp.where(is_label, -SCALE, mean).argmax(-1)
    lowered = jnp.where(_is_label(mean, hardest), mean, largest)
    return jax.nn.log_softmax(jnp.where(is_label, 0, lowered))


def shike_retrain(logits, labels, counts):
    """The batch's scalar of SHIKE's second stage: `balanced_softmax`, summed."""
    logits, labels = _arrays(logits, labels)
    return balanced_softmax(logits, _each(labels, logits), counts).sum(1).mean()


def mdcs(
    weak_logits,
    strong_logits,
    labels,
    counts,
    epoch,
    *,
    scales=(-0.5, 1.0, 2.5),
    consistency=0.6,
    ramp_epochs=20,
):
    """The batch's scalar of MDCS: experts under priors of their own, distilled.

    Zhao et al. 2023 (MDCS, arXiv:2308.09922). Each expert is distilled from a weak view
    to a strong one. With a_i = z_i + scales_i log counts,

        sum_i mean over both views of CE(a_i, y)
              + consistency * ramp * KL(softmax(a_i weak) || softmax(a_i strong)),

    ramp = `ramp_up(epoch, ramp_epochs)`. The divergence is averaged over the images
    that expert i has right in the weak view, and 0 if there are none; the weak view
    gets no gradient of it. A class without images is shifted down under every scale.
    """
    weak, labels = _arrays(weak_logits, labels)
    strong, _ = _arrays(strong_logits, labels)
    chex.assert_equal_shape((weak, strong))
    shift = scaled_log_prior(counts, scales)
    chex.assert_shape(shift, weak.shape[1:])
    weak, strong = weak + shift[None], strong + shift[None]
    targets = _each(labels, weak)
    loss = (cross_entropy(weak, targets) + cross_entropy(strong, targets)) / 2

    confident = weak.argmax(-1) == targets
    gap = mean_distillation(weak[None], strong, temperature=1.0)
    kept = jnp.where(confident, gap, 0).sum(0) / jnp.maximum(confident.sum(0), 1)
    ramp = consistency * ramp_up(epoch, ramp_epochs)
    return loss.sum(1).mean() + ramp * kept.sum()


def scaled_log_prior(counts, scales):
    """Scales times `log_prior(counts)`, [E, C]; never above 0 for an absent class."""
    scales = jnp.asarray(scales, jnp.float32)[:, None]
    present = jnp.asarray(counts)[None] > 0
    return jnp.where(present, scales, abs(scales)) * log_prior(counts)[None]


def ramp_up(epoch, epochs):
    """epoch / epochs up to epoch `epochs`, then 1."""
    return jnp.minimum(epoch / epochs, 1)


def _psi(counts, factor):
    counts = jnp.asarray(counts, jnp.float32)
    return factor * counts / counts.mean() + 1 - factor


def _arrays(logits, labels):
    logits, labels = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)
    chex.assert_shape(logits, (*labels.shape, None, None))
    return logits, labels


def _each(labels, logits):
    """Labels [B] for every expert, [B, E]."""
    return jnp.broadcast_to(labels[:, None], logits.shape[:2])


def _is_label(logits, labels):
    """Whether a logit [B, ..., C] is that of the label [B]."""
    index = jax.lax.broadcasted_iota(labels.dtype, logits.shape, logits.ndim - 1)
    return index == labels.reshape(-1, *(1,) * (logits.ndim - 1))
