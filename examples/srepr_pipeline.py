"""SRepr on weights of your own: a posterior in, a classifier out."""

import jax
import optax

from ltjax.classifier import srepr
from ltjax.posterior import members, predictive


def retrain(key, posterior, apply, images, labels, counts, draws=10, steps=100):
    """The variables and the head of one deterministic pass.

    `posterior` is a `swag.State` of the feature extractor's parameters; `apply` is its
    function, as a Linen module's, or two, `evaluate(variables, x)` to features [N, D]
    and `statistics(variables, x)` to the updated "batch_stats"; `counts` [C].
    """
    member_key, head_key = jax.random.split(key)
    # The mean, then draws; each has batch-norm statistics of its own.
    every = members.members(member_key, posterior, draws, apply, images)
    z = predictive.features(every, lambda one: one, apply, images)  # [draws + 1, N, D]

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
    mean = jax.tree.map(lambda leaf: leaf[0], every)
    return mean, head  # at test: srepr.logits(head, apply(mean, images))
