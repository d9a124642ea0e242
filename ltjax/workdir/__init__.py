"""The folder of a run: whose it is, checkpoints, events, results."""
