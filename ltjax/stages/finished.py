"""A finished run, opened without its data: what it needs to see new images."""

import dataclasses
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ltjax.classifier import heads
from ltjax.config import Config, own
from ltjax.config.model import computed_in
from ltjax.mistake import Mistake
from ltjax.models import pretrained
from ltjax.models.network import Network
from ltjax.posterior import members as extractor
from ltjax.posterior import swag
from ltjax.posterior.members import Members
from ltjax.stages import keys, trained
from ltjax.stages import system as systems
from ltjax.workdir import checkpoint, files, identity
from ltjax.workdir.rows import Row


class Finished(NamedTuple):
    """What a run keeps of one backbone; member 0 is the mean, the others are draws."""

    out: Path
    config: Config
    results: dict  # of results.json
    backbone: str  # "sgd" or "swa"
    net: Network
    frozen: dict  # variables of the stages before the network's; {} if there are none
    prepare: Callable  # images uint8 [B, H, W, ch] -> what the network takes
    weights: Any  # parameters of "sgd", a `swag.State` of "swa"
    members: Members
    batch_stats: dict  # [M + 1, ...]

    @property
    def counts(self):
        """Training images per class, int [C]."""
        return np.asarray(self.results["dataset"]["counts"])


def read(out, name="swa", dtype=None):
    """Opens the backbone `name`, "sgd" or "swa", of the finished run in `out`.

    `dtype` is the compute type, "float32" or "bfloat16"; None: the run's own. Raises
    `Mistake` for a run that is not finished, or not whole.
    """
    out = Path(out)
    results, config = record(out)
    if dtype:
        model = computed_in(config.model, dtype)
        config = dataclasses.replace(config, model=model)
    data = results["dataset"]
    net = config.model.make(data["classes"])
    others = [column for column in net.takes if column != "image"]
    if others:
        raise Mistake(f"the network of {out} takes {others[0]!r} beside images")
    # Of weights that were only begun with nothing is needed any more.
    start = pretrained.none()
    if config.model.frozen:
        start = systems.begun(config.model, data["image"][-1])
    kept = files.read_json(out / "config.json")["run"]["pretrained"]
    if config.model.frozen and start.digest != kept:
        raise Mistake(
            f"model.pretrained {config.model.pretrained} is not the file that {out} "
            "began with"
        )

    def prepare(images):
        images = systems.pixels(images, (data["mean"], data["std"]))
        return start.trunk(start.frozen, images)

    # In NumPy arrays: the device may be too small for the deviations.
    state, posterior = checkpoint.load_as_saved(trained.newest(out, name))
    samples = config.posterior.samples if name == "swa" else 0
    return Finished(
        out=out,
        config=config,
        results=results,
        backbone=name,
        net=net,
        frozen=start.frozen,
        prepare=prepare,
        weights=swag.State(**posterior) if name == "swa" else state["params"],
        members=extractor.make(
            keys.keys(config.seed).members, samples, config.posterior.scale
        ),
        batch_stats=trained.batch_stats(out, name),
    )


def record(out):
    """What `results.json` holds of the finished run in `out`, and its config.

    Raises `Mistake` where there is none that tells of its images.
    """
    out = Path(out)
    kept, made = out / "results.json", out / "config.json"
    if not os.path.isfile(made):  # `Path` raises on a name that is too long
        raise Mistake(f"{out} holds no run; give the folder of one")
    if not kept.is_file():
        raise Mistake(f"{out} holds a run that is not finished; run its command again")
    results = files.read_json(kept)
    if "image" not in results["dataset"]:
        raise Mistake(
            f"{kept} does not tell the shape of images: an earlier version wrote it; "
            "delete it and run the same command again"
        )
    config = identity.config_of(out)
    own.check_whole(config, out)
    return results, config


def features(run, samples=0):
    """Builds `features(images uint8 [B, H, W, ch]) -> [samples + 1, B, D]`, compiled.

    Under the mean weights, then `samples` draws, at most as many as the run has.
    """
    posterior = run.config.posterior
    draw = extractor.of_swag if samples else extractor.of_point
    weights = jax.device_put(run.weights if samples else point(run))
    compute = extractor.make_features(
        draw, run.net, run.prepare, posterior.batch_size, posterior.chunk
    )
    first = partial(jax.tree.map, lambda leaf: leaf[: samples + 1])
    members, stats = first(run.members), first(run.batch_stats)
    return partial(jax.jit(compute), weights, members, stats)


def point(run):
    """The parameters of a run's single network: the mean, or the last of SGD."""
    return run.weights.mean if run.backbone == "swa" else run.weights


def test_features(run):
    """The features [M + 1, N, D] of the test images, as the run saw them."""
    return trained.features(run.out, run.backbone, "test")


def test_labels(run):
    """The labels [N] of the test images."""
    with np.load(run.out / "labels.npz", allow_pickle=False) as file:
        return file["test"]


def head(run, name, variant=""):
    """`logits(params, features [B, D]) -> [B, C]` of a row's classifier, and `params`.

    Raises `Mistake` for a row that the run does not have.
    """
    made, params = recipe(run, name, variant)
    return made.logits, params


def recipe(run, name, variant=""):
    """The `heads.Head` of a row's classifier, and the parameters it was trained to.

    Raises `Mistake` for a row that the run does not have.
    """
    rows = {
        (row["classifier"], row["variant"])
        for row in run.results["rows"]
        if row["backbone"] == run.backbone
    }
    if (name, variant) not in rows:
        known = ", ".join(sorted("/".join(filter(None, row)) for row in rows))
        wanted = "/".join(filter(None, (name, variant)))
        raise Mistake(
            f"{run.out} has no classifier {wanted} of {run.backbone}; it has {known}"
        )
    made = heads.of_methods(
        run.config.classifier,
        keys.keys(run.config.seed).head,
        _params(run, "none", ""),
        None,  # what NCM learned is read below
        run.counts,
        draws=run.backbone == "swa",
    )
    # A headline of several variants is kept under its own name among them.
    (kept,) = (
        other
        for (method, other), head in made.items()
        if method == name and variant in head.variants
    )
    return made[name, kept], _params(run, name, kept)


def _params(run, name, variant):
    row = Row(run.backbone, name, variant).key
    return trained.head(run.out, run.backbone, row)
