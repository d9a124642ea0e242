"""What ltjax takes on a machine, measured: the parts of `experiments/bench.py`."""
