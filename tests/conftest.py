"""The fixtures of all tests, those of the workshop too (`experiments/tests`)."""

from strict import compiled_once, finished_run, hastily, pages, place

__all__ = ["compiled_once", "finished_run", "hastily", "pages", "place"]
