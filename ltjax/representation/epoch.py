"""An epoch as one scan over its steps."""

import jax
import jax.numpy as jnp


def make_epoch(step, prepare, collect):
    """Builds a pure `epoch(keys, carry, data, rows) -> (carry, history)`.

    `keys` is the pair (key of `prepare`, key of `step`); every step folds its own
    number into both, so a resumed run draws what an unbroken one draws. `carry` is the
    pair (state, posterior). `data` holds all images and labels on the device, `rows`
    [steps, B] says who is in which batch; pixels are gathered last.
    `prepare(key, images)` augments and normalises a batch, `collect(posterior, state)`
    folds the state into the posterior where a snapshot is due. `history` holds the
    step's metrics with leading axis `steps`.
    """

    def epoch(keys, carry, data, rows):
        prepare_key, step_key = keys
        # Traced rows cannot index NumPy arrays.
        images, labels = jnp.asarray(data["image"]), jnp.asarray(data["label"])

        def body(carry, rows):
            state, posterior = carry
            key = jax.random.fold_in(prepare_key, state.step)
            batch = {
                "image": prepare(key, images[rows]),
                "label": labels[rows],
            }
            state, metrics = step(step_key, state, batch)
            return (state, collect(posterior, state)), metrics

        return jax.lax.scan(body, carry, rows)

    return epoch


def every(update, start, interval):
    """Builds `collect(posterior, state)`: a snapshot every `interval` steps.

    The first snapshot is taken at step `start + interval`, the weights after that many
    steps; `update(posterior, params)` is `swa.update` or `swag.update`.
    """

    def collect(posterior, state):
        past = state.step - start
        due = (past > 0) & (past % interval == 0)
        return jax.lax.cond(
            due, lambda: update(posterior, state.params), lambda: posterior
        )

    return collect
