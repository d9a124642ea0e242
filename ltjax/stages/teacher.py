"""Who teaches a run: the network of a finished one, which sees the same images.

Its logits come with every batch of stage one. It has no gradient, and is in no
checkpoint of the run that it teaches.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from ltjax.config.kind import told
from ltjax.mistake import Mistake
from ltjax.models import pretrained, resize, teachers
from ltjax.posterior.members import arguments
from ltjax.runtime import devices
from ltjax.stages import system as systems
from ltjax.stages import trained
from ltjax.workdir import files, identity
from ltjax.workdir.results import record


class Teacher(NamedTuple):
    """Weights, and what they tell of a batch."""

    params: dict  # {} where nobody teaches
    # (params, images [B, H, W, ch] in 0..255, moments) -> what it adds to the batch
    teach: Callable
    digest: str | None  # of the weights


def none():
    """Nobody, who adds nothing to a batch."""
    return Teacher({}, lambda params, images, moments: {}, None)


def of_config(config, data):
    """The teacher that a config names, asked as its objective's `lesson` says, or none.

    It is the SGD network of a finished run, or a file of a released one, and adds
    `teacher`, its logits [B, C] for the images, or [B, E', C] of experts. Raises
    `Mistake` unless the run is finished and learned from `data`.
    """
    path, lesson = (told(config.objective, name) for name in ("teacher", "lesson"))
    if path is None:
        if lesson and lesson.needed:
            raise Mistake(
                "objective.teacher is None; it must be the folder of a finished run, "
                "whose answers are distilled"
            )
        return none()
    try:
        if lesson.files and Path(path).suffix and not Path(path).is_dir():
            return _of_file(path, lesson, data)
        return _of_run(path, lesson, data)
    except Mistake as mistake:
        raise Mistake(f"objective.teacher: {mistake}") from mistake


def _of_run(path, lesson, data):
    results = _checked(path, lesson, data)
    run = trained.read(path, "sgd")
    variables = {"params": trained.point(run)}
    if not lesson.training:
        stats = jax.tree.map(lambda leaf: leaf[0], run.batch_stats)
        variables["batch_stats"] = {"features": stats}

    def inputs(images, moments):
        images = _sized(images, results["dataset"]["image"][0], lesson)
        own = () if lesson.own_moments else (moments,)
        return devices.spread(run.prepare(images, *own))

    return _teacher(run.net, variables, inputs, lesson)


def _of_file(path, lesson, data):
    found = teachers.read(path)
    _match(path, "classes", found.classes, data.classes)

    def inputs(images, moments):
        images = images if found.size is None else _sized(images, found.size, lesson)
        own = found.moments if lesson.own_moments else moments
        return devices.spread(systems.pixels(images, own))

    return _teacher(found.net, found.variables, inputs, lesson)


def _teacher(net, variables, inputs, lesson):
    """The `Teacher` of a network that takes `inputs(images, moments)`."""

    def logits_of(variables, images, moments):
        x = inputs(images, moments)
        if lesson.training:
            how = {"train": True, "mutable": ["batch_stats"]}
            logits, _ = net.apply(variables, *arguments(x), **how)
            return {"teacher": logits}
        logits = net.apply(variables, *arguments(x))
        return {"teacher": logits if logits.ndim == 2 else logits.mean(1)}

    return Teacher(variables, logits_of, pretrained.digest(variables["params"]))


def _sized(images, side, lesson):
    """Images as a teacher of `side` pixels sees them."""
    if images.shape[1] == side:
        return images
    return resize.bicubic(images, (side, side), lesson.antialias)


def _checked(path, lesson, data):
    """The results of a run that may teach."""
    results, config = record(path)
    if lesson.experts and config.model.experts is None:
        raise Mistake(f"{path} is of an ordinary network; it must be one of experts")
    _match(path, "classes", results["dataset"]["classes"], data.classes)
    _match(path, "image", results["dataset"]["image"], list(data.train.image.shape[1:]))
    # Of the test images too: what one run tests on, the other may have learned from.
    run = files.read_json(Path(path) / "config.json")["run"]
    if run["data"] != identity.fingerprint(data):  # it takes images only
        raise Mistake(
            f"{path} has other images or labels, or streamed them unlike this run; it "
            "must be a run on these"
        )
    return results


def _match(path, name, theirs, ours):
    if theirs != ours:
        raise Mistake(f"{path} has dataset.{name} {theirs}; it must be {ours}, as here")
