"""What a run will take, from a few of its training steps on this device."""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np

from ltjax import backbone
from ltjax.losses import cross_entropy
from ltjax.representation import epoch, schedule, step

_STEPS = 4
_REPEATS = 3
# A run compiles a dozen programs; the training is the longest of them.
_COMPILATIONS = 5
HOW = (
    f"{_STEPS} training steps were compiled and timed; a forward pass counts as a "
    f"third of a step, all compiling as {_COMPILATIONS} times that of the steps, and "
    "the training of the classifiers as nothing"
)


def estimate(config, shape, classes, train, test):
    """Seconds and bytes of a run, a dict; `shape` (H, W, ch) is that of its images.

    `train` and `test` are numbers of images. The time is that of the device as busy as
    it is now; `share` is the part of a CPU that this process got meanwhile, else None.
    """
    optim, posterior = config.optim, config.posterior
    seconds, compiling, share, scratch = _step(config, shape, classes)
    per_image = seconds / optim.batch_size
    steps = train // optim.batch_size
    training = 2 * optim.epochs * steps * seconds
    members = 1 + posterior.samples
    views = config.classifier.views or config.classifier.epochs
    # Statistics and views of every member, and of the SGD run; once without augmenting.
    passes = (1 + members) * (1 + views) * train + 2 * train + (1 + members) * test
    features = passes * per_image / 3
    pixels = int(np.prod(shape)) * (train + test)
    return {
        "device": jax.devices()[0].device_kind,
        "share": None if accelerated() else share,
        "seconds_per_step": seconds,
        "images_per_second": 1 / per_image,
        "seconds": {
            "compiling": _COMPILATIONS * compiling,
            "representation": training,
            "features": features,
            "total": _COMPILATIONS * compiling + training + features,
        },
        "bytes": {
            # The files' pixels, and the same again when they are split.
            "host": 2 * pixels,
            "device": pixels + scratch,
        },
        "how": HOW,
    }


def _step(config, shape, classes):
    """Seconds of a step, of compiling, share of the CPU, bytes besides the images."""
    optim = config.optim
    net = backbone.network(config.model, classes)
    augmentation = backbone.augmentation(config.data.pad, config.data.flip)
    tx = schedule.sgd(
        schedule.to_zero(optim.lr, 2, 1), optim.momentum, optim.weight_decay
    )

    def prepare(key, images):
        return augmentation(key, images).astype(jnp.float32) / 255

    data = {
        "image": jnp.zeros((optim.batch_size, *shape), jnp.uint8),
        "label": jnp.zeros(optim.batch_size, jnp.int32),
    }
    image = jnp.zeros((1, *shape), jnp.float32)
    carry = (step.init(net.init(jax.random.key(0), image), tx), ())
    keys = tuple(jax.random.split(jax.random.key(1)))
    rows = jnp.zeros((_STEPS, optim.batch_size), jnp.int32)
    run_epoch = epoch.make_epoch(
        step.make_step(net.apply, cross_entropy, tx), prepare, lambda old, state: old
    )
    begin = time.monotonic()
    compiled = jax.jit(run_epoch).lower(keys, carry, data, rows).compile()
    compiling = time.monotonic() - begin
    taken, working = [], -time.process_time()
    for _ in range(_REPEATS):
        begin = time.monotonic()
        jax.block_until_ready(compiled(keys, carry, data, rows))
        taken.append(time.monotonic() - begin)
    working += time.process_time()
    memory = compiled.memory_analysis()
    scratch = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    share = working / (sum(taken) * os.cpu_count())
    return min(taken) / _STEPS, compiling, share, scratch


def accelerated():
    """Whether the device is anything faster than a CPU."""
    return jax.default_backend() != "cpu"
