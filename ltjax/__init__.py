"""Long-tailed recognition with honest uncertainty, as pure functions on pytrees."""

__version__ = "0.2.0"
