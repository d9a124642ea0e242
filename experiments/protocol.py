"""What the tables of results share: runs per seed, fitted temperatures, JSON lines.

One seed is two runs. The validation run holds out training images and tests on them;
whatever is fitted, is fitted there. The test run sees all training images and tests
once, after the last epoch. Runs lie in one folder by config, protocol and seed, so that
every table finds those that another has made, and an unfinished one goes on.
"""

import argparse
import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import jax
import numpy as np

from ltjax import config as configs
from ltjax import folder, main, retraining, scoring, trained
from ltjax.evaluation import ece, nll, temperature
from ltjax.loading import load
from ltjax.mistake import Mistake
from ltjax.run import run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The command line of a table."""

    config: Path
    seeds: list
    out: Path
    runs: Path
    holdout: int
    holdout_largest: int | None
    rest: list  # flags of the run, as of `ltjax.main`


def read(description, args):
    """The options of a command line; what is not named here is the run's."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog="Every other flag is the run's: python -m ltjax.main --help.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", type=Path, required=True, help="config file of the runs")
    add("--seeds", type=int, nargs="+", default=[0], help="seeds of the runs")
    add("--out", type=Path, required=True, help="file of JSON lines, appended to")
    add("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    add(
        "--holdout",
        type=int,
        default=50,
        help="images a class held out in the validation runs; 0: no validation runs, "
        "and nothing fitted",
    )
    add(
        "--holdout-largest",
        type=int,
        help="data.largest of the validation runs; by default that of the test runs, "
        "less the images held out",
    )
    own, rest = parser.parse_known_args(args)
    for flag in ("--seed", "--out", "--stage-one", "--data.holdout"):
        if any(word.split("=")[0] == flag for word in rest):
            raise Mistake(f"{flag} is the table's own to set; see --help")
    return Options(**vars(own), rest=rest)


def command(make, description):
    """Runs `make(options, seed)` for each seed not in the file yet; the exit code.

    `make` returns the lines of the seed, which are appended together.
    """
    try:
        options = read(description, sys.argv[1:])
        if not options.out.absolute().parent.is_dir() or options.out.is_dir():
            raise Mistake(f"--out {options.out} is not a file in an existing folder")
        for seed in options.seeds:
            if seed in seeds_done(options):
                print(f"{options.out} has seed {seed}")
                continue
            text = "".join(json.dumps(line) + "\n" for line in make(options, seed))
            before = options.out.read_text() if options.out.exists() else ""
            # Whole or not at all: a seed that is there has all its lines.
            part = options.out.with_name(options.out.name + ".part")
            part.write_text(before + text, encoding="utf-8")
            part.replace(options.out)
    except Mistake as mistake:
        print(f"ltjax: {mistake}", file=sys.stderr)
        return 2
    return 0


