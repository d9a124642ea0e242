"""A page that compares runs: seeds of the same settings, and settings."""

import json
from typing import NamedTuple

import numpy as np

from ltjax.mistake import Mistake
from ltjax.report import closeup, diagrams, markup, table, words
from ltjax.report.aggregate import aggregate, moments
from ltjax.report.page import accuracies, rows
from ltjax.report.settings import span
from ltjax.workdir import identity
from ltjax.workdir.rows import Row


def of_settings(settings):
    """The page of a list of `Setting` as HTML.

    Raises `Mistake` where seeds of a setting have other rows.
    """
    means = {
        setting.name: {
            "rows": aggregate([run.results for run in setting.runs]),
            "seeds": [run.results["seed"] for run in setting.runs],
        }
        for setting in settings
    }
    results = settings[0].runs[0].results
    runs = sum(len(setting.runs) for setting in settings)
    every = {
        f"rows-{at}": (f"All rows of {name}", rows(means[name]))
        for at, name in enumerate(means, 1)
    }
    return markup.paged(
        f"{runs} runs compared",
        table.data(results),
        " ".join(
            (
                *(_summary(setting, means[setting.name]) for setting in settings),
                "± is one standard deviation over seeds.",
            )
        ),
        {
            "settings": ("Settings", _settings(settings, means)),
            "differences": ("Differences, seed by seed", _differences(settings)),
            "classes": ("Accuracy by class", _classes(settings)),
            **every,
            "runs": ("Runs", _runs(settings)),
        },
    )


def _summary(setting, means):
    seeds = ", ".join(str(run.results["seed"]) for run in setting.runs)
    told = f"{setting.name}, seed{'s' * (len(setting.runs) > 1)} {seeds}"
    name = _last(setting)
    if name is None:
        return f"{told}."
    row = next(row for row in means["rows"] if Row.of(row).key == name)
    parts = [
        before + table.text(column, *table.figure(row, column)) + after
        for column, before, after in (
            ("all", "", " % of the test images"),
            ("few", "", " % in the few-shot classes"),
            ("NLL", "NLL ", ""),
            ("ECE", "ECE ", ""),
        )
        if table.figure(row, column)[0] is not None
    ]
    return f"{told}: {table.label(row)} is right on {', '.join(parts)}."


def _settings(settings, means):
    """The headline row of each setting, and in what they differ."""
    if len(settings) == 1:
        return
    lines = []
    for setting in settings:
        name = _last(setting)
        for row in means[setting.name]["rows"]:
            if Row.of(row).key == name:
                figures = (table.text(c, *table.figure(row, c)) for c in table.COLUMNS)
                lines.append((f"{setting.name}: {table.label(row)}", *figures))
    yield markup.table(
        "Settings",
        ("setting", *table.COLUMNS),
        [lines],
        "mean ± standard deviation over seeds; accuracy in %, NLL in nats",
    )
    for setting in settings[1:]:
        if setting.differences:
            yield markup.paragraph(f"{setting.name} against the first setting:", "soft")
            yield markup.verbatim("\n".join(setting.differences))


def _differences(settings):
    """Rows of the same runs, and a row under two settings with the same seeds."""
    first, lines = settings[0], []
    for setting in settings:
        shown = closeup.names(setting.runs[0])
        *others, last = shown or [None]
        before = f"{setting.name}: " if len(settings) > 1 else ""
        for other in others:
            pairs = [(_row(run, last), _row(run, other)) for run in setting.runs]
            lines.append(_less(f"{before}{shown[last]} less {shown[other]}", pairs))
        there = {run.results["seed"]: run for run in first.runs}
        pairs = [
            (_row(run, last), _row(there[run.results["seed"]], _last(first)))
            for run in setting.runs
            if last and _last(first) and run.results["seed"] in there
        ]
        if pairs and setting is not first:
            lines.append(_less(f"{before}{shown[last]} less {first.name}", pairs))
    if lines:
        yield markup.table(
            "Differences, seed by seed",
            ("difference", "seeds", *table.COLUMNS),
            [lines],
            "mean ± standard deviation of the differences within a seed; accuracy in "
            "points",
        )


