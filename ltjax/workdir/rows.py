"""Rows of a run's table, as a command names them."""

from typing import NamedTuple

from ltjax.mistake import Mistake, nearest, shown

# Whether a row was tested with what is known beside images, or as if nothing were.
SEEN, ABSENT = "seen", "absent"


class Row(NamedTuple):
    """A row of `results.json`, written backbone/classifier or .../variant.

    `blind` is "absent" where it was tested as if no metadata were known.
    """

    backbone: str
    classifier: str
    variant: str = ""
    blind: str = ""

    @classmethod
    def of(cls, figures):
        """The row of a record that has the first three fields and others."""
        blind = ABSENT if figures.get("meta") == ABSENT else ""
        return cls(*(figures[field] for field in cls._fields[:3]), blind)

    @property
    def names(self):
        """Its first three fields, as a line of `results.json` has them."""
        return {name: getattr(self, name) for name in self._fields[:3]}

    @property
    def key(self):
        """Its name in the files of a run, swa-srepr-b."""
        return "-".join(filter(None, self))

    def __str__(self):
        return "/".join(filter(None, self))


def told(results):
    """The rows of `results.json` as they are meant: with all that is known."""
    return [row for row in results["rows"] if row.get("meta") != ABSENT]


def preferred():
    """The rows that are meant where none is named: the first that a run has."""
    # Late: methods need JAX, and a command's help needs none.
    from ltjax.classifier import PREFERRED

    return [Row(name, each) for name in ("swa", "sgd") for each in PREFERRED]


def headline():
    """The row that a run is about, if it has it."""
    return preferred()[0]


def named(results):
    """Every row's figures in `results.json`, by the `Row`, but for blind ones."""
    return {Row.of(row): row for row in told(results)}


def choose(run, results, wanted=None):
    """The `Row` that `--classifier` names; without it the first `preferred` one.

    `results` are those of the folder `run`. Raises `Mistake` for a row that there is
    not.
    """
    known = {str(row): row for row in named(results)}
    if wanted is None:
        return next(row for row in preferred() if str(row) in known)
    if wanted not in known:
        raise Mistake(
            f"--classifier {shown(wanted)} is no row of {shown(run)}, which has "
            f"{', '.join(known)}{nearest(wanted, known)}"
        )
    return known[wanted]
