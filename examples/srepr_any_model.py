"""SRepr on a model of Flax Linen, Flax NNX or Equinox, through its functions.

    python examples/srepr_any_model.py linen nnx equinox

trains a small network on the digits of scikit-learn, made long-tailed, in a loop of its
own, and re-trains its classifier with `srepr_pipeline.retrain`. A few seconds on a CPU.
What the library asks of a model is a tree of parameters and two functions:

    evaluate(variables, images) -> features [N, D]
    statistics(variables, images) -> the updated "batch_stats", in training mode

where `variables` holds "params" and, but for the very first call, "batch_stats". Of a
Linen module its `apply` is taken for both. The loop here asks a model for both at once,
`forward(variables, images) -> features, "batch_stats"`, in training mode.
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
    """A Linen module: `apply` is its own function."""
    from flax import linen as nn

    class Features(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            for _ in range(2):
                x = nn.Dense(WIDTH)(x)
                x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
            return x

    net = Features()

    def forward(variables, x):
        z, updated = net.apply(variables, x, train=True, mutable=["batch_stats"])
        return z, updated["batch_stats"]

    return net.apply, forward, net.init(key, images[:1])


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

    def merged(variables):
        kept = variables.get("batch_stats", stats)
        return nnx.merge(graph, variables["params"], kept)

    def evaluate(variables, x):
        net = merged(variables)
        net.eval()
        return net(x)

    def forward(variables, x):
        net = merged(variables)
        net.train()
        return net(x), nnx.to_pure_dict(nnx.state(net, nnx.BatchStat))

    functions = evaluate, lambda variables, x: forward(variables, x)[1]
    return functions, forward, {"params": params, "batch_stats": stats}


def of_equinox(key, images):
    """An Equinox module without batch norm: its arrays are the parameters."""
    import equinox as eqx

    net = eqx.nn.MLP(
        images.shape[-1], WIDTH, WIDTH, 1, final_activation=jax.nn.relu, key=key
    )
    params, static = eqx.partition(net, eqx.is_inexact_array)

    def evaluate(variables, x):
        return jax.vmap(eqx.combine(variables["params"], static))(x)

    def forward(variables, x):
        return evaluate(variables, x), {}

    return (evaluate, lambda variables, x: {}), forward, {"params": params}


MODELS = {"linen": of_linen, "nnx": of_nnx, "equinox": of_equinox}


def train(key, forward, variables, images, labels, classes, epochs=40, steps=20):
    """A loop as anyone might have it; SWAG takes a snapshot per epoch, late on.

    Returns the posterior of the feature extractor, and what a plain training would
    have had: the last variables and head.
    """
    params = variables["params"], linear.init(key, WIDTH, classes)
    tx = optax.sgd(0.05, momentum=0.9)

    def loss(params, stats):
        inputs = {"params": params[0], "batch_stats": stats}
        z, stats = forward(inputs, images)
        each = cross_entropy(linear.logits(params[1], z), labels)
        return each.mean(), stats

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
        apply, forward, variables = MODELS[name](jax.random.clone(init_key), images)
        posterior, *plain = train(
            jax.random.clone(head_key), forward, variables, images, labels, len(counts)
        )
        evaluate = apply[0] if isinstance(apply, tuple) else apply
        mean = retrain(
            jax.random.clone(retrain_key), posterior, apply, images, labels, counts
        )
        for what, (variables, head) in (("plain", plain), ("SRepr", mean)):
            logits = srepr.logits(head, evaluate(variables, test))
            figures = found[name, what] = scores(logits, data.test.label, few)
            shown = ", ".join(f"{key} {value:.3f}" for key, value in figures.items())
            print(f"{name}, {what}: {shown}")
    return found


if __name__ == "__main__":
    main(sys.argv[1:] or MODELS)
