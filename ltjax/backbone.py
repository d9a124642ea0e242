"""Stage one of a run: the network, and its training under a schedule."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from ltjax import checkpoint, deviations, devices, epochs, pretrained
from ltjax import config as configs
from ltjax.data import augment, sampling
from ltjax.losses import cross_entropy
from ltjax.mistake import Mistake
from ltjax.models import resnet
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.posterior import swag
from ltjax.report import progress
from ltjax.representation import epoch, schedule, step

NAMES = ("sgd", "swa")


_RESNETS = {
    "resnet10": resnet.resnet10,
    "resnet50": resnet.resnet50,
    "resnet101": resnet.resnet101,
    "resnet152": resnet.resnet152,
    "resnext50": resnet.resnext50,
    "resnext101": resnet.resnext101,
}


def whole(model):
    """The whole feature extractor of a model config, frozen parts included."""
    dtype = jnp.dtype(model.dtype)
    if model.name == "cifar_resnet":
        return CifarResNet(model.depth, model.width, dtype)
    return _RESNETS[model.name](dtype=dtype)


def network(model, classes):
    """The network to train: `features` and `head`, logits [B, classes].

    Its features lack the frozen parts, whose outputs are its inputs.
    """
    features = whole(model)
    if model.frozen:
        features = features.copy(first=model.frozen)
    return Network(features=features, head=Linear(classes))


def start(model, channels):
    """The weights that a model config begins with, for images of so many channels."""
    if model.pretrained is None:
        return pretrained.none()
    return pretrained.read(model.pretrained, whole(model), model.frozen, channels)


def parameters(model, classes, start, image):
    """The shapes of the network's parameters for images of the shape [H, W, ch]."""
    net = network(model, classes)
    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)

    def init(frozen, images):
        return net.init(jax.random.key(0), start.trunk(frozen, images))["params"]

    return jax.eval_shape(init, start.frozen, images)


def augmentation(pad, flip):
    """Builds `augment(key, images)`, uint8 to uint8: random crops, random flips."""

    def apply(key, images):
        crop_key, flip_key = jax.random.split(key)
        if pad:
            images = augment.crop(crop_key, images, pad)
        if flip:
            images = augment.flip(flip_key, images)
        return images

    return apply


def train(session, name):
    """Trains the backbone `name`, "sgd" or "swa", and returns (state, posterior).

    The SGD run decays its rate to zero and has no posterior, (). The SWA run holds a
    constant rate after `swa.start` and folds its snapshots into a `swag.State`. Both
    see the same initial weights, batches and augmentations. Every epoch is saved, and
    an unfinished training goes on from the newest one, on any number of devices. What
    is returned lies whole on each of them, the deviations where `swa.place` says.

    Raises `Mistake` if the loss is not finite; that epoch is not saved.
    """
    config, keys, net = session.config, session.keys, session.net
    optim, swa = config.optim, config.swa
    rows = jax.jit(
        sampling.batches(
            optim.sampling,
            session.index,
            optim.batch_size,
            optim.epochs,
            optim.drop_last,
        )
    )
    steps = len(jax.eval_shape(rows, keys.order, 0))
    warmup = optim.warmup_epochs * steps
    interval = swa.every_steps or steps
    store = deviations.placed(swa.place, swa.rank, -(-steps // interval))
    if name == "swa":
        start = configs.swa_start(config) * steps
        rate = schedule.to_constant(optim.lr, swa.lr, start, warmup)
        collect = epoch.every(swag.update, start, interval)
    else:
        rate = schedule.to_zero(optim.lr, optim.epochs * steps, warmup)

        def collect(posterior, state):
            return posterior

    tx = schedule.sgd(rate, optim.momentum, optim.weight_decay)

    def prepare(frozen, key, images):
        images = devices.spread(session.normalise(session.augment(key, images)))
        return session.pretrained.trunk(frozen, images)

    def begin(variables):
        state = step.init(variables, tx)
        if name != "swa":
            return state, ()
        return state, swag.init(state.params, store.rank, swa.dtype)

    # Not compiled as a whole: a generator takes a second to compile, and one by one
    # those of equal shape, and of the other backbone, are compiled once.
    frozen = session.pretrained.frozen
    shape = session.data.train.image.shape[1:]
    image = session.normalise(np.zeros((1, *shape), np.uint8))
    variables = net.init(
        jax.random.clone(keys.init), session.pretrained.trunk(frozen, image)
    )
    variables = pretrained.begin(variables, session.pretrained)
    shapes = jax.eval_shape(begin, variables)
    placed = store.shardings(shapes)
    kind = epochs.streamed if session.streams else epochs.resident
    run_epoch = kind(
        session,
        rows,
        devices.whole(frozen),
        step.make_step(net.apply, cross_entropy, tx),
        prepare,
        collect,
        placed,
    )
    folder = session.out / "checkpoints" / name
    with checkpoint.keeper(folder, config.checkpoint.keep) as keeper:
        restored = checkpoint.restore_latest(keeper, store.like(shapes))
        if restored:
            done, carry = restored[0], store.resumed(restored[1])
        else:
            done, carry = 0, jax.jit(begin, out_shardings=placed)(variables)
        with progress.stage(
            session.console, f"train {name}", optim.epochs, done
        ) as advance:
            for number in range(done, optim.epochs):
                started = time.monotonic()
                carry, history, pace = run_epoch(number, carry)
                history = jax.tree.map(np.asarray, history)
                first = number * steps
                _refuse_divergence(name, history["loss"], first, rate)
                loss = float(history["loss"].mean())
                accuracy = float(history["accuracy"].mean())
                session.writer.write(
                    {
                        "event": "epoch",
                        "backbone": name,
                        "epoch": number + 1,
                        "loss": loss,
                        "accuracy": accuracy,
                        "lr": float(rate(first + steps - 1)),
                        "stage": "representation",
                        "seconds": time.monotonic() - started,
                        **pace,
                    }
                )
                # Told before it is saved: a kill in between repeats the event.
                checkpoint.save_step(keeper, number + 1, store.whole(carry))
                advance(
                    f"loss {loss:.3f}, accuracy {100 * accuracy:.1f} %"
                    + epochs.in_words(pace)
                )
    return store.whole(carry)


def _refuse_divergence(name, losses, first_step, rate):
    finite = np.isfinite(losses)
    if not finite.all():
        at = first_step + int(finite.argmin())
        raise Mistake(
            f"{name}: the loss is {losses[finite.argmin()]} at step {at}, learning "
            f"rate {float(rate(at)):g}; try a smaller --optim.lr"
        )
