"""The workshop's tests have the settings and the fixtures of the product's."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from strict import compiled_once, finished_run, hastily, pages, place

__all__ = ["compiled_once", "finished_run", "hastily", "pages", "place"]
