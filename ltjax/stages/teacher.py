"""Who teaches a run: the network of a finished one, which sees the same images.

Its logits come with every batch of stage one. It has no gradient, and is in no
checkpoint of the run that it teaches.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ltjax.config.kind import told
from ltjax.mistake import Mistake
from ltjax.models import pretrained
from ltjax.runtime import devices
from ltjax.stages import trained
from ltjax.workdir import files, identity
from ltjax.workdir.results import record


class Teacher(NamedTuple):
    """Weights, and what they tell of a batch."""

    params: dict  # {} where nobody teaches
    teach: Callable  # (params, images uint8 [B, H, W, ch]) -> what it adds to the batch
    digest: str | None  # of the weights


def none():
    """Nobody, who adds nothing to a batch."""
    return Teacher({}, lambda params, images: {}, None)


def of_config(config, data):
    """The SGD network of the run that a config names, or nobody.

    It adds `teacher`, its logits [B, E, C] for the images under its own moments. Its
    batch norm takes the statistics of the batch, as RIDE's release never puts it into
    evaluation mode. Raises `Mistake` unless the run is finished, has experts, and
    learned from `data`.
    """
    path = told(config.objective, "teacher")
    if path is None:
        return none()
    try:
        _check(path, data)
        run = trained.read(path, "sgd")
    except Mistake as mistake:
        raise Mistake(f"objective.teacher: {mistake}") from mistake

    def logits_of(params, images):
        inputs = devices.spread(run.prepare(images))
        logits, _ = run.net.apply(
            {"params": params}, inputs, train=True, mutable=["batch_stats"]
        )
        return {"teacher": logits}

    params = trained.point(run)
    return Teacher(params, logits_of, pretrained.digest(params))


def _check(path, data):
    results, config = record(path)
    if config.model.experts is None:
        raise Mistake(f"{path} is of an ordinary network; it must be one of experts")
    shape = list(data.train.image.shape[1:])
    for name, ours in (("classes", data.classes), ("image", shape)):
        theirs = results["dataset"][name]
        if theirs != ours:
            raise Mistake(
                f"{path} has dataset.{name} {theirs}; it must be {ours}, as here"
            )
    # Of the test images too: what one run tests on, the other may have learned from.
    run = files.read_json(Path(path) / "config.json")["run"]
    if run["data"] != identity.fingerprint(data):  # it takes images only
        raise Mistake(
            f"{path} has other images or labels, or streamed them unlike this run; it "
            "must be a run on these"
        )
