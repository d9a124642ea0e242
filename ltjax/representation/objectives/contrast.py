"""PaCo: contrast with other images, a queue and a moving encoder in its memory."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ltjax import losses
from ltjax.representation import objective


class Contrast(NamedTuple):
    """The constants of PaCo."""

    alpha: float  # weight of another image of the label
    beta: float  # of the centre of the label
    gamma: float  # of other images in the sum
    temperature: float
    queue: int  # keys that are remembered
    momentum: float  # of the encoder that makes keys


def paco(task, constants, views):
    """PaCo's loss (Cui et al., ICCV 2021, arXiv:2107.12028), see `losses.paco`.

    Of a network that in training gives logits [B, C] and queries [B, D]. It sees the
    first of two `views` of an image; the second goes through a moving mean of its
    weights, and gives keys. They are compared with queries, and remembered in the place
    of the oldest ones. A queue begins with random ones.
    """

    def loss(outputs, batch, memory, step):
        labels = batch["label"]
        each = losses.paco(
            outputs["logits"],
            outputs["queries"],
            jnp.concatenate([batch["keys"], memory["keys"]]),
            labels,
            jnp.concatenate([labels, memory["labels"]]),
            task.counts,
            alpha=constants.alpha,
            beta=constants.beta,
            gamma=constants.gamma,
            temperature=constants.temperature,
        )
        return each.mean(), outputs["logits"], (batch["keys"], labels)

    return objective.Objective(
        loss,
        init=partial(_begun, len(task.counts), constants.queue),
        remember=partial(_remembered, constants.momentum),
        prepare=_with_keys,
        views=views,
        statistics=views[:1],
    )


def _begun(classes, size, key, variables):
    dim = variables["params"]["projection"]["fc2"]["bias"].shape[-1]
    key, label_key = jax.random.split(key)
    keys = jax.random.normal(key, (size, dim))
    return {
        "encoder": jax.tree.map(jnp.array, variables["params"]),
        "keys": keys / jnp.linalg.norm(keys, axis=1, keepdims=True),
        "labels": jax.random.randint(label_key, (size,), 0, classes),
        "next": jnp.int32(0),
    }


def _remembered(momentum, memory, params, note):
    keys, labels = note
    size = len(memory["keys"])
    slots = (memory["next"] + jnp.arange(len(labels))) % size
    return {
        "encoder": jax.tree.map(
            lambda old, new: momentum * old + (1 - momentum) * new,
            memory["encoder"],
            params,
        ),
        "keys": memory["keys"].at[slots].set(keys),
        "labels": memory["labels"].at[slots].set(labels),
        "next": (memory["next"] + len(labels)) % size,
    }


def _with_keys(key, net, fixed, state, batch):
    """The first views, and the keys of the second ones."""
    first, second = (
        jax.tree.map(lambda leaf, i=i: jnp.split(leaf, 2)[i], batch["image"])
        for i in (0, 1)
    )
    variables = {"params": state.memory["encoder"], "batch_stats": state.batch_stats}
    inputs = second if isinstance(second, tuple) else (second,)
    outputs, _ = net.apply(variables, *inputs, train=True, mutable=["batch_stats"])
    return {**batch, "image": first, "keys": outputs["queries"]}
