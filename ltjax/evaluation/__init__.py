"""Scores per example, sums per class that add, and the figures made of them."""

from ltjax.evaluation.calibration import accuracy, brier, ece, nll, temperature

__all__ = ["accuracy", "brier", "ece", "nll", "temperature"]
