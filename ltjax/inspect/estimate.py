"""What a run will take, from a few of its training steps on this device."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax import machine
from ltjax.losses import cross_entropy
from ltjax.models import pretrained
from ltjax.representation import epoch, schedule, step

_STEPS = 4
_AT_ONCE = 16  # images that frozen parts are timed with
_REPEATS = 3
# A run compiles a dozen programs, of which the training is the longest, and hundreds of
# small ones; it imports and saves, which no other figure here tells either.
_COMPILATIONS = 9
HOW = (
    f"{_STEPS} training steps were compiled and timed, on a CPU by the time its cores "
    "worked for them; a forward pass counts as a third of a step, all compiling as "
    f"{_COMPILATIONS} times that of the steps, the training of classifiers as nothing"
)


def estimate(config, shape, classes, train, test):
    """Seconds and bytes of a run, a dict; `shape` (H, W, ch) is that of its images.

    `train` and `test` are numbers of images. The time is that of a device with nothing
    else to do; `busy` says how many times as long the steps took, None if not known.
    """
    optim, posterior = config.optim, config.posterior
    seconds, compiling, busy, scratch = _step(config, shape, classes)
    per_image = seconds / optim.batch_size
    steps = train // optim.batch_size
    training = 2 * optim.epochs * steps * seconds
    members = 1 + posterior.samples
    views = config.classifier.views or config.classifier.epochs
    # Statistics and views of every member, and of the SGD run; once without augmenting.
    passes = (1 + members) * (1 + views) * train + 2 * train + (1 + members) * test
    features = passes * per_image / 3
    pixels = int(np.prod(shape)) * (train + test)
    looks = (1 + (config.frozen.views or 0)) * train + test
    outputs = looks * _outputs(config, shape) if config.frozen.views else 0.0
    return {
        "device": jax.devices()[0].device_kind,
        "busy": busy,
        "seconds_per_step": seconds,
        "images_per_second": 1 / per_image,
        "seconds": {
            "compiling": _COMPILATIONS * compiling,
            "representation": training,
            "features": features,
            **({"outputs": outputs} if outputs else {}),
            "total": _COMPILATIONS * compiling + training + features + outputs,
        },
        "bytes": {
            # The files' pixels, and the same again when they are split.
            "host": 2 * pixels,
            "device": pixels + scratch,
        },
        "how": HOW,
    }


def _outputs(config, shape):
    """Seconds for the frozen parts of an image, at their resolution."""
    body, (first, image) = config.model.body(), _cut(config, shape)
    lower = body.copy(last=first)
    variables = jax.jit(lower.init)(jax.random.key(0), image)
    images = jnp.zeros((_AT_ONCE, *image.shape[1:]), jnp.float32)
    compiled = jax.jit(lower.apply).lower(variables, images).compile()
    jax.block_until_ready(compiled(variables, images))
    begin = _Clocks.now()
    jax.block_until_ready(compiled(variables, images))
    stepping = _Clocks.since(begin)
    alone = stepping.wall if accelerated() else stepping.working / machine.cores()
    return alone / _AT_ONCE


def _cut(config, shape):
    """The first part that trains, and a black image of what the network takes."""
    side = config.model.side
    image = jnp.zeros((1, side, side, shape[-1]), jnp.float32)
    first = pretrained.first_of(config.model.body(), config.model.trained, image)
    return first, image


def _step(config, shape, classes):
    """Seconds of a step and of compiling, how busy, and bytes besides the images.

    Of kept outputs, where parts are frozen.
    """
    optim = config.optim
    net = config.model.make(classes)
    augmentation = config.augment.make()["full"]
    _, tx = optim.make(_STEPS, schedule.to_zero(optim.lr, 2, 1))
    image, scale = jnp.zeros((1, *shape), jnp.float32), 255
    if config.frozen.views:
        first, image = _cut(config, shape)
        below = net.features.copy(last=first)
        found = jax.eval_shape(below.init_with_output, jax.random.key(0), image)[0]
        image = jnp.zeros(found.shape, jnp.float32)
        net = net.copy(features=net.features.copy(first=first))
        augmentation, shape, scale = (lambda key, x: x), image.shape[1:], 1

    def seen(key, images):
        return augmentation(key, images).astype(jnp.float32) / scale

    data = {
        "image": jnp.zeros((optim.batch_size, *shape), jnp.uint8),
        "label": jnp.zeros(optim.batch_size, jnp.int32),
    }
    carry = (step.init(net.init(jax.random.key(0), image), tx), ())
    keys = tuple(jax.random.split(jax.random.key(1)))
    rows = jnp.zeros((_STEPS, optim.batch_size), jnp.int32)
    run_epoch = epoch.make_epoch(
        step.make_step(net.apply, cross_entropy, tx),
        epoch.of_images(seen),
        lambda old, state: old,
    )
    begin = _Clocks.now()
    compiled = jax.jit(run_epoch).lower(keys, carry, data, rows).compile()
    compiling = _Clocks.since(begin)
    jax.block_until_ready(compiled(keys, carry, data, rows))
    begin = _Clocks.now()
    for _ in range(_REPEATS):
        jax.block_until_ready(compiled(keys, carry, data, rows))
    stepping = _Clocks.since(begin)
    memory = compiled.memory_analysis()
    scratch = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    count = _REPEATS * _STEPS
    if accelerated():
        return stepping.wall / count, compiling.wall, None, scratch
    alone = stepping.working / machine.cores()
    # Compiling keeps one core at work.
    return alone / count, compiling.working, stepping.wall / alone, scratch


class _Clocks(NamedTuple):
    """Seconds by the clock, and seconds that cores worked for this process."""

    wall: float
    working: float

    @classmethod
    def now(cls):
        return cls(time.monotonic(), time.process_time())

    @classmethod
    def since(cls, begin):
        now = cls.now()
        return cls(now.wall - begin.wall, now.working - begin.working)


def accelerated():
    """Whether the device is anything faster than a CPU."""
    return jax.default_backend() != "cpu"
