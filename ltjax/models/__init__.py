"""Flax Linen modules: networks, their layers and their weights on disk."""
