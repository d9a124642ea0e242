"""The loop that re-trains a classifier on frozen features."""

import jax
import jax.numpy as jnp
import optax


def make_epoch(loss, tx):
    """Builds a pure `epoch(params, opt_state, features, labels, rows)`.

    `features` [M + 1, N, D] holds one view of all training images, first under the mean
    weights, then under each draw; `rows` [steps, B] says who is in which batch.
    `loss(params, features [M + 1, B, D], labels [B])` returns one number per example.
    Returns (params, opt_state, losses [steps]).
    """

    def epoch(params, opt_state, features, labels, rows):
        # Traced rows cannot index NumPy arrays.
        features, labels = jnp.asarray(features), jnp.asarray(labels)

        def body(carry, rows):
            params, opt_state = carry

            def objective(params):
                return loss(params, features[:, rows], labels[rows]).mean()

            value, grads = jax.value_and_grad(objective)(params)
            updates, opt_state = tx.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), value

        carry, losses = jax.lax.scan(body, (params, opt_state), rows)
        return *carry, losses

    return epoch


def fit(params, loss, tx, view, labels, rows, epochs, watch=lambda *_: None):
    """Re-trains `params` for some epochs and returns them.

    `view(epoch)` gives the features [M + 1, N, D] that this epoch sees: a fresh
    augmentation, or one of a bank of views. `rows(epoch)` gives its batches [steps, B].
    `watch(epoch, losses, params)` is called after each epoch.
    """
    epoch_of = jax.jit(make_epoch(loss, tx))
    opt_state = tx.init(params)
    for epoch in range(epochs):
        params, opt_state, losses = epoch_of(
            params, opt_state, view(epoch), labels, rows(epoch)
        )
        watch(epoch, losses, params)
    return params
