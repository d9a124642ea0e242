"""What a prediction's command asks for, held against what its run has."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from ltjax.data.shape import Shape
from ltjax.evaluation import conformal
from ltjax.mistake import Mistake, shown
from ltjax.stages import backbones, prior, strangers
from ltjax.workdir import beside
from ltjax.workdir.results import of_seeds as of_seeds_in
from ltjax.workdir.results import record
from ltjax.workdir.rows import Row, choose, headline, named


class Request(NamedTuple):
    """What is to be done, of what is known of C classes."""

    row: Row
    samples: int  # draws to look at
    priors: tuple | None  # the class prior assumed, and the one wanted, [C] each
    classes: list  # [C], printable names, or numbers where there are none
    counts: np.ndarray  # [C], training images
    shape: Shape
    coverage: float | None
    notes: list[str]  # what its user should know
    beside: tuple = ()  # `meta.Part`s of the metadata that the run has learned


def of_seeds(command):
    """The `Request` of a command for each seed of its run, [(folder, `Request`)].

    Raises `Mistake` where seeds are of other classes or images, or draws are asked for:
    those of several posteriors are of no one.
    """
    folders = of_seeds_in(command.run)
    found = [
        (folder, of_command(dataclasses.replace(command, run=folder)))
        for folder in folders
    ]
    first = found[0][1]
    for folder, each in found[1:]:
        if (each.classes, each.shape, each.row) != (
            first.classes,
            first.shape,
            first.row,
        ):
            raise Mistake(
                f"{shown(folder)} has other classes, images or rows than "
                f"{shown(folders[0])}; seeds of one config have the same"
            )
    if len(found) > 1 and command.samples is not None:
        raise Mistake(
            f"--samples is {command.samples}, and {shown(command.run)} holds "
            f"{len(found)} seeds, each with a posterior; give the folder of one"
        )
    return found


def of_command(command):
    """The `Request` of a command; raises `Mistake` for what its run does not have."""
    results, config = record(command.run)
    data = results["dataset"]
    names = data.get("class_names") or [str(at) for at in range(data["classes"])]
    row = choose(command.run, results, command.classifier)
    counts = np.asarray(data["counts"])
    figures = named(results)
    assumed, taken = prior.assumed(config, row, counts, figures)
    priors = None
    if command.prior is not None:
        if assumed is None:
            raise Mistake(
                f"--prior {command.prior}: the probabilities of {row} assume {taken}; "
                f"{_others(results, config, counts)}"
            )
        priors = assumed, prior.shares(command.prior, names, counts)
        taken += f", re-adjusted to {shown(command.prior)}"
    notes = [f"{row} of {shown(command.run)}; its probabilities assume {taken}"]
    if "calibration" in figures[row]:
        notes.append(told(figures[row]["calibration"]))
    if command.classifier is None and row != headline():
        notes.append(f"the run has no row {headline()}; {row} is taken instead")
    unseen = 0 if priors is None else int(((counts == 0) & (priors[1] > 0)).sum())
    if unseen:
        notes.append(f"{unseen} classes without training images stay at probability 0")
    coverage = command.coverage
    if coverage is not None:
        if not 0 < coverage < 1:
            raise Mistake(f"--coverage is {coverage}; it must be between 0 and 1")
        check_calibration(coverage, data["test"])
    return Request(
        row=row,
        samples=_samples(command.samples, row, backbones.of_row(config, row.backbone)),
        priors=priors,
        classes=list(map(shown if "class_names" in data else int, names)),
        counts=counts,
        shape=strangers.shape(data["image"], config),
        coverage=coverage,
        notes=notes,
        beside=beside.read(command.run),
    )


def told(calibration):
    """How a row was calibrated, in a line."""
    biases = " and a bias for each class" * ("bias" in calibration)
    return (
        f"calibrated: temperature {calibration['temperature']:.3g}{biases}, fitted on "
        f"{calibration['images']:,} images that were held out of training"
    )


def _others(results, config, counts):
    """Which rows of the run assume a prior, in words."""
    figures = named(results)
    found = [
        str(row)
        for row in figures
        if prior.assumed(config, row, counts, figures)[0] is not None
    ]
    if not found:
        return "nor do those of any row of the run"
    return f"give --classifier, one of {', '.join(found)}"


def check_calibration(coverage, images):
    """Raises `Mistake` where so many images cannot calibrate a coverage."""
    needed = conformal.needed(coverage)
    if images < needed:
        raise Mistake(
            f"--coverage is {coverage}; that takes {needed:,} test images to calibrate "
            f"with, and the run has {images:,}: it must be at most "
            f"{math.floor(10_000 * images / (images + 1)) / 10_000}"
        )


def _samples(asked, row, backbone):
    most = backbone.draws
    if asked is None:
        return most if row.backbone == backbone.drawn else 0
    if not most:
        raise Mistake(f"--samples is {asked}; {row} has no draws, rows of swa have")
    if not 2 <= asked <= most:
        raise Mistake(
            f"--samples is {asked}; it must be in 2..{most}, as the run has {most}"
        )
    return asked
