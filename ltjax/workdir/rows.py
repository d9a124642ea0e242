"""Rows of a run's table, as a command names them."""

from typing import NamedTuple

from ltjax.mistake import Mistake, nearest, shown

# The default is the first of the SWA backbone that a run has; every run has the last.
# Not that of the best figures, which are of the test images: nothing is chosen there.
_PREFERRED = ("srepr", "la", "la_posthoc", "crt", "lws", "tau_norm", "none")


class Row(NamedTuple):
    """A row of `results.json`, written backbone/classifier or .../variant."""

    backbone: str
    classifier: str
    variant: str = ""

    @classmethod
    def of(cls, figures):
        """The row of a record that has these three fields and others."""
        return cls(*(figures[field] for field in cls._fields))

    @property
    def key(self):
        """Its name in the files of a run, swa-srepr-b."""
        return "-".join(filter(None, self))

    def __str__(self):
        return "/".join(filter(None, self))


HEADLINE = Row("swa", "srepr")


def named(results):
    """Every row's figures in `results.json`, by the `Row`."""
    return {Row.of(row): row for row in results["rows"]}


def choose(run, results, wanted=None):
    """The `Row` that `--classifier` names; without it `HEADLINE` or what is nearest.

    `results` are those of the folder `run`. Raises `Mistake` for a row that there is
    not.
    """
    known = {str(row): row for row in named(results)}
    if wanted is None:
        preferred = (f"{HEADLINE.backbone}/{classifier}" for classifier in _PREFERRED)
        return known[next(name for name in preferred if name in known)]
    if wanted not in known:
        raise Mistake(
            f"--classifier {shown(wanted)} is no row of {shown(run)}, which has "
            f"{', '.join(known)}{nearest(wanted, known)}"
        )
    return known[wanted]
