"""Objectives of stage one, a family in each module; see `representation.objective`."""
