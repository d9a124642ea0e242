"""What was tried to make a CPU faster: each way of compiling or computing, by turns.

Two steps of a ResNet-32 in batches of 128, and features of 1,000 images in batches of
100, as a run does them ("as it is") and with one thing changed. The same file from
another version of JAX says what that is worth.
"""

import contextlib
from typing import NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from bench import harness, shared
from ltjax import config
from ltjax.models import batch_norm, convolution, gradient
from ltjax.posterior import members, predictive

STEPS, IMAGES = 2, 1000
ONEDNN = {
    "xla_cpu_use_onednn": True,
    "xla_cpu_experimental_onednn_custom_call": True,
}
_plain = gradient.plain


class Trial(NamedTuple):
    """What is changed; nothing by default."""

    options: dict | None = None  # of XLA
    patch: tuple | None = None  # (module, name, value)
    dtype: str = "float32"


def two_passes(x, axis_name=None):
    """`batch_norm.moments`, the variance in a pass of its own."""
    x = x.astype(jnp.float32)
    mean = x.mean((0, 1, 2))
    return mean, jnp.square(x - mean[None, None, None]).mean((0, 1, 2))


def channels_first(x, kernel, stride=1, groups=1):
    """`gradient.plain`, computed in the layout that PyTorch has by default."""
    half = kernel.shape[0] // 2
    y = jax.lax.conv_general_dilated(
        x.transpose(0, 3, 1, 2),
        kernel.transpose(3, 2, 0, 1),
        window_strides=(stride, stride),
        padding=((half, half), (half, half)),
        feature_group_count=groups,
    )
    return y.transpose(0, 2, 3, 1)


def pairs_of_pixels(x, kernel, stride=1, groups=1):
    """`gradient.plain`, of 16 channels as one of 32 over pairs of pixels of a row."""
    height, width, into = x.shape[1:]
    if (*kernel.shape, stride, groups) != (3, 3, 16, 16, 1, 1):
        return _plain(x, kernel, stride, groups)
    x = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    x = x.reshape(len(x), height, width // 2 + 1, 2 * into)
    shifted = [((0, 0), (p, 1 - p), (0, 0), (0, 0)) for p in range(2)]
    paired = jnp.stack([jnp.pad(kernel, by) for by in shifted], -2)
    y = _valid(x, paired.reshape(3, 2, 2 * into, 2 * kernel.shape[-1]), (1, 1), (0, 0))
    return y.reshape(len(x), height, width, -1)


def space_to_depth(x, kernel, stride=1, groups=1):
    """`gradient.plain`, of stride 2 as one of stride 1 over squares of four pixels."""
    batch, height, width, into = x.shape
    if (stride, groups, kernel.shape[0], height % 2, width % 2) != (2, 1, 3, 0, 0):
        return _plain(x, kernel, stride, groups)
    x = x.reshape(batch, height // 2, 2, width // 2, 2, into)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(*x.shape[:2], width // 2, -1)
    square = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
    square = square.reshape(2, 2, 2, 2, into, -1).transpose(0, 2, 1, 3, 4, 5)
    return _valid(x, square.reshape(2, 2, 4 * into, -1), (1, 0), (1, 0))


def _valid(x, kernel, *padding):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _at_once(images):
    return Trial(patch=(convolution, "_AT_ONCE", images))


AS_IT_IS = "as it is"
TRIALS = {
    AS_IT_IS: Trial(),
    "moments in two passes": Trial(patch=(batch_norm, "moments", two_passes)),
    "kernel gradients of 8 images at a time": _at_once(8),
    "kernel gradients of 32 images at a time": _at_once(32),
    "kernel gradients of 64 images at a time": _at_once(64),
    "channels first": Trial(patch=(gradient, "plain", channels_first)),
    "space to depth for strides": Trial(patch=(gradient, "plain", space_to_depth)),
    "pairs of pixels, 16 channels": Trial(patch=(gradient, "plain", pairs_of_pixels)),
    "vectors of 512 bits": Trial({"xla_cpu_prefer_vector_width": 512}),
    "fast math": Trial({"xla_cpu_enable_fast_math": True}),
    "LLVM's level 1": Trial({"xla_backend_optimization_level": 1}),
    "oneDNN": Trial(ONEDNN),
    "bfloat16": Trial(dtype="bfloat16"),
    "bfloat16 with oneDNN": Trial(ONEDNN, dtype="bfloat16"),
}


def flags(parser):
    """Adds the part's flags."""
    add = parser.add_argument
    add("--repeats", type=int, default=9, help="turns of all trials")
    add("--only", nargs="+", choices=TRIALS, help="of the trials, beside the first")


def measure(flags):
    """The figures of the file."""
    harness.check_repeats(flags, 2)
    jax.config.update("jax_enable_compilation_cache", False)
    names = [AS_IT_IS, *(n for n in flags.only or TRIALS if n != AS_IT_IS)]
    pairs = {name: programs(TRIALS[name]) for name in names}
    rows = [{"trial": name} for name in names]
    for at, part, images in (
        (0, "train", STEPS * shared.BATCH),
        (1, "features", IMAGES),
    ):
        calls = {name: pairs[name][at] for name in names}
        first, times, _ = harness.by_turns(calls, flags.repeats)
        for row in rows:
            taken = times[row["trial"]]
            row[part] = {
                **harness.ratio(times[AS_IT_IS], taken),
                "images_per_second": images / float(np.median(taken)),
                "first_seconds": first[row["trial"]],
            }
    return {"rows": rows}


def programs(trial):
    """Two calls under the trial: some steps of an epoch, and features of images."""
    with contextlib.ExitStack() as changed:
        if trial.patch:
            changed.enter_context(mock.patch.object(*trial.patch))
        return _training(trial), _features(trial)


def _network(trial):
    net = config.CifarResNet(depth=32, dtype=trial.dtype).make(shared.CLASSES)
    return net, shared.shared().variables


def _training(trial):
    rows = jnp.arange(STEPS * shared.BATCH).reshape(STEPS, shared.BATCH)
    keys = tuple(jax.random.split(jax.random.key(1)))
    compiled = _compiler(trial)
    with mock.patch.object(shared.jax, "jit", compiled):
        run, carry, data = shared.started(
            *_network(trial), lambda nothing, state: (), ()
        )
    run = run.lower(keys, carry, data, rows).compile()

    def call():
        nonlocal carry
        carry, history = run(keys, carry, data, rows)
        return carry, history

    return harness.ready(call)


def _features(trial):
    net, variables = _network(trial)
    features = members.make_features(
        lambda params, member: params["features"],
        net,
        shared.normalise,
        predictive.CPU_BATCH,
        chunk=1,
    )
    stats = jax.tree.map(lambda leaf: leaf[None], variables["batch_stats"]["features"])
    images = shared.shared().images[:IMAGES]
    args = jax.device_put((variables["params"], jnp.arange(1), stats, images))
    run = _compiler(trial)(features).lower(*args).compile()
    return harness.ready(lambda: run(*args))


def _compiler(trial):
    jit = jax.jit
    return lambda function, **how: jit(function, compiler_options=trial.options, **how)
