"""An epoch of steps: one loop over images on the device, or batches as they come."""

import concurrent.futures
import time

import jax
import jax.numpy as jnp


def of_images(seen):
    """The `prepare` of a `seen(key, images)` that augments and normalises images."""
    return lambda key, state, batch: {**batch, "image": seen(key, batch["image"])}


def make_turn(step, prepare, collect):
    """Builds a pure `turn(keys, carry, batch) -> (carry, metrics)`: one step of all.

    `keys` is the pair (key of `prepare`, key of `step`); every step folds its own
    number into both, so a resumed run draws what an unbroken one draws. `carry` is the
    pair (state, posterior). `batch` holds images and labels as they are stored.
    `prepare(key, state, batch)` makes of it what `step` takes, see `of_images`.
    `collect(posterior, state)` folds the state into the posterior where
    a snapshot is due. The metrics of `step` have `finite`, as those of
    `step.make_step`.
    """

    def turn(keys, carry, batch):
        prepare_key, step_key = keys
        state, posterior = carry
        key = jax.random.fold_in(prepare_key, state.step)
        state, metrics = step(step_key, state, prepare(key, state, batch))
        # After a step that was not taken the state is that of a snapshot taken before.
        posterior = jax.lax.cond(
            metrics["finite"],
            collect,
            lambda posterior, state: posterior,
            posterior,
            state,
        )
        return (state, posterior), metrics

    return turn


def make_epoch(step, prepare, collect):
    """Builds a pure `epoch(keys, carry, data, rows, first=0, last=None)`.

    It returns (carry, history) after the turns `first` to `last` of `make_turn`, all of
    them without these, or those up to a step that is not finite and so not taken.
    `data` holds all images and labels on the device, and what else a batch carries, a
    dict of arrays with a leading axis for the images. `rows` [steps, B] says who is in
    which batch; pixels are gathered last. `history` holds the step's metrics with
    leading axis `steps`, zero where none was tried.

    The bounds may be traced: one program then runs any part of an epoch, so that the
    numbers do not depend on where an epoch is interrupted.
    """
    turn = make_turn(step, prepare, collect)

    def epoch(keys, carry, data, rows, first=0, last=None):
        # Traced rows cannot index NumPy arrays.
        columns = {name: jnp.asarray(column) for name, column in data.items()}
        rows = jnp.asarray(rows)
        last = len(rows) if last is None else last

        def turn_at(at, carry):
            batch = {name: column[rows[at]] for name, column in columns.items()}
            return turn(keys, carry, batch)

        def unfinished(loop):
            at, _, _, finite = loop
            return finite & (at < last)

        def body(loop):
            at, carry, history, _ = loop
            carry, metrics = turn_at(at, carry)
            history = jax.tree.map(lambda h, m: h.at[at].set(m), history, metrics)
            return at + 1, carry, history, metrics["finite"]

        metrics = jax.eval_shape(turn_at, jnp.int32(0), carry)[1]
        history = jax.tree.map(
            lambda m: jnp.zeros((len(rows), *m.shape), m.dtype), metrics
        )
        begin = jnp.asarray(first, jnp.int32), carry, history, jnp.bool(True)
        _, carry, history, _ = jax.lax.while_loop(unfinished, body, begin)
        return carry, history

    return epoch


def over(turn, carry, batches):
    """The same epoch over an iterator of batches: (carry, metrics, seconds) of each.

    `turn(carry, batch)` is compiled. While the device takes a step, the next batch is
    fetched and sent to it; two batches are on the device at a time. `seconds` are those
    of the step alone, without any wait for its batch. A step that is not finite is the
    last.
    """

    def ended(metrics):
        jax.block_until_ready(metrics)
        return time.monotonic()

    with concurrent.futures.ThreadPoolExecutor(1) as watch:
        batch, finite = next(batches, None), True
        while batch is not None and finite:
            begin = time.monotonic()
            carry, metrics = turn(carry, batch)
            end = watch.submit(ended, metrics)
            batch = next(batches, None)
            seconds = end.result() - begin
            finite = bool(metrics["finite"])
            yield carry, metrics, seconds


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
