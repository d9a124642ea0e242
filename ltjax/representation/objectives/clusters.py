"""Objectives of clusters, of logits [2 B, H, K]: of two views, by H heads.

No label is read. What is judged is whether both views of an image are in the same
cluster. The loss of a head is the sum of two cross entropies, of each view's
prediction by the pseudo-label of the other, whose rows sum to weights and are never
scaled; that of all heads is their sum.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ltjax.losses import soft_cross_entropy
from ltjax.representation import objective, transport

_MOST = 1e30  # a loss that any is below
GRAPH = "graph"  # of neighbours, among the weights that do not move


class Settings(NamedTuple):
    """Those of P2OT."""

    epsilon: float = 0.1
    strength: float = 1.0
    ends: tuple = (0.1, 1.0)  # of rho
    memory: int = 5120  # images whose logits are remembered


def p2ot(task, settings):
    """P2OT (Zhang et al., ICLR 2024, arXiv:2401.09266); `task` is an `objective.Task`.

    Logits of the newest images are remembered. Labels are found among all of them;
    those of the second view overwrite those of the first one.
    """

    def solve(logits, known, rho, start, batch, rows):
        found = transport.solve(logits, rho, start=start, known=known, **of(settings))
        return found.plan, found.dual.potentials

    return _of(task, settings, solve)


def sp2ot(task, settings, weight, rounds):
    """SP2OT (arXiv:2404.03446): the same, with neighbours that have like labels.

    `weight` is for each image that is remembered, and fades as rho grows to 1. The
    graph is that of all images, `fixed["graph"]`: neighbours [N, k] and similarity.
    """

    def solve(logits, known, rho, start, batch, rows):
        near = _among(batch[GRAPH], rows, known)
        found = transport.semantic(
            logits,
            rho,
            near,
            weight * len(logits) * (1 - rho),
            rounds=rounds,
            start=start,
            known=known,
            **of(settings),
        )
        return found.plan, found.dual.potentials

    def prepare(key, net, fixed, state, batch):
        return {**batch, GRAPH: fixed[GRAPH]}

    return _of(task, settings, solve)._replace(prepare=prepare)


def of(settings):
    """The settings of `transport`."""
    return {"epsilon": settings.epsilon, "strength": settings.strength}


def _of(task, settings, solve):
    steps, images = task.steps * task.epochs, int(sum(task.counts))
    size = min(settings.memory, images)

    def loss(outputs, batch, memory, step):
        views = jnp.split(outputs, 2)
        rho = transport.ramp(step / steps, *settings.ends)
        slots = (memory["at"] + jnp.arange(len(views[0]))) % size
        rows = memory["rows"].at[slots].set(batch["row"])

        def of_head(head):
            return solve(head[0], rows < images, rho, head[1], batch, rows)

        logits, potentials, labels = memory["logits"], memory["potentials"], []
        for view in views:
            seen = jnp.moveaxis(jax.lax.stop_gradient(view), 1, 0)
            logits = logits.at[:, slots].set(seen)
            plans, found = jax.lax.map(of_head, (logits, potentials))
            potentials = jnp.where(jnp.isfinite(found), found, 0)
            labels.append(jnp.moveaxis(plans[:, slots], 0, 1))
        each = sum(
            soft_cross_entropy(view, label).mean(0)
            for view, label in zip(views, labels[::-1])
        )
        note = {
            **memory,
            "logits": logits,
            "rows": rows,
            "at": (memory["at"] + len(slots)) % size,
            "potentials": potentials,
        }
        note = _counted(note, jax.lax.stop_gradient(each) / rho, step, task.steps)
        return each.sum(), _agreement(views, memory["last"].argmin()), note

    return objective.Objective(
        loss,
        init=lambda key, variables: _empty(variables["params"], size, images),
        remember=_chosen,
        views=("full", "full"),
    )


def _empty(params, size, images):
    """The memory before the first step."""
    heads, _, clusters = params["head"]["kernel"].shape
    return {
        "logits": jnp.zeros((heads, size, clusters)),
        "rows": jnp.full(size, images, jnp.int32),  # of the set; none yet
        "at": jnp.int32(0),
        "potentials": jnp.zeros((heads, clusters + 1)),
        "sum": jnp.zeros(heads),  # of the losses over rho of this epoch
        "last": jnp.zeros(heads),  # their mean in the last whole epoch
        "least": jnp.float32(_MOST),
        "chosen": jax.tree.map(jnp.copy, params),
    }


def _counted(note, losses, step, steps):
    """The note, with the losses of a step; and whether it was the last of an epoch."""
    ended = (step + 1) % steps == 0
    total = note["sum"] + losses / steps
    last = jnp.where(ended, total, note["last"])
    return {**note, "sum": jnp.where(ended, 0, total), "last": last}, ended


def _chosen(memory, params, note):
    """The memory after a step: weights of the epoch with the least loss over rho."""
    memory, ended = note
    least = memory["last"].min()
    better = ended & (least < memory["least"])
    chosen = jax.tree.map(
        lambda new, old: jnp.where(better, new, old), params, memory["chosen"]
    )
    return {
        **memory,
        "least": jnp.where(better, least, memory["least"]),
        "chosen": chosen,
    }


def _agreement(views, head):
    """[B, 2]: the first is larger where both views of an image are in one cluster."""
    first, second = (view[:, head].argmax(-1) for view in views)
    same = (first == second).astype(jnp.float32)
    return jnp.stack([same, 1 - same], -1)


def _among(graph, rows, known):
    """The part of a graph of N images among some of them, `rows` [S] where `known`."""
    neighbours, similarity = graph
    images, slots = len(neighbours), jnp.arange(len(rows))
    # What is not there yet has a number beyond all, and is dropped.
    place = jnp.full(images, -1).at[rows].set(slots, mode="drop")
    own = jnp.minimum(rows, images - 1)
    found = place[neighbours[own]]
    there = (found >= 0) & known[:, None]
    return (
        jnp.where(there, found, slots[:, None]),
        jnp.where(there, similarity[own], 0),
    )
