"""The loop that re-trains a classifier on frozen features."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

_AT_ONCE = 2**28  # bytes of the batches that are sent to the device together


def make_epoch(loss, tx):
    """Builds a pure `epoch(params, opt_state, features, labels, rows)`.

    `features` [M + 1, N, D] holds one view of all training images, first under the mean
    weights, then under each draw; `rows` [steps, B] says who is in which batch.
    `loss(params, features [M + 1, B, D], labels [B])` returns one number per example,
    of features in float32. Returns (params, opt_state, losses [steps]).
    """

    def epoch(params, opt_state, features, labels, rows):
        # Traced rows cannot index NumPy arrays.
        features, labels = jnp.asarray(features), jnp.asarray(labels)

        def body(carry, rows):
            params, opt_state = carry
            batch = features[:, rows].astype(jnp.float32)

            def objective(params):
                return loss(params, batch, labels[rows]).mean()

            value, grads = jax.value_and_grad(objective)(params)
            updates, opt_state = tx.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), value

        carry, losses = jax.lax.scan(body, (params, opt_state), rows)
        return *carry, losses

    return epoch


def fit(params, loss, tx, view, labels, rows, epochs, watch=lambda *_: None):
    """Re-trains `params` for some epochs and returns them.

    `view(epoch)` gives the features [M + 1, N, D] that this epoch sees: a fresh
    augmentation, or one of a bank of views. Those in a NumPy array, mapped from a file
    too, stay where they are: the device gets the batches of some steps at a time. The
    bits are the same either way. `rows(epoch)` gives its batches [steps, B].
    `watch(epoch, losses, params)` is called after each epoch.
    """
    whole = jax.jit(make_epoch(loss, tx))
    in_parts = partial(_in_parts, whole)
    opt_state = tx.init(params)
    for epoch in range(epochs):
        features = view(epoch)
        run = in_parts if isinstance(features, np.ndarray) else whole
        if not epoch and run is whole:
            # Where they will be afterwards, or the second epoch would be compiled anew.
            params, opt_state = jax.device_put((params, opt_state), features.sharding)
        params, opt_state, losses = run(
            params, opt_state, features, labels, rows(epoch)
        )
        watch(epoch, losses, params)
    return params


def _in_parts(epoch, params, opt_state, features, labels, rows):
    """As the `epoch` does, over the batches of some steps after those of others.

    The next ones are gathered on the host, and sent, while the device works: it holds
    two parts at a time.
    """
    rows, labels = np.asarray(rows), np.asarray(labels)
    of_step = features[:, :1].nbytes * rows.shape[1]
    # At least two steps each: a loop of a single one would be another program.
    parts = len(rows) // max(2, _AT_ONCE // of_step)
    losses = []
    for who in np.array_split(rows, max(1, parts)):
        every = who.reshape(-1)
        sent = jax.device_put((features[:, every], labels[every]))
        jax.block_until_ready(losses[-1:])
        here = np.arange(who.size, dtype=np.int32).reshape(who.shape)
        params, opt_state, found = epoch(params, opt_state, *sent, here)
        losses.append(found)
    return params, opt_state, jnp.concatenate(losses)
