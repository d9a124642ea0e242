"""SRepr on weights of your own: a posterior in, a classifier out."""

import jax
import jax.numpy as jnp
import optax

from ltjax.classifier import srepr
from ltjax.posterior import batch_norm, predictive, swag


def retrain(key, posterior, apply, images, labels, counts, draws=10, steps=100):
    """The variables and the head of one deterministic pass.

    `posterior` is a `swag.State` of the feature extractor's parameters, `apply` its
    function with a Linen module's arguments, to features [N, D]; `counts` [C].
    """
    member_key, head_key = jax.random.split(key)
    # Member 0 is the mean (scale 0), the others are draws; each has its own statistics.
    scales = jnp.ones(draws + 1).at[0].set(0.0)
    members = (jax.random.split(member_key, draws + 1), scales)

    def draw(member):
        return {"params": swag.sample(member[0], posterior, member[1])}

    def whole(pair):
        return {**draw(pair[0]), "batch_stats": pair[1]}

    stats = batch_norm.refresh(draw, members, apply, images)
    z = predictive.features((members, stats), whole, apply, images)  # [draws + 1, N, D]

    def loss(head):
        each = srepr.loss(
            head, z[0], z[1:], labels, counts, alpha=0.5, temperature=1.0, form="mean"
        )
        return each.mean()

    head, tx = srepr.init(head_key, z.shape[-1], len(counts)), optax.adam(0.02)

    def step(carry, _):
        head, state = carry
        updates, state = tx.update(jax.grad(loss)(head), state)
        return (optax.apply_updates(head, updates), state), None

    (head, _), _ = jax.lax.scan(step, (head, tx.init(head)), length=steps)
    mean = {
        "params": posterior.mean,
        "batch_stats": jax.tree.map(lambda leaf: leaf[0], stats),
    }
    return mean, head  # at test: srepr.logits(head, apply(mean, images))
