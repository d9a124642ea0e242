"""What is trained: a network with its objective, and the one way from pixels to it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax import config as configs
from ltjax.config import own
from ltjax.config.kind import told
from ltjax.data import sampling, streamed
from ltjax.data.augment import geometry, views
from ltjax.data.augment.masking import Masking
from ltjax.evaluation import cost as costs
from ltjax.mistake import Mistake
from ltjax.models import partition
from ltjax.models.network import Network
from ltjax.posterior.members import arguments
from ltjax.representation.objective import Objective
from ltjax.runtime import devices
from ltjax.stages import bank, memory, metadata
from ltjax.stages import start as starts
from ltjax.workdir import beside


class System(NamedTuple):
    """A network, what it minimises, and how pixels come to it."""

    net: Network  # of the variables that train and the fixed ones: see `network`
    objective: Objective
    views: dict  # "full", "weak", "strong" -> (key, images uint8) -> images uint8
    moments: tuple  # mean and deviation of the pixels
    pixels: Callable  # (images as they are stored) -> float32
    begin: Callable  # (key) -> the variables that train
    # Weights that do not move: those of the network, "params" and "batch_stats", where
    # only a part of it trains; "trunk" and "teacher", {} of each mostly.
    fixed: dict
    trunk: Callable  # (fixed trunk, images float32) -> what the network's features take
    # (fixed teacher, images in 0..255, moments) -> what a teacher adds to a batch
    teach: Callable
    digests: dict  # of weights that come from elsewhere
    masking: Masking | None = None  # of metadata, where the network takes any


class Extractor(NamedTuple):
    """The features of a system under weights that are drawn."""

    draw: Callable  # (weights, member) -> the parameters of the features
    net: Callable  # (fixed) -> the network, of the variables that train
    inputs: Callable  # (fixed, batch) -> what the features take
    fixed: dict
    seen: Callable  # (key, batch) -> the batch as the training sees it
    view: Callable  # (key, images) -> a view of them for stage two
    # (key, batch) -> the batch, of which some metadata are left out in such a view.
    masked: Callable


def of(config, data, task, taught_by):
    """The system of a run.

    `task` is its `objective.Task` and `taught_by` a `teacher.Teacher`.
    """
    parts = data.beside if config.data.meta else ()
    start = starts.of(
        config.model,
        data.classes,
        data.train.image.shape[-1],
        beside.widths(parts),
    )
    metadata.check_fits(config.model, start.net, data)
    known = start.pretrained
    for column in set(start.net.takes) - set(example(data)):
        raise Mistake(f"the network takes {column!r}, which {data.name} has not")
    moments = known.moments or data.moments
    if moments is None:
        images = data.train.image
        moments = geometry.moments(
            streamed.sample(images) if data.train.streamed else images
        )
    system = System(
        net=start.net,
        objective=config.objective.make(task),
        views=config.augment.make(data.train.streamed),
        moments=moments,
        pixels=partial(pixels, moments=moments),
        begin=None,
        fixed={"trunk": known.below, "teacher": taught_by.params},
        trunk=known.trunk,
        teach=taught_by.teach,
        digests={"pretrained": known.digest, "teacher": taught_by.digest},
        masking=metadata.masking(config, start.net, task),
    )

    def first():
        return arguments(_inputs(system, system.fixed, example(data), _here))

    with own.blamed(config, own.OF_NETWORK, "network"):
        given = starts.given(start, config.seed, first())
    return system._replace(
        begin=lambda key: starts.begin(start, key, first())[0],
        fixed={**system.fixed, **given},
    )


def network(system, fixed):
    """The network, of the variables that train."""
    return partition.bound(system.net, fixed)


def inputs(system, fixed, batch):
    """What the network takes of a batch: the one way of pixels, everywhere.

    They are scaled, spread over the devices, and sent through the fixed parts. Beside
    them are the other columns that the network takes: an array, or a tuple of arrays.
    """
    return _inputs(system, fixed, batch, devices.spread)


def _here(images):
    return images


def pixels(images, moments):
    """Images uint8 [..., ch] in float32, less mean and over deviation of the pixels."""
    mean, std = (np.array(moment) for moment in moments)
    return geometry.normalise(images, mean, std)


def _inputs(system, fixed, batch, spread):
    images = system.trunk(fixed["trunk"], spread(system.pixels(batch["image"])))
    columns = tuple({**batch, "image": images}[name] for name in system.net.takes)
    return columns[0] if len(columns) == 1 else columns


def apply(net):
    """A network's training call as `representation.step` wants it, of `inputs`."""

    def call(variables, found, train, rngs, mutable):
        return net.apply(
            variables, *arguments(found), train=train, rngs=rngs, mutable=mutable
        )

    return call


