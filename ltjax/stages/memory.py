"""What a run takes of the memory, worked out before it starts.

Counted is what lies there while a stage is under way: weights and posterior, images,
features, and the copies of a save. Activations and the compiler's scratch come on top.
"""

import dataclasses
import itertools
import math
from functools import partial
from typing import NamedTuple

import jax

from ltjax import machine
from ltjax.mistake import Mistake
from ltjax.representation.objective import Objective, Task
from ltjax.stages import backbones, deviations

# What to do where it is too much, the cheapest first: of the features, and of the
# deviations.
_BANKS = (
    {},
    {"bank": "file"},
    {"bank": "file", "bank_dtype": "bfloat16"},
)
_ELSEWHERE = (
    {},
    {"place": "sharded"},
    {"dtype": "bfloat16"},
    {"place": "sharded", "dtype": "bfloat16"},
    {"place": "host"},
    {"place": "host", "dtype": "bfloat16"},
)

_SHARE = 4  # features lie on a device if they take at most a quarter of it
_BATCHES = 2**29  # of features on the host: two parts of what is sent at a time
_COPIES = 2  # that a save of a training makes of all that it saves, as measured
_PART = 2**28  # of what is saved image after image


class Sizes(NamedTuple):
    """What a run's memory depends on, besides the config."""

    variables: dict  # shapes of those that train
    objective: Objective
    task: Task
    image: tuple = (0, 0, 0)  # [H, W, ch]
    train: int = 0  # images
    test: int = 0
    streamed: bool = False
    dims: tuple = (0,)  # of what a classifier takes: (D,), or (E, D) of experts
    classes: int = 0
    views: int | None = None  # that are kept of the training images


class Need(NamedTuple):
    """Bytes by what they are for."""

    device: dict  # on each device
    host: dict  # in the memory of each process

    def __str__(self):
        beside = f", and {_sum(self.host)} of the host" if self.host else ""
        return f"{_sum(self.device, 'a device')}{beside}"


def need(config, sizes):
    """The `Need` of a run of this config and these `Sizes`."""
    device, host = _training(config, sizes)
    pixels = math.prod(sizes.image)
    if sizes.streamed:
        at_once = max(config.optim.batch_size, config.posterior.batch_size)
        device["images"] = 2 * at_once * pixels
    else:
        # On the device those of a view lie beside them.
        device["images"] = (2 * sizes.train + sizes.test) * pixels
        host["images"] = (sizes.train + sizes.test) * pixels
    draws = max(each.draws for each in backbones.of(config, sizes.task))
    kept = features(
        sizes.dims,
        draws,
        sizes.train,
        sizes.test,
        sizes.views,
        config.classifier.bank_dtype,
    )
    if device_has_room(kept):
        device["features"] = kept
    else:
        device["features"] = _BATCHES
        held = config.classifier.bank == "memory"
        host["features"] = _BATCHES + (kept if held else 0)
    if draws:
        # Of the mean and every draw, and those of the draws once more.
        device["heads"] = 4 * (2 * draws + 1) * math.prod(sizes.dims) * sizes.classes
    host["saving"] = max(host["saving"], _PART)
    return Need(
        *({n: count for n, count in of.items() if count} for of in (device, host))
    )


def _training(config, sizes):
    """Bytes on each device and on the host, of the backbone that takes most."""
    every = backbones.of(config, sizes.task)
    needs = [_of_backbone(backbone, config, sizes) for backbone in every]
    return max(needs, key=lambda need: sum(map(_count, need)))


def _of_backbone(backbone, config, sizes):
    """The same of one: what its training carries, and what a save copies of that."""
    begin = partial(backbones.begun, backbone, sizes.objective)
    carry = jax.eval_shape(begin, jax.random.key(0), sizes.variables)
    store = deviations.of(backbone, config.swa.place)
    state, posterior = jax.eval_shape(store.begun, carry)
    weights = _bytes(state.params)
    device = {
        "parameters": weights,
        "statistics": _bytes(state.batch_stats),
        "optimizer": _bytes(state.opt_state),
        "objective": _bytes(state.memory),
        "posterior": _bytes(posterior),
    }
    host = {"saving": _COPIES * _bytes(carry)}
    if store.rank:
        ring = posterior.deviations
        device["posterior"] -= _bytes(ring)
        _, shardings = store.shardings((state, posterior))
        device[f"{store.rank} deviations"] = _bytes(ring, shardings.deviations)
        if config.swa.place == "host":
            # Beside them lie the low-rank parts of all draws, and of the mean.
            host["deviations"] = _bytes(carry[1].deviations)
            host["draws"] = (backbone.draws + 1) * weights
    return device, host


def features(dims, samples, train, test, views, dtype):
    """Bytes of all features of a backbone of so many draws that are held at a time.

    Of the training images under the mean, of the test images and of the kept views, or
    a fresh one, under the mean and every draw.
    """
    per_image = math.prod(dims)
    members = 1 + samples
    of_view = 4 if views is None else jax.numpy.dtype(dtype).itemsize
    seen = 4 * (train + members * test) + of_view * (views or 1) * members * train
    return per_image * seen


def device_has_room(count):
    """Whether features of so many bytes lie on a device: at most in a quarter of it."""
    limit = device_memory()
    if limit is None:
        ram = host_memory()
        limit = ram and ram // jax.local_device_count()
    return limit is None or count <= limit // _SHARE


def check(config, sizes):
    """The arithmetic of a run's memory in a line.

    Raises `Mistake` if it cannot fit, with what would.
    """
    found = need(config, sizes)
    if _fits(found):
        return f"memory in MiB: {found}; activations come on top"
    for bank, swa in _changes():
        other = dataclasses.replace(
            config,
            swa=dataclasses.replace(config.swa, **swa),
            classifier=dataclasses.replace(config.classifier, **bank),
        )
        kept = sizes.views is not None or not bank  # fresh views lie in no file
        if kept and other != config and _fits(need(other, sizes)):
            hint = f"{' '.join(_flags(config, swa=swa, classifier=bank))} fits"
            break
    else:
        hint = (
            "lower swa.rank, posterior.samples or classifier.views, or take smaller "
            "images (data.size), streamed ones (data.stream) or a smaller model"
        )
    raise Mistake(f"memory in MiB: {found}; there are {_available()}; {hint}")


def _changes():
    """Pairs of both, the cheapest first."""
    places = itertools.product(range(len(_BANKS)), range(len(_ELSEWHERE)))
    for bank, swa in sorted(places, key=sum):
        yield _BANKS[bank], _ELSEWHERE[swa]


def _flags(config, **changes):
    """The flags of changes, {part of the config: {field: value}}, that are none yet."""
    for part, fields in changes.items():
        for name, value in fields.items():
            if getattr(getattr(config, part), name) != value:
                yield f"--{part}.{name.replace('_', '-')} {value}"


def _fits(found):
    device, ram = device_memory(), host_memory()
    used, beside = _count(found.device), _count(found.host)
    if device is None:
        return ram is None or jax.local_device_count() * used + beside <= ram
    return used <= device and (ram is None or beside <= ram)


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


def _count(terms):
    return sum(terms.values())


def _sum(terms, where=""):
    words = " + ".join(f"{name} {_mib(count)}" for name, count in terms.items())
    whole = f"{words} = {_mib(_count(terms))} MiB"
    return f"{whole} {where}".rstrip()


def _mib(count):
    return f"{count / 2**20:,.1f}"
