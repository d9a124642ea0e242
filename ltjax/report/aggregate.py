"""What several runs of the same rows come to: mean and standard deviation."""

from itertools import zip_longest

import numpy as np

from ltjax.mistake import Mistake
from ltjax.workdir.rows import Row


def aggregate(results):
    """The rows of a list of `results.json`, in the order of the first.

    Every figure of a row becomes `{"mean", "std"}`, also those within `acc` and of each
    of `experts`: the mean over runs, and the standard deviation of a sample (squares
    over runs − 1), None of one run. Both are None where a run has None, or nothing.

    Raises `Mistake` where runs have other rows, or one has a row twice.
    """
    by_run = [_by_name(run["rows"], number) for number, run in enumerate(results, 1)]
    for number, rows in enumerate(by_run, 1):
        # The first of either that the other lacks.
        for name in (*by_run[0], *rows):
            if name not in rows or name not in by_run[0]:
                has, lacks = (number, 1) if name in rows else (1, number)
                raise Mistake(
                    f"run {lacks} has no row {name.key}, run {has} has; "
                    "only runs with the same rows have a mean"
                )
    names = by_run[0] if by_run else ()
    return [
        {**_named(by_run[0][name]), **_figures([rows[name] for rows in by_run])}
        for name in names
    ]


def _named(row):
    """The fields of a row that say which one it is."""
    fields = "backbone", "classifier", "variant", "meta"
    return {field: row[field] for field in fields if field in row}


def moments(values):
    """Mean and standard deviation (squares over N − 1) of numbers: `{"mean", "std"}`.

    The deviation of one number is None; both are where any number is.
    """
    if None in values:
        return {"mean": None, "std": None}
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std}


def _by_name(rows, number):
    found = {}
    for row in rows:
        name = Row.of(row)
        if name in found:
            raise Mistake(f"run {number} has the row {name.key} twice")
        found[name] = row
    return found


def _figures(dicts):
    """The moments of the numbers in dicts, in dicts within them and in their lists."""
    found = {}
    for name in dict.fromkeys(name for each in dicts for name in each):
        values = [each.get(name) for each in dicts]
        if any(isinstance(value, dict) for value in values):
            found[name] = _figures([value or {} for value in values])
        elif name == "experts":
            parts = zip_longest(*(value or [] for value in values), fillvalue={})
            found[name] = [_figures(part) for part in parts]
        elif all(isinstance(value, int | float | None) for value in values):
            found[name] = moments(values)
    return found
