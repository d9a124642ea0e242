"""Long-tailed recognition with honest uncertainty, as pure functions on pytrees."""

from importlib.metadata import version

__version__ = version("ltjax")