def seeds_done(options):
    """The seeds in the file, which must be of the same settings."""
    if not options.out.exists():
        return set()
    ours = facts(config_of(options, 0))["settings"], options.holdout
    try:
        lines = [json.loads(line) for line in options.out.read_text().splitlines()]
        found = {(line["settings"], line["holdout"]) for line in lines}
        seeds = {line["seed"] for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise Mistake(
            f"--out {options.out} holds other lines; give a new file"
        ) from error
    for theirs in found - {ours}:
        raise Mistake(
            f"--out {options.out} holds lines of other settings or another --holdout "
            f"({theirs}, now {ours}); give a new file"
        )
    return seeds


def config_of(options, seed, holdout=0):
    """The config of one of a seed's runs."""
    args = ["--config", str(options.config), "--seed", str(seed), *options.rest]
    config, *_ = main.read(args)
    data = config.data
    if holdout:
        largest = options.holdout_largest
        if largest is None and data.largest is not None:
            largest = data.largest - holdout
        data = dataclasses.replace(data, holdout=holdout, largest=largest)
    return dataclasses.replace(config, data=data)


def folder_of(options, config):
    """Where the run of a config lies."""
    held = f"-holdout{config.data.holdout}" if config.data.holdout else ""
    return options.runs / f"{config.name}{held}-seed{config.seed}"


def facts(config):
    """What tells the lines of one config from another's: its name, and a digest."""
    fields = _unusual(configs.identity(config), configs.identity(configs.Config()))
    text = json.dumps({**fields, "seed": 0, "name": config.name}, sort_keys=True)
    return {
        "config": config.name,
        "settings": hashlib.sha256(text.encode()).hexdigest()[:12],
    }


def _unusual(fields, defaults):
    """The fields that are not at their defaults: new fields leave the digest alone."""
    found = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            value = _unusual(value, defaults[name])
        if value != defaults[name] and value != {}:
            found[name] = value
    return found


def finished(options, config):
    """The results of a run, made or found."""
    out = folder_of(options, config)
    results = run(config, out)
    # The last process is the one that finished it.
    last = folder.read_json(out / "versions.json")[-1]
    data = results["dataset"]
    about = {
        "dataset": data["name"],
        "imbalance_factor": data["imbalance_factor"],
        **facts(config),
        "holdout": options.holdout,
        "seed": config.seed,
        "commit": last["commit"],
        "device": last["devices"][0],
    }
    return out, results, about


def lines(options, seed):
    """A line for every row of a seed's test run, with what validation fitted for it."""
    config = config_of(options, seed)
    fitted = {}
    if options.holdout:
        fitted = temperatures(options, config_of(options, seed, options.holdout))
    out, results, about = finished(options, config)
    data = load(config.data)
    made = {}
    for name in ("sgd", "swa"):
        stored = trained.backbone(out, name, config, data)
        best = best_epochs(stored)
        for row, logits in test_logits(stored).items():
            made[row] = {
                **scaled(logits, data.test.label, fitted.get(row)),
                "best_epoch": best.get(row),
            }
    return [
        {**about, **row, **made[row["backbone"], row["classifier"], row["variant"]]}
        for row in results["rows"]
    ]


def temperatures(options, config):
    """The temperature of every row, fitted on the run's held-out images."""
    out, _, _ = finished(options, config)
    data = load(config.data)
    fit = jax.jit(temperature)
    return {
        row: float(fit(logits, data.test.label))
        for name in ("sgd", "swa")
        for row, logits in test_logits(
            trained.backbone(out, name, config, data)
        ).items()
    }


def scaled(logits, labels, fitted):
    """NLL and ECE of the logits over a fitted temperature; None without one."""
    if fitted is None:
        return {"temperature": None, "nll_scaled": None, "ece_scaled": None}
    logits = logits / fitted
    return {
        "temperature": fitted,
        "nll_scaled": float(nll(logits, labels).mean()),
        "ece_scaled": float(ece(jax.nn.softmax(logits), labels)),
    }


def test_logits(stored):
    """The logits [N, C] of every row on the test images; logs of a mean, for SWAG."""
    headline = f"c-{stored.config.classifier.srepr.form}"
    found = {}
    for (classifier, variant), recipe in rows(stored):
        params = trained.params(stored, classifier, variant)
        logits = scoring.one_pass(recipe.logits, params)(stored.test[:1])
        found[stored.name, classifier, variant] = logits
        if variant == headline:
            found[stored.name, classifier, ""] = logits
        averaged = classifier in retraining.AVERAGED and variant in ("", headline)
        if averaged and len(stored.test) > 1:
            mean = scoring.every_draw(recipe.logits, params)(stored.test[1:])
            found["swag", classifier, ""] = mean
    return found


def rows(stored):
    """Every (classifier, variant) of a backbone and its recipe."""
    return trained.recipes(stored, stored.config.classifier).items()


def best_epochs(stored):
    """What the best epoch on the test set would have claimed, per row re-trained.

    Trains every head again and tests it after each epoch: {"epoch", "all"}, the first
    epoch of the highest accuracy, in percent. For the record only; a figure that was
    chosen on the test set is none.
    """
    settings = stored.config.classifier
    view = trained.views(stored)
    batches = {
        rule: jax.jit(retraining.batches_of(rule, settings, stored.index))
        for rule in ("instance", "class")
    }
    labels = stored.data.test.label
    found = {}
    for (classifier, variant), recipe in rows(stored):
        if recipe.loss is None:
            continue
        accuracies = []

        def watch(epoch, losses, params, recipe=recipe, accuracies=accuracies):
            logits = recipe.logits(params, stored.test[0])
            right = np.asarray(logits).argmax(-1) == labels
            accuracies.append(100 * float(right.mean()))

        retraining.fit(
            recipe,
            settings,
            stored.keys.head_order,
            view,
            stored.data.train.label,
            batches[recipe.sampling],
            watch,
        )
        best = int(np.argmax(accuracies))
        claim = {"epoch": best + 1, "all": accuracies[best]}
        found[stored.name, classifier, variant] = claim
        if variant == f"c-{settings.srepr.form}":
            found[stored.name, classifier, ""] = claim
    return found
