"""The workshop's tests have the settings and the fixtures of the product's."""

import sys
from pathlib import Path

EXPERIMENTS = Path(__file__).parents[1]
ROOMS = ("tables", "documents", "faults")
# A script finds what lies beside it.
sys.path[:0] = [
    str(EXPERIMENTS),
    *(str(EXPERIMENTS / room) for room in ROOMS),
    str(EXPERIMENTS.parent / "tests"),
]

from strict import (  # noqa: E402
    compiled_once,
    finished_run,
    hastily,
    pages,
    place,
    thin,
)

__all__ = ["compiled_once", "finished_run", "hastily", "pages", "place", "thin"]
