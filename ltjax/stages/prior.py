"""The class prior that a row's probabilities assume, and that of where it is used."""

import json
import os

import numpy as np

from ltjax.classifier import METHODS
from ltjax.classifier import method as methods
from ltjax.classifier import prior as priors
from ltjax.evaluation import scaling
from ltjax.mistake import Mistake, shown
from ltjax.stages import backbones

_SLACK = 1e-3  # by which shares that were rounded may miss 1


def assumed(config, row, counts, figures):
    """The prior [C] of a `Row` of a run of `config`, None without one, and its words.

    `counts` [C] are the run's training images; `figures` are those of its rows, of
    `rows.named`, which tell what was chosen, and calibrated. Biases are fitted where
    every class weighs the same: then all shares are equal, whatever they were. A
    temperature alone takes the root of what was there.
    """
    own = scaling.of_row(figures.get(row, {}))
    model, settings = config.model, config.classifier
    method = METHODS.get(row.classifier)  # None of no re-training
    joined = settings.experts == "together" and method and method.JOINT
    found = None
    if joined or model.experts is None:
        plain = config.objective.plain and model.head.intercepts
        trained = _tau(config, row, figures), config.optim.sampling, plain
        found = priors.assumed(row.classifier, counts, *trained)
    if own is not None and own.bias is not None:
        present = np.asarray(counts) > 0
        found = present / present.sum()
    elif own is not None and found is not None:
        powers = np.where(found > 0, found, 0) ** (1 / own.temperature)
        found = powers / powers.sum()
    of_draws = row.backbone == backbones.of_row(config, row.backbone).drawn
    drawn = of_draws or (method and method.DRAWS)
    return found, priors.in_words(found, counts, bool(drawn))


def _tau(config, row, figures):
    """The strength of logit adjustment of a row, its own if it was chosen."""
    # Draws go through the head of the mean.
    name = backbones.of_row(config, row.backbone).name
    head = figures.get(row._replace(backbone=name), {})
    usual = methods.tau_of(config.classifier.tau)
    return head.get("choice", {}).get("tau", usual)


def shares(prior, names, counts):
    """The shares [C] of `--prior uniform`, `train` or FILE, which sum to 1.

    `names` [C] are those of the classes, `counts` [C] their training images. FILE is
    JSON, {class: share}. Raises `Mistake` unless it has every class once, with shares
    of 0 or more that sum to 1.
    """
    if prior == "uniform":
        return np.full(len(names), 1 / len(names))
    if prior == "train":
        return np.asarray(counts) / np.sum(counts)
    found = _read(prior)
    for what, classes in (
        ("has no class", [name for name in names if name not in found]),
        ("has an unknown class", [name for name in found if name not in names]),
    ):
        if classes:
            more = f" and {len(classes) - 1} more" if len(classes) > 1 else ""
            raise Mistake(
                f"--prior {prior} {what} {shown(classes[0])!r}{more}; wanted the "
                f"run's {len(names)}, such as {shown(names[0])!r}"
            )
    for name, share in found.items():
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not 0 <= share <= 1:
            raise Mistake(
                f"--prior {prior}: the share of {shown(name)!r} is {share!r}, wanted "
                "0..1"
            )
    values = np.array([found[name] for name in names], float)
    if abs(values.sum() - 1) > _SLACK:
        raise Mistake(f"--prior {prior}: the shares sum to {values.sum():g}, wanted 1")
    return values / values.sum()


def _read(file):
    wanted = "wanted uniform, train, or a JSON file {class: share}"
    if not os.path.isfile(file):  # `Path` raises on a name that is too long
        raise Mistake(f"--prior {file} is not a file; {wanted}")

    def once(pairs):
        found = dict(pairs)
        for name, _ in pairs:
            if len(found) < len(pairs) and sum(name == other for other, _ in pairs) > 1:
                raise Mistake(f"--prior {file} has {shown(name)!r} twice")
        return found

    try:
        with open(file, encoding="utf-8") as text:
            found = json.load(text, object_pairs_hook=once)
    except Mistake:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise Mistake(f"--prior {file} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise Mistake(f"--prior {file} holds no classes; {wanted}")
    return found
