"""What the tables of results share: runs per seed, fitted temperatures, JSON lines.

One seed is two runs. The validation run holds out training images and tests on them;
whatever is fitted, is fitted there. The test run sees all training images and tests
once, after the last epoch. Runs lie in one folder by config, protocol and seed, so that
every table finds those that another has made, and an unfinished one goes on.
"""

import argparse
import dataclasses
import hashlib
import itertools
import json
from pathlib import Path

import heads

from ltjax import config as configs
from ltjax.config import command
from ltjax.config.kind import told
from ltjax.mistake import Mistake
from ltjax.run import run
from ltjax.stages import trained
from ltjax.stages.loading import load
from ltjax.workdir import files, identity, versions


def parser(description, holdout=50):
    """The flags of all tables; `holdout` is the default of its flag."""
    made = argparse.ArgumentParser(
        description=description,
        epilog="Every other flag is the run's: python -m ltjax.main --help.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--config", required=True, help="config of the runs, FILE or FILE:NAME")
    add("--seeds", type=int, nargs="+", default=[0], help="seeds of the runs")
    add("--out", type=Path, required=True, help="file of JSON lines, appended to")
    add("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    add(
        "--stage-one",
        type=Path,
        help="folder of earlier runs of the same names, whose backbones serve these: "
        "for other heads",
    )
    add(
        "--holdout",
        type=int,
        default=holdout,
        help="images a class held out in the validation runs; 0: no validation runs, "
        "and nothing fitted",
    )
    add(
        "--holdout-largest",
        type=int,
        help="data.largest of the validation runs; by default that of the test runs, "
        "less the images held out",
    )
    return made


def read(parser, args):
    """The options of a command line; `rest` are the flags of the run."""
    options, rest = parser.parse_known_args(args)
    for flag in ("--seed", "--data.holdout"):
        if any(word.split("=")[0] == flag for word in rest):
            raise Mistake(f"{flag} is the table's own to set; see --help")
    options.rest = rest
    return options


def append(make, options, validation=False, sittings=False):
    """Appends the lines `make(options, seed)` of each seed not in the file yet.

    They tell of test runs or, for `validation`, of validation runs. With `sittings` it
    is `make(options, seed, backbone)`, whose lines are appended before the next one is
    trained.
    """
    if not options.out.absolute().parent.is_dir() or options.out.is_dir():
        raise Mistake(f"--out {options.out} is not a file in an existing folder")
    if validation and not options.holdout:
        raise Mistake("--holdout is 0; choose on held-out images, --holdout 50")
    config = config_of(options, 0, options.holdout if validation else 0)
    # Data that are not what they should be are told before hours of training.
    ours = facts(config, identity.fingerprint(load(config.data)))
    parts = [(backbone,) for backbone in config.backbones] if sittings else [()]
    for seed, part in itertools.product(options.seeds, parts):
        there = seeds_done(options, ours)
        if seed in there and {*part} <= there[seed]:
            print(f"{options.out} has {' of '.join([*part, f'seed {seed}'])}")
            continue
        add(options.out, make(options, seed, *part))


def add(out, lines):
    """Appends lines to a file, whole or not at all: what is there is complete."""
    before = out.read_text() if out.exists() else ""
    files.write_text(out, before + "".join(json.dumps(line) + "\n" for line in lines))


def sitting(line):
    """The backbone that was trained for a line, also where it tells of its draws."""
    return "swa" if line.get("backbone") == "swag" else line.get("backbone")


