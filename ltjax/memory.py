"""What a run's training and posterior take of the memory, worked out before it starts.

Images, activations and the compiler's scratch come on top.
"""

import dataclasses
import math
from typing import NamedTuple

import jax

from ltjax import deviations, machine
from ltjax.mistake import Mistake
from ltjax.posterior import swag

# What to do when deviations whole on every device are too many, the cheapest first.
_ELSEWHERE = (
    {"place": "sharded"},
    {"dtype": "bfloat16"},
    {"place": "sharded", "dtype": "bfloat16"},
    {"place": "host"},
    {"place": "host", "dtype": "bfloat16"},
)


class Need(NamedTuple):
    """Bytes by what they are for."""

    device: dict  # on each device
    host: int  # in the memory of each process: all deviations, and parts of draws

    def __str__(self):
        terms = " + ".join(f"{name} {_mib(n)}" for name, n in self.device.items())
        beside = f", and {_mib(self.host)} of the host" if self.host else ""
        return f"{terms} = {_mib(sum(self.device.values()))} MiB a device{beside}"


def need(params, swa, samples, steps):
    """The `Need` of the SWA backbone, whose parameters have the shapes `params`.

    `swa` is that part of a config, `samples` the number of draws, `steps` that of an
    epoch.
    """
    store = deviations.placed(
        swa.place, swa.rank, -(-steps // (swa.every_steps or steps))
    )
    posterior = jax.eval_shape(lambda p: swag.init(p, store.rank, swa.dtype), params)
    _, shardings = store.shardings(((), posterior))
    weights = _bytes(params)
    device = {
        "parameters": weights,
        "momentum": weights,
        "mean": _bytes(posterior.mean),
        "scatter": _bytes(posterior.scatter),
        f"{store.rank} deviations": _bytes(posterior.deviations, shardings.deviations),
    }
    if swa.place != "host":
        return Need(device, 0)
    kept = jax.eval_shape(lambda p: swag.init(p, swa.rank, swa.dtype), params)
    # Beside the deviations lie the low-rank parts of all draws, and of the mean.
    return Need(device, _bytes(kept.deviations) + (samples + 1) * weights)


def check(params, swa, samples, steps):
    """The arithmetic of a run's memory in a line.

    Raises `Mistake` if it cannot fit, with what would.
    """
    found = need(params, swa, samples, steps)
    if _fits(found):
        return f"memory in MiB: {found}; images and activations come on top"
    for changes in _ELSEWHERE:
        other = dataclasses.replace(swa, **changes)
        if other != swa and _fits(need(params, other, samples, steps)):
            flags = " ".join(f"--swa.{name} {value}" for name, value in changes.items())
            hint = f"{flags} fits"
            break
    else:
        hint = "lower swa.rank or posterior.samples, or take a smaller model"
    raise Mistake(f"memory in MiB: {found}; there are {_available()}; {hint}")


def _fits(found):
    device, ram = device_memory(), host_memory()
    used = sum(found.device.values())
    if device is None:
        return ram is None or jax.local_device_count() * used + found.host <= ram
    return used <= device and (ram is None or found.host <= ram)


def _available():
    device, ram = device_memory(), host_memory()
    if device is None:
        return f"{_mib(ram)} for {jax.local_device_count()} device(s) and the host"
    return f"{_mib(device)} a device" + (f" and {_mib(ram)} of the host" if ram else "")


def device_memory():
    """Bytes that a device may hold; None where devices use the host's memory."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def host_memory():
    """Bytes of memory that this process may use; None where nobody tells."""
    return machine.memory()


def _bytes(tree, shardings=None):
    """Bytes of a tree of shapes, or of the part of it that one device has."""
    leaves = jax.tree.leaves(tree)
    shapes = [leaf.shape for leaf in leaves]
    if shardings is not None:
        cuts = jax.tree.leaves(shardings)
        shapes = [cut.shard_shape(shape) for cut, shape in zip(cuts, shapes)]
    return sum(
        math.prod(shape) * leaf.dtype.itemsize for shape, leaf in zip(shapes, leaves)
    )


def _mib(count):
    return f"{count / 2**20:,.1f}"