def _less(name, pairs):
    """The differences of pairs of rows, as cells."""
    cells = []
    for column in table.COLUMNS:
        ends = [[table.figure(row, column)[0] for row in pair] for pair in pairs]
        found = moments([None if None in pair else pair[0] - pair[1] for pair in ends])
        text = table.text(column, *found.values()).replace("-", words.MINUS)
        cells.append(f"+{text}" if (found["mean"] or 0) > 0 else text)
    return (name, str(len(pairs)), *cells)


def _row(run, name):
    return next(row for row in run.results["rows"] if Row.of(row).key == name)


def _classes(settings):
    """Means over seeds: of the rows of one setting, or of one row of each."""
    if len(settings) == 1:
        (setting,) = settings
        means, spread = _over_seeds(setting)
    else:
        means, spread = {}, {}
        for number, setting in enumerate(settings[: diagrams.MOST_LINES], 1):
            found = _over_seeds(setting)
            if found[0]:
                # Not its name, which is the user's.
                means[f"setting {number}"], spread[f"setting {number}"] = (
                    list(each.values())[-1] for each in found
                )
    if not means:
        return
    run = settings[0].runs[0]
    many = len(settings) > diagrams.MOST_LINES
    yield markup.figure(
        "Right test images of each class, means over seeds; the band is a class's "
        "standard deviation over seeds. Below, images it was trained on."
        + f" Only the first {diagrams.MOST_LINES} settings are drawn."
        * many,
        diagrams.per_class(
            means, run.counts, run.groups, ylim=(-2, 102), spread=spread
        ),
    )
    *others, last = means
    if others:
        gaps = {f"{last} less {other}": means[last] - means[other] for other in others}
        # At least a point, so that no difference looks like one.
        most = max(1.0, *(np.nanmax(np.abs(gap), initial=0) for gap in gaps.values()))
        yield markup.figure(
            "The same, as differences of means.",
            diagrams.per_class(
                gaps,
                run.counts,
                run.groups,
                ylabel="difference, points",
                ylim=(-1.1 * most, 1.1 * most),
            ),
        )


def _over_seeds(setting):
    """Mean and deviation over seeds of each row looked at, {name: [C]} each."""
    found = [accuracies(run) for run in setting.runs]
    shared = [name for name in found[0] if all(name in each for each in found)]
    stacks = {name: np.stack([each[name] for each in found]) for name in shared}
    return (
        {name: stack.mean(0) for name, stack in stacks.items()},
        {
            name: stack.std(0, ddof=min(len(stack) - 1, 1))
            for name, stack in stacks.items()
        },
    )


def _runs(settings):
    lines = []
    for setting in settings:
        name = _last(setting)
        for run in setting.runs:
            figures = ["-"] * len(table.COLUMNS)
            if name:
                row = _row(run, name)
                figures = [table.text(c, *table.figure(row, c)) for c in table.COLUMNS]
            took = span(sum(run.results["seconds"].values()))
            seed = str(run.results["seed"])
            lines.append((str(run.out), seed, *figures, took))
    head = ("folder", "seed", *table.COLUMNS, "time")
    yield markup.table("Runs", head, [lines])


def _last(setting):
    """The row that the page of such a run is about, or None."""
    return next(reversed(closeup.names(setting.runs[0])), None)


class Setting(NamedTuple):
    """Runs that differ in nothing but their seed."""

    name: str
    runs: list  # of results.Results, by seed
    differences: list  # from the first setting, in words


def settings(runs):
    """The `Setting` of each group of runs, in the order in which they are given.

    Raises `Mistake` for runs of other classes or data, and for the same seed twice.
    """
    first, found = runs[0], {}
    for run in runs:
        other = identity.class_difference(_class_names(first), _class_names(run))
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
        found.setdefault(json.dumps(_decisive(run), sort_keys=True), []).append(run)
    several = len(found) > 1
    return [
        _setting(group, first, f" ({number})" * several)
        for number, group in enumerate(found.values(), 1)
    ]


def _class_names(run):
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
    differences = list(identity.differences(_decisive(first), _decisive(group[0])))
    return Setting(name, [by_seed[seed] for seed in sorted(by_seed)], differences)


def _decisive(run):
    """What decides a run's numbers, but its seed and name."""
    settings = {
        "config": run.identity["config"],
        "pretrained": run.identity.get("pretrained"),
        "teacher": run.identity.get("teacher"),
    }
    return {**settings, "config": {**settings["config"], "seed": None, "name": None}}
