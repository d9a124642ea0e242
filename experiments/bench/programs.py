"""Device memory of the stages' programs, as the compiler tells it, for `memory.py`."""

from functools import cache, partial
from unittest import mock

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from bench import harness
from ltjax.classifier import heads, train
from ltjax.config import Classifier, Config, ResNet
from ltjax.losses import cross_entropy
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.posterior import members
from ltjax.representation import epoch, step
from ltjax.representation.objective import Objective, Task
from ltjax.stages import memory

DIM, DRAWS, BATCH = 2048, 10, 128
IMAGE = (224, 224, 3)


class Pooled(nn.Module):
    """Features of almost no weights, with a batch norm."""

    @nn.compact
    def __call__(self, images, train=False):
        """Images uint8 [B, H, W, ch] to [B, DIM]."""
        x = images.astype(jnp.float32).mean((1, 2)) / 255
        return nn.BatchNorm(use_running_average=not train)(nn.Dense(DIM)(x))


def programs(classes):
    """{stage: function from the number of training images to bytes} of a device.

    What streams takes batches; so its programs do not depend on the number of images.
    """

    def sent(row):
        # Two parts of 2^28 bytes, of which one is at work.
        return lambda count: _head(classes, row, _sent()) + 2**28

    return {
        "stage one, images on the device": partial(_epoch, classes),
        "stage one, streamed": lambda count: _epoch(classes, 2 * BATCH),
        "batch norm, images on the device": _refresh,
        "batch norm, streamed": lambda count: _refresh(1000),
        "features, whole": _features,
        "features, in parts": lambda count: _features(1000),
        "srepr, view on the device": partial(_head, classes, "srepr"),
        **{f"{row}, batches sent": sent(row) for row in ("la", "disalign", "srepr")},
    }


def whole_runs(sets, limits):
    """What `memory.need` says of a ResNet-50 on each set, by where features lie."""
    banks = ("memory", "float32"), ("file", "float32"), ("file", "bfloat16")
    return [
        {
            "set": name,
            "bank": bank,
            "bank_dtype": dtype,
            **(used := _needed(known, limits["device"], bank, dtype)),
            "fits": all(used[side] <= limits[side] for side in used),
        }
        for name, known in sets.items()
        for bank, dtype in banks
    ]


def _needed(known, device, bank, dtype):
    model = ResNet(name="resnet50")
    net = model.make(known["classes"])
    image = _shape(1, *IMAGE)
    variables = jax.eval_shape(net.init, jax.random.key(0), image)
    head = jax.eval_shape(net.head.linear, variables["params"]["head"])
    config = Config(model=model, classifier=Classifier(bank=bank, bank_dtype=dtype))
    sizes = memory.Sizes(
        variables=variables,
        objective=Objective(None),
        task=Task((), known["train"] // BATCH, config.optim.epochs),
        image=IMAGE,
        train=known["train"],
        test=known["test"],
        streamed=True,
        dims=head["kernel"].shape[:-1],
        classes=known["classes"],
        views=4,
    )
    with mock.patch.object(memory, "device_memory", return_value=device):
        need = memory.need(config, sizes)
    return {"device": sum(need.device.values()), "host": sum(need.host.values())}


def _bytes(function, *args, donate=()):
    _, _, seen = harness.compiled(function, *args, donate=donate)
    return (
        seen.argument_size_in_bytes
        + seen.output_size_in_bytes
        + seen.temp_size_in_bytes
        - seen.alias_size_in_bytes
    )


def _shape(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def _images(count):
    return _shape(count, *IMAGE, dtype=jnp.uint8)


def _network(classes):
    net = Network(Pooled(), Linear(classes))
    return net, jax.eval_shape(net.init, jax.random.key(0), _shape(1, *IMAGE))


@cache
def _epoch(classes, count):
    (net, variables), tx = _network(classes), optax.sgd(0.1, 0.9)
    run = epoch.make_epoch(
        step.make_step(net.apply, cross_entropy, tx),
        epoch.of_images(lambda key, images: images),
        lambda posterior, state: posterior,
    )
    state = jax.eval_shape(lambda v: step.init(v, tx), variables)
    data = {"image": _images(count), "label": _shape(count, dtype=jnp.int32)}
    rows = _shape(count // BATCH, BATCH, dtype=jnp.int32)
    keys = jax.eval_shape(lambda: tuple(jax.random.split(jax.random.key(0))))
    return _bytes(run, keys, (state, ()), data, rows, donate=1)


def _draw(params, member):
    """The mean and draws are each a number that scales the weights."""
    return jax.tree.map(lambda leaf: member * leaf, params["features"])


@cache
def _refresh(count):
    net, variables = _network(1)
    run = members.make_refresh(_draw, net, lambda images: images, 1000, 1)
    return _bytes(run, variables["params"], _shape(1 + DRAWS), _images(count))


@cache
def _features(count):
    net, variables = _network(1)
    run = members.make_features(_draw, net, lambda images: images, 1000, 1)
    stats = jax.tree.map(
        lambda leaf: _shape(1 + DRAWS, *leaf.shape),
        variables["batch_stats"]["features"],
    )
    return _bytes(run, variables["params"], _shape(1 + DRAWS), stats, _images(count))


def _sent():
    """The images of a part that is sent: 2^28 bytes of features."""
    return 2**28 // (4 * DIM * (1 + DRAWS) * BATCH) * BATCH


@cache
def _head(classes, row, count):
    head = {"kernel": jnp.zeros((DIM, classes)), "bias": jnp.zeros(classes)}
    made = heads.of_methods(
        Classifier(methods=(row,)),
        jax.random.key(0),
        head,
        None,
        jnp.full(classes, 10),
        draws=True,
    )
    recipe = made[row, "c-mean" if row == "srepr" else ""]
    tx = optax.sgd(0.1, 0.9, nesterov=True)
    seen = 1 + DRAWS if recipe.draws or count == _sent() else 1
    return _bytes(
        train.make_epoch(recipe.loss, tx),
        recipe.params,
        tx.init(recipe.params),
        _shape(seen, count, DIM),
        _shape(count, dtype=jnp.int32),
        _shape(max(count // BATCH, 2), BATCH, dtype=jnp.int32),
        donate=(0, 1),
    )
