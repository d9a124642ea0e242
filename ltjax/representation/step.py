"""One step of stochastic gradient descent, as a pure function."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from ltjax.representation import objective as objectives


@struct.dataclass
class State:
    """What training carries from step to step."""

    step: jax.Array  # steps taken so far
    params: dict
    batch_stats: dict  # running averages of batch norm; empty without batch norm
    opt_state: optax.OptState
    memory: Any = ()  # of the objective


def init(variables, tx, memory=()):
    """State before the first step, from a model's freshly made variables.

    `memory` is what the objective begins with, see `objective.Objective`.
    """
    return State(
        step=jnp.int32(0),
        params=variables["params"],
        batch_stats=variables.get("batch_stats", {}),
        opt_state=tx.init(variables["params"]),
        memory=memory,
    )


def make_gradient(apply, objective, axis_name=None):
    """Builds a pure `gradient(key, state, batch) -> (grads, metrics, (stats, note))`.

    `apply(variables, image, train=True, rngs=..., mutable=["batch_stats"])` returns
    outputs and the updated statistics, as a Linen module's `apply` does. `objective` is
    an `objective.Objective`; what its loss leaves for its memory is the note. `batch`
    has `image`, `label` and whatever else the objective reads. Metrics are scalars of
    the weights as they are: `loss` and `accuracy` (fraction).

    Under `pmap` or `shard_map`, `axis_name` averages gradients, statistics and metrics
    over that axis; notes are not, each device has its own. For the same result as one
    large batch the model's batch norm has to be built with the same axis name. Under
    `jit` with a sharded batch leave it None.
    """

    def average(tree):
        return tree if axis_name is None else jax.lax.pmean(tree, axis_name)

    def value_of(params, state, batch, key):
        variables = {"params": params, "batch_stats": state.batch_stats}
        outputs, updated = apply(
            variables,
            batch["image"],
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        value, judged, note = objective.loss(outputs, batch, state.memory, state.step)
        accuracy = (judged.argmax(-1) == batch["label"]).mean()
        # Averaged before the gradient is taken too: `shard_map` sums the gradients of
        # weights that all devices share, and the average of a sum is that sum.
        metrics = average({"loss": value, "accuracy": accuracy})
        return metrics["loss"], (metrics, updated.get("batch_stats", {}), note)

    def gradient(key, state, batch):
        key = jax.random.fold_in(key, state.step)
        grads, (metrics, batch_stats, note) = jax.grad(value_of, has_aux=True)(
            state.params, state, batch, key
        )
        grads, batch_stats = average((grads, batch_stats))
        return grads, metrics, (batch_stats, note)

    return gradient


def make_step(apply, loss, tx, axis_name=None):
    """Builds a pure `step(key, state, batch) -> (state, metrics)`, see `of_objective`.

    `loss(logits, labels)` returns one number per example; `apply` and `axis_name` are
    those of `make_gradient`.
    """
    return of_objective(apply, objectives.per_example(loss), tx, axis_name)


def of_objective(apply, objective, tx, axis_name=None):
    """Builds a pure `step(key, state, batch) -> (state, metrics)` of an `Objective`.

    `apply` and `axis_name` are those of `make_gradient`. To its metrics comes `finite`:
    whether loss, gradient, new weights and statistics all are. Where they are not, the
    step is not taken: the state stays as it was, its number and its memory too. A `tx`
    that takes extra arguments gets `grad_fn(params, number)`, the gradient of the same
    batch elsewhere, with the same key.
    """
    gradient = make_gradient(apply, objective, axis_name)

    def step(key, state, batch):
        grads, metrics, (batch_stats, note) = gradient(key, state, batch)
        again = elsewhere(gradient, key, state, batch)
        params, opt_state = moved(tx, grads, state, again)
        memory = objective.remember(state.memory, params, note)
        after = State(state.step + 1, params, batch_stats, opt_state, memory)
        # No optimizer makes a finite weight of a gradient that is not.
        finite = all_finite((metrics["loss"], params, batch_stats, memory))
        after = jax.tree.map(partial(jnp.where, finite), after, state)
        return after, {**metrics, "finite": finite}

    return step


def elsewhere(gradient, key, state, batch):
    """`grad_fn(params, number)`: the same gradient at other parameters."""

    def again(params, number):
        own = jax.random.clone(key)
        return gradient(own, state.replace(params=params), batch)[0]

    return again


def moved(tx, grads, state, grad_fn):
    """The parameters that `tx` makes of a gradient, and its state after that.

    `grad_fn` is for a `tx` that takes extra arguments, see `of_objective`.
    """
    updates, opt_state = optax.with_extra_args_support(tx).update(
        grads, state.opt_state, state.params, grad_fn=grad_fn
    )
    return optax.apply_updates(state.params, updates), opt_state


def all_finite(tree):
    """Whether every number of the tree is finite; keys and integers are."""
    numbers = (
        leaf
        for leaf in jax.tree.leaves(tree)
        if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
    )
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in numbers]).all()