def seeds_done(options, ours):
    """The seeds in the file, whose lines must be of `ours`, the settings and data.

    With the backbones of each. Seeds with a validation run may stand beside seeds
    without one.
    """
    if not options.out.exists():
        return {}
    try:
        lines = [json.loads(line) for line in options.out.read_text().splitlines()]
        kinds = [{name: line[name] for name in ours} for line in lines]
        holdouts = {line["seed"]: line["holdout"] for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise Mistake(
            f"--out {options.out} holds other lines; give a new file"
        ) from error
    for theirs in kinds:
        for name in ours:
            if theirs[name] != ours[name]:
                raise Mistake(
                    f"--out {options.out} holds lines of other {name} "
                    f"({theirs[name]}, now {ours[name]}); give a new file"
                )
    for seed, holdout in holdouts.items():
        both = holdout and options.holdout
        if holdout != options.holdout and (both or seed in options.seeds):
            raise Mistake(
                f"--out {options.out} holds seed {seed} with another --holdout "
                f"({holdout}, now {options.holdout}); give a new file"
            )
    return {
        seed: {sitting(line) for line in lines if line["seed"] == seed}
        for seed in holdouts
    }


def config_of(options, seed, holdout=0):
    """The config of one of a seed's runs."""
    args = ["--config", options.config, "--seed", str(seed), *options.rest]
    config, *_ = command.read(args)
    for choice, name in (("model", "pretrained"), ("objective", "teacher")):
        value = told(getattr(config, choice), name)
        # A package's weights are the same everywhere.
        if value not in (None, "auto"):
            raise Mistake(
                f"{choice}.{name} is {value!r}; the lines of a table do not tell such "
                "runs from others: leave it out"
            )
    if not holdout:
        return config
    data, largest = config.data, options.holdout_largest
    if largest is None and data.largest is not None:
        largest = data.largest - holdout
    # What is left is not the set of a manifest, which the test run checks.
    held = {"holdout": holdout, "largest": largest, "manifest": None}
    return dataclasses.replace(config, data=dataclasses.replace(data, **held))


def folder_of(config):
    """The name of a config's folder among the runs."""
    held = f"-holdout{config.data.holdout}" if config.data.holdout else ""
    return f"{config.name}{held}-seed{config.seed}"


def facts(config, data):
    """What tells the lines of one table from another's, which must not mix.

    The config's name, a digest of it, and the fingerprint of the data.
    """
    fields = _unusual(identity.of_config(config), identity.of_config(configs.Config()))
    text = json.dumps({**fields, "seed": 0, "name": config.name}, sort_keys=True)
    return {
        "config": config.name,
        "settings": hashlib.sha256(text.encode()).hexdigest()[:12],
        "data": data,
    }


def _unusual(fields, defaults):
    """The fields that are not at their defaults: new fields leave the digest alone."""
    found = {}
    for name, value in fields.items():
        usual = defaults.get(name)  # of another kind it may be unknown
        if isinstance(value, dict):
            value = _unusual(value, usual or {})
        if value != usual and value != {}:
            found[name] = value
    return found


def finished(options, config):
    """The folder of a run, made or found, its results, what its lines begin with."""
    earlier = options.stage_one and options.stage_one / folder_of(config)
    out, results, about = ended(config, options.runs / folder_of(config), earlier)
    return out, results, {**about, "holdout": options.holdout}


def ended(config, out, earlier=None):
    """The same of a run in a folder; it takes over the backbones of an earlier one."""
    results = run(config, out, stage_one=earlier)
    made = files.read_json(out / "config.json")
    by = versions.versions()["ltjax"], made.get("versions", {}).get("ltjax")
    if len(set(by)) > 1:
        raise Mistake(
            f"{out} was made by ltjax {by[1]}, and this is {by[0]}, which "
            "comes to other figures; give another --runs"
        )
    # The last process is the one that finished it.
    last = files.read_json(out / "versions.json")[-1]
    about = {
        "dataset": results["dataset"]["name"],
        "imbalance_factor": results["dataset"]["imbalance_factor"],
        **facts(config, made["run"]["data"]),
        **{n: made["run"][n] for n in ("pretrained",) if made["run"].get(n)},
        "holdout": config.data.holdout,
        "seed": config.seed,
        "commit": last["commit"],
        "device": last["devices"][0],
        "processor": last.get("processor"),
    }
    return out, results, about


def lines(options, seed, *names):
    """A line for every row of a seed's test run, with what validation fitted for it.

    Of some of its backbones only, if there are `names`.
    """

    def sat(holdout=0):
        config = config_of(options, seed, holdout)
        return dataclasses.replace(config, backbones=names or config.backbones)

    fitted = {}
    if options.holdout:
        held = sat(options.holdout)
        for stored in backbones(held, finished(options, held)[0]):
            fitted |= heads.temperatures(stored)
    config = sat()
    out, results, about = finished(options, config)
    rows = [row for row in results["rows"] if sitting(row) in config.backbones]
    beside = {}
    for stored in backbones(config, out):
        extra = heads.same_start(stored)
        if extra:  # after LA's own
            names = [(row["backbone"], row["classifier"]) for row in rows]
            rows.insert(names.index((stored.backbone, "la")) + 1, extra)
        beside |= heads.beside(stored, fitted)
    return [
        {**about, **row, **beside[row["backbone"], row["classifier"], row["variant"]]}
        for row in rows
    ]


def backbones(config, out):
    """The backbones of a finished run, of this sitting."""
    data = load(config.data)
    return [trained.held(out, name, config, data) for name in config.backbones]