def prepare(system, fixed, key, state, batch):
    """A batch as a step takes it, of one as it is stored.

    Its views, what is mixed of them, what a teacher says, and the inputs.
    """
    seen = viewed(system, key, batch)
    mix_key = jax.random.fold_in(jax.random.clone(key), 2)  # 1 is within the views
    seen = system.objective.mix(mix_key, seen, state.step)
    seen = metadata.in_training(system.masking, key, state.step, seen)
    taught = system.teach(fixed["teacher"], seen["image"], system.moments)
    found = {**seen, **taught, "image": inputs(system, fixed, seen)}
    net = network(system, fixed)
    return system.objective.prepare(key, net, fixed, state, found)


def viewed(system, key, batch, names=()):
    """A batch with the views of the objective, or some of them, one after the other.

    What the network takes beside images is there as often.
    """
    names = names or system.objective.views
    seen = views.joined([system.views[name] for name in names])(key, batch["image"])
    others = {
        column: jnp.concatenate([batch[column]] * len(names))
        for column in system.net.takes
        if column != "image" and len(names) > 1
    }
    return {**batch, **others, "image": seen}


def of_stage_two(system):
    """`view(key, images)`: the first view of the objective."""
    return system.views[system.objective.views[0]]


def extractor(system, draw):
    """The `Extractor` of a system whose weights `draw(weights, member)` gives."""
    return Extractor(
        draw=draw,
        net=partial(network, system),
        inputs=partial(inputs, system),
        fixed=system.fixed,
        seen=partial(viewed, system, names=system.objective.statistics),
        view=of_stage_two(system),
        masked=partial(metadata.in_view, system.masking),
    )


def inputs_of_heads(system, params):
    """The shape of what a classifier takes of an image: (D,), or (E, D) of E experts.

    `params` are the network's, or their shapes.
    """
    net = network(system, system.fixed)
    found = jax.eval_shape(net.head.linear, params["head"])
    return found["kernel"].shape[:-1]


def sizes(system, config, data, task):
    """What the memory of a run depends on, a `memory.Sizes`."""
    variables = jax.eval_shape(system.begin, jax.random.key(0))
    # With metadata they are tested twice.
    tested = data.test, data.validation, data.test if system.masking else None
    return memory.Sizes(
        variables=variables,
        objective=system.objective,
        task=task,
        image=data.train.image.shape[1:],
        train=len(data.train.label),
        # Images that are held out are seen as those of the test are.
        test=sum(len(part.label) for part in tested if part),
        streamed=data.train.streamed,
        dims=inputs_of_heads(system, variables["params"]),
        classes=data.classes,
        views=bank.views(config),
    )


def cost(net, *found):
    """Parameters of a network, and multiply-accumulates of one image.

    `found` are the shapes of its inputs.
    """
    init = jax.make_jaxpr(net.init_with_output, return_shape=True)
    program, (_, variables) = init(jax.random.key(0), *found)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    return {"parameters": count, "macs": costs.macs(program)}


def shapes(system, data):
    """The shapes of the `arguments` of a network, of one image."""
    batch = example(data)
    found = jax.eval_shape(lambda: _inputs(system, system.fixed, batch, _here))
    return arguments(found)


def example(data):
    """A batch of one black image of a data set."""
    found = {"image": np.zeros((1, *data.train.image.shape[1:]), np.uint8)}
    if data.train.meta is not None:
        found["meta"] = np.zeros((1, *data.train.meta.shape[1:]), np.float32)
    return found


def check_views(config, data, objective):
    """Refuses what streamed images, which come cropped, cannot have done to them.

    And a size of training that is not that of the test.
    """
    size, own = config.augment.zoom_size, data.train.image.shape[1]
    if size and size != own and told(config.model, "side") is None:
        raise Mistake(
            f"augment.zoom_size is {size}, and images are {own} pixels a side where "
            "they are tested; give --data.size, or a model that scales them"
        )
    if not data.train.streamed:
        return
    if config.augment.zoom:
        raise Mistake(
            f"augment.zoom is {config.augment.zoom}; it is of images that are held in "
            "memory, and these are streamed: give augment.crop_area"
        )
    if len(objective.views) > 1:
        raise Mistake(
            f"objective is {type(config.objective).__name__}, whose views of an image, "
            f"{' and '.join(objective.views)}, are made of images that are held in "
            "memory; these are streamed"
        )


def check_steps(config, images):
    """Refuses settings that so many images, or the devices, cannot be stepped with."""
    optim, swa = config.optim, config.swa
    if optim.batch_size > images:
        raise Mistake(
            f"optim.batch_size is {optim.batch_size}; "
            f"it must be at most the {images} training images"
        )
    devices.check("optim.batch_size", optim.batch_size)
    epochs = optim.epochs - configs.swa_start(config)
    steps = sampling.steps(images, optim.batch_size, optim.drop_last)
    snapshots = epochs * steps // (swa.every_steps or steps)
    if snapshots < 2:
        raise Mistake(
            f"snapshots after swa.start are {snapshots}, in {epochs} epochs of {steps} "
            "steps; a posterior needs 2: lower swa.start or swa.every_steps"
        )
