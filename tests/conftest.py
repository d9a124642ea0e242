"""The fixtures of all tests, those of the workshop too (`experiments/tests`)."""

from strict import compiled_once, finished_run, hastily, pages, place, thin

__all__ = ["compiled_once", "finished_run", "hastily", "pages", "place", "thin"]


def pytest_collection_modifyitems(items):
    """Files that train and compile come first, so that two processes end together."""
    items.sort(key=lambda item: "compiled_once" not in item.fixturenames)
