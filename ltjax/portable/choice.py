"""Which row of a run's table leaves it."""

from typing import NamedTuple

from ltjax.mistake import Mistake

# The default is the first that a run has; every run has the last. Not the best figures:
# those are of the test images, on which nothing is chosen.
_PREFERRED = ("srepr", "la", "la_posthoc", "crt", "lws", "tau_norm", "none")


class Row(NamedTuple):
    """A row that is one network, and so can leave a run."""

    backbone: str  # "sgd" or "swa"
    classifier: str
    variant: str
    figures: dict  # what `results.json` says of it

    @property
    def name(self):
        """The row in one word: swa/srepr."""
        return _name(self._asdict())


def choose(results, wanted=None):
    """The row `wanted`, such as "swa/la"; without it swa/srepr or what is nearest.

    Raises `Mistake` for a row that there is not, or that is no single network.
    """
    rows = {_name(row): row for row in results["rows"]}
    single = {name: row for name, row in rows.items() if row["backbone"] != "swag"}
    if wanted is None:
        wanted = next(
            name
            for name in (f"swa/{classifier}" for classifier in _PREFERRED)
            if name in single
        )
    if wanted in rows and wanted not in single:
        raise Mistake(
            f"--classifier {wanted} is the mean of many passes, not one network; give "
            f"{wanted.replace('swag', 'swa', 1)}"
        )
    if wanted not in single:
        raise Mistake(
            f"--classifier {wanted} is no row of this run; it has {', '.join(single)}"
        )
    row = single[wanted]
    return Row(row["backbone"], row["classifier"], row["variant"], row)


DEFAULT = "swa/srepr"


def _name(row):
    return "/".join(filter(None, (row["backbone"], row["classifier"], row["variant"])))
