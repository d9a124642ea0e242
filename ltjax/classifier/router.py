"""The router of RIDE: which samples ask for another expert.

Wang et al., ICLR 2021 (arXiv 2010.01809), section 3.3. After expert i of E the router
sees that expert's features and the running ensemble, the mean of the logits of experts
0 to i. It is trained on frozen experts to ask where the ensemble is wrong so far and
right after a later expert.
"""

import jax
import jax.numpy as jnp

from ltjax.classifier import linear


def init(key, experts, dim, classes, top=30, hidden=16):
    """A new router of features of `dim` dimensions and the `top` largest logits.

    There is a hidden layer after each expert but the last; the layer above is shared.
    Of fewer classes than `top` all logits are seen. Raises `ValueError` for one expert.
    """
    if experts < 2:
        raise ValueError(f"{experts} expert; a router needs at least 2 to choose from")
    hidden_key, ask_key = jax.random.split(key)
    keys = jax.random.split(hidden_key, experts - 1)
    return {
        "hidden": jax.vmap(lambda key: linear.init(key, dim, hidden))(keys),
        "ask": linear.init(ask_key, min(top, classes) + hidden, 1),
    }


def request(params, index, features, mean_logits):
    """How much samples want a further expert after expert `index`: logits [B].

    Those above 0 ask. features [B, D] of that expert, mean_logits [B, C] of all so far.
    """
    # As long as in torch.nn.functional.normalize: a zero vector stays one.
    length = jnp.linalg.norm(features, axis=-1, keepdims=True)
    unit = features / jnp.maximum(length, 1e-12)
    layer = jax.tree.map(lambda leaf: leaf[index], params["hidden"])
    hidden = jax.nn.relu(linear.logits(layer, unit))
    seen = len(params["ask"]["kernel"]) - hidden.shape[-1]
    largest, _ = jax.lax.top_k(mean_logits, seen)
    both = jnp.concatenate([largest, hidden], -1)
    return linear.logits(params["ask"], both)[..., 0]


def logits(params, features, logits):
    """All requests [B, E - 1], of features [B, E, D] and logits [B, E, C]."""
    means = running_mean(logits)
    return jnp.stack(
        [
            request(params, i, features[:, i], means[:, i])
            for i in range(logits.shape[1] - 1)
        ],
        axis=1,
    )


def running_mean(logits):
    """The ensembles of the first 1, 2, ..., E experts: logits [B, E, C] to the same."""
    seen = jnp.arange(1, logits.shape[1] + 1, dtype=logits.dtype)
    return logits.cumsum(1) / seen[None, :, None]


def targets(logits, labels):
    """Who should ask, bool [B, E - 1]: wrong now, and right after a later expert."""
    right = running_mean(logits).argmax(-1) == labels[:, None]
    later = jax.lax.cummax(right[:, 1:].astype(jnp.int32), axis=1, reverse=True)
    return ~right[:, :-1] & (later > 0)


def loss(params, features, expert_logits, labels, weight=100.0):
    """Binary cross entropy per example [B], the mean over the E - 1 requests.

    Requests that are due weigh `weight`. features [B, E, D], expert_logits [B, E, C].
    """
    asked = logits(params, features, expert_logits)
    due = targets(expert_logits, labels)
    softplus = jax.nn.softplus
    return jnp.where(due, weight * softplus(-asked), softplus(asked)).mean(-1)
