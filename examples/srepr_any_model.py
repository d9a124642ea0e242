"""SRepr on a model of Flax Linen, Flax NNX or Equinox, through its `apply`.

    python examples/srepr_any_model.py linen nnx equinox

trains a small network on the digits of scikit-learn, made long-tailed, in a loop of its
own, and re-trains its classifier with `srepr_pipeline.retrain`. A few seconds on a CPU.
What the library asks of a model is one function, and a tree of parameters:

    apply(variables, images) -> features [N, D]
    apply(variables, images, train=True, mutable=["batch_stats"])
        -> features, {"batch_stats": updated}

where `variables` holds "params" and, but for the very first call, "batch_stats". A
Linen module's `apply` is that function. The others are wrapped in a few lines.
"""

import sys

import jax
import jax.numpy as jnp
import optax
from srepr_pipeline import retrain

from ltjax.classifier import linear, srepr
from ltjax.data import longtail, sources
from ltjax.evaluation import accuracy, ece, nll
from ltjax.losses import cross_entropy
from ltjax.posterior import swag

WIDTH = 64


def of_linen(key, images):
    """A Linen module: `apply` is its own."""
    from flax import linen as nn

    class Features(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            for _ in range(2):
                x = nn.Dense(WIDTH)(x)
                x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
            return x

    net = Features()
    return net.apply, net.init(key, images[:1])


def of_nnx(key, images):
    """An NNX module: split into parameters and statistics, merged in every call."""
    from flax import nnx

    class Features(nnx.Module):
        def __init__(self, inputs, rngs):
            self.first = nnx.Linear(inputs, WIDTH, rngs=rngs)
            self.first_norm = nnx.BatchNorm(WIDTH, rngs=rngs)
            self.second = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
            self.second_norm = nnx.BatchNorm(WIDTH, rngs=rngs)

        def __call__(self, x):
            x = nnx.relu(self.first_norm(self.first(x)))
            return nnx.relu(self.second_norm(self.second(x)))

    model = Features(images.shape[-1], nnx.Rngs(params=key))
    graph, *states = nnx.split(model, nnx.Param, nnx.BatchStat)
    params, stats = map(nnx.to_pure_dict, states)

    def apply(variables, x, train=False, mutable=()):
        statistics = variables.get("batch_stats", stats)
        net = nnx.merge(graph, variables["params"], statistics)
        net.train() if train else net.eval()
        z = net(x)
        updated = nnx.to_pure_dict(nnx.state(net, nnx.BatchStat))
        return (z, {"batch_stats": updated}) if mutable else z

    return apply, {"params": params, "batch_stats": stats}


def of_equinox(key, images):
    """An Equinox module without batch norm: its arrays are the parameters."""
    import equinox as eqx

    net = eqx.nn.MLP(
        images.shape[-1], WIDTH, WIDTH, 1, final_activation=jax.nn.relu, key=key
    )
    params, static = eqx.partition(net, eqx.is_inexact_array)

    def apply(variables, x, train=False, mutable=()):
        z = jax.vmap(eqx.combine(variables["params"], static))(x)
        return (z, {}) if mutable else z

    return apply, {"params": params}


MODELS = {"linen": of_linen, "nnx": of_nnx, "equinox": of_equinox}


def train(key, apply, variables, images, labels, classes, epochs=40, steps=20):
    """A loop as anyone might have it; SWAG takes a snapshot per epoch, late on.

    Returns the posterior of the feature extractor, and what a plain training would
    have had: the last variables and head.
    """
    params = variables["params"], linear.init(key, WIDTH, classes)
    tx = optax.sgd(0.05, momentum=0.9)

    def loss(params, stats):
        inputs = {"params": params[0], "batch_stats": stats}
        z, updated = apply(inputs, images, train=True, mutable=["batch_stats"])
        each = cross_entropy(linear.logits(params[1], z), labels)
        return each.mean(), updated.get("batch_stats", {})

    def step(carry, _):
        params, stats, state = carry
        grads, stats = jax.grad(loss, has_aux=True)(params, stats)
        updates, state = tx.update(grads, state)
        return (optax.apply_updates(params, updates), stats, state), None

    @jax.jit
    def epoch(carry):
        return jax.lax.scan(step, carry, length=steps)[0]

    carry = params, variables.get("batch_stats", {}), tx.init(params)
    posterior = swag.init(params[0], rank=10)
    for number in range(epochs):
        carry = epoch(carry)
        if number >= epochs // 2:
            posterior = swag.update(posterior, carry[0][0])
    (params, head), stats, _ = carry
    return posterior, {"params": params, "batch_stats": stats}, head


def scores(logits, labels, few):
    """What a line of the table says, of logits [N, C] and labels [N]."""
    right = accuracy(logits, labels)
    return {
        "few": 100 * right[few[labels]].mean(),
        "all": 100 * right.mean(),
        "NLL": nll(logits, labels).mean(),
        "ECE": ece(jax.nn.softmax(logits), labels),
    }


def main(names):
    """Prints and returns the scores before and after re-training, by framework."""
    data = sources.digits()
    counts = longtail.exponential_counts(10, 100, 50)
    rows = longtail.subset(data.train.label, counts)
    few = longtail.groups(counts)["few"]
    images, test = (
        jnp.asarray(split.reshape(len(split), -1) / 255, jnp.float32)
        for split in (data.train.image[rows], data.test.image)
    )
    labels = data.train.label[rows]
    init_key, head_key, retrain_key = jax.random.split(jax.random.key(0), 3)
    found = {}
    for name in names:
        apply, variables = MODELS[name](jax.random.clone(init_key), images)
        posterior, *plain = train(
            jax.random.clone(head_key), apply, variables, images, labels, len(counts)
        )
        mean = retrain(
            jax.random.clone(retrain_key), posterior, apply, images, labels, counts
        )
        for what, (variables, head) in (("plain", plain), ("SRepr", mean)):
            logits = srepr.logits(head, apply(variables, test))
            figures = found[name, what] = scores(logits, data.test.label, few)
            shown = ", ".join(f"{key} {value:.3f}" for key, value in figures.items())
            print(f"{name}, {what}: {shown}")
    return found


if __name__ == "__main__":
    main(sys.argv[1:] or MODELS)
