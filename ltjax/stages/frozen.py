"""Parts that do not train run once: what they make of the images is kept.

Of each training image that is what they make of it as it is, and of V augmented views;
of each image that is tested, of it as it is. They lie in files of the run, in bfloat16.
From then on a data set of these takes the place of the images.
"""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data import stream
from ltjax.mistake import Mistake
from ltjax.posterior import members as extractors
from ltjax.posterior import point
from ltjax.stages import bank, loading
from ltjax.stages import loader as loaders
from ltjax.stages import system as systems
from ltjax.stages.loader import unlabelled

NAME = "frozen"  # of their folder among the features


class Same(NamedTuple):
    """Stands for a network's features and its head where nothing is left of them."""

    def apply(self, variables, inputs, *beside):
        """The first input as it is; what is known beside it is no output."""
        return inputs

    def inputs(self, features):
        """The features as they are."""
        return features


class Below(NamedTuple):
    """What a `Network` is to passes, of the trunk alone: its outputs are its inputs."""

    features: Same = Same()
    head: Same = Same()


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What stands for images [N, H, W, ch]: outputs [N, views, ...] in mapped files.

    The first view is of the images as they are. As `data.streamed.Pictures`, rows of
    them are read when they are needed.
    """

    views: tuple  # of arrays [N, ...]
    rows: np.ndarray

    def __len__(self):
        return len(self.rows)

    @property
    def dtype(self):
        """That of all views."""
        return self.views[0].dtype

    @property
    def shape(self):
        """That of the array."""
        return len(self), len(self.views), *self.views[0].shape[1:]

    def __getitem__(self, rows):
        return dataclasses.replace(self, rows=self.rows[rows])

    def plain(self, row):
        """The outputs [1, ...] of an image as it is."""
        return self.views[0][self.rows[row]][None]

    def augmented(self, rng, row):
        """Those of one of its views."""
        return self.views[rng.integers(1, len(self.views))][self.rows[row]][None]


def shape(system, data):
    """The shape of what is kept of an image."""
    (found,) = systems.shapes(system, data)[:1]
    return found.shape[1:]


def size(config, system, data):
    """Bytes of all that is kept; 0 where nothing is."""
    if config.frozen.views is None:
        return 0
    each = int(np.prod(shape(system, data))) * jnp.dtype(config.frozen.dtype).itemsize
    tested = sum(len(part.label) for part in (data.test, data.validation) if part)
    return each * ((1 + config.frozen.views) * len(data.train.label) + tested)


def check(config, system):
    """Refuses outputs of nothing, and objectives of several views."""
    if config.frozen.views is None:
        return
    if not system.fixed["trunk"]:
        raise Mistake(
            f"frozen.views is {config.frozen.views}, and model.trained names a layer "
            "of the first part, so that none comes before; give None"
        )
    names = system.objective.views
    if len(names) > 1:
        raise Mistake(
            f"frozen.views is {config.frozen.views}, and the objective sees an image "
            f"as {' and '.join(names)}; outputs are kept of one kind of view"
        )


def told(count):
    """The bytes of what is kept, in words to go on with; nothing for 0."""
    return f"; outputs of what does not train: {count / 2**20:,.0f} on disk" * bool(
        count
    )


def take(config, data, system, order, folder):
    """The data set of outputs, and the `System` that takes them.

    As they are where nothing is to be kept.
    """
    wanted = config.frozen.views
    if wanted is None:
        return data, system
    loader = loaders.of(config, data, order, system.net.takes)
    kept = _Keeping(config, loader, system, folder, shape(system, data))
    splits = {"train": wanted, "test": 0, "validation": 0}
    total = wanted + 2 + (data.validation is not None)
    with folder.stage("outputs of what does not train", total) as done:
        found = {
            name: kept.split(name, views, done)
            for name, views in splits.items()
            if getattr(data, name) is not None
        }
    if size(config, system, data) <= loading.memory() / 4:
        found = {name: _joined(views) for name, views in found.items()}
    else:
        stream.check_installed()
        found = {name: _mapped(views) for name, views in found.items()}
    data = dataclasses.replace(
        data,
        **{
            name: getattr(data, name)._replace(image=images)
            for name, images in found.items()
        },
    )
    above = system._replace(
        pixels=first,
        views=dict.fromkeys(system.views, drawn),
        trunk=lambda below, outputs: outputs,
        fixed={**system.fixed, "trunk": {}},
    )
    return data, above


def first(outputs):
    """The first view of outputs [B, views, ...], float32."""
    return outputs[:, 0].astype(jnp.float32)


def drawn(key, outputs):
    """One view [B, 1, ...] for each image, of outputs [B, 1 + V, ...].

    Any but the first; where there is one only, it was drawn already.
    """
    count, views = outputs.shape[:2]
    if views == 1:
        return outputs
    which = jax.random.randint(key, (count,), 1, views)
    return outputs[jnp.arange(count), which][:, None]


class _Keeping:
    """Makes the files of a run."""

    def __init__(self, config, loader, system, folder, like):
        """`like` is the shape of the outputs of an image."""
        extractor = systems.extractor(system, lambda weights, member: weights)
        passes = loader.passes(
            extractor._replace(net=lambda fixed: Below()), whole=False
        )
        nobody = extractors.make(jax.random.key(0), 0, 1.0)
        self._features = partial(passes.features, point.init({}), nobody, {})
        self._bank = bank.Bank(folder, NAME, False, "file")
        self._loader, self._like = loader, like
        self._dtype = config.frozen.dtype

    def split(self, name, views, done):
        """The outputs of a split as mapped arrays [N, ...], plain and of its views."""
        images = unlabelled(getattr(self._loader, name))
        like = jax.ShapeDtypeStruct((1, len(images["image"]), *self._like), self._dtype)
        found = []
        for number in (None, *range(views)):
            what = name if number is None else f"{name}{number}"
            made = self._bank.get(what, like, partial(self._features, images, number))
            found.append(made[0])
            done()
        return found


def _joined(views):
    return np.stack([np.asarray(view) for view in views], 1)


def _mapped(views):
    return Outputs(tuple(views), np.arange(len(views[0])))
