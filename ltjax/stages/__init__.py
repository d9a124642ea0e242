"""The corridor of a run: each stage takes what the one before gave."""
