"""Runs that are compared: seeds of the same settings, and settings of the same data."""

import json
from typing import NamedTuple

from ltjax import identity
from ltjax.mistake import Mistake


class Setting(NamedTuple):
    """Runs that differ in nothing but their seed."""

    name: str
    runs: list  # of outcome.Outcome, by seed
    differences: list  # from the first setting, in words


def settings(runs):
    """The `Setting` of each group of runs, in the order in which they are given.

    Raises `Mistake` for runs of other classes or data, and for the same seed twice.
    """
    first, found = runs[0], {}
    for run in runs:
        other = identity.class_difference(_classes(first), _classes(run))
        if other:
            raise Mistake(
                f"{run.out} has other classes than {first.out} ({other}); only runs of "
                "the same classes can be compared"
            )
        if run.identity["data"] != first.identity["data"]:
            raise Mistake(
                f"{run.out} has other images or labels than {first.out}; only runs of "
                "the same data can be compared"
            )
        found.setdefault(json.dumps(_settings(run), sort_keys=True), []).append(run)
    several = len(found) > 1
    return [
        _setting(group, first, f" ({number})" * several)
        for number, group in enumerate(found.values(), 1)
    ]


def _classes(run):
    data = run.results["dataset"]
    return identity.names(len(data["counts"]), data.get("class_names"))


def _setting(group, first, suffix):
    by_seed = {}
    for run in group:
        seed = run.results["seed"]
        if seed in by_seed:
            raise Mistake(
                f"{run.out} is seed {seed} of the same settings as "
                f"{by_seed[seed].out}; "
                "give each run once"
            )
        by_seed[seed] = run
    name = (group[0].config.name or "run") + suffix
    differences = list(identity.differences(_settings(first), _settings(group[0])))
    return Setting(name, [by_seed[seed] for seed in sorted(by_seed)], differences)


def _settings(run):
    """What decides a run's numbers, but its seed and name."""
    settings = {
        "config": identity.completed(run.identity["config"]),
        "pretrained": run.identity.get("pretrained"),
        "teacher": run.identity.get("teacher"),
    }
    return {**settings, "config": {**settings["config"], "seed": None, "name": None}}
