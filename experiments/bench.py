"""Measures ltjax on this machine: speed, growth, memory, devices, input, activations.

    python experiments/bench.py --quick --out bench.json      within 3 minutes
    python experiments/bench.py --out bench.json              about 15 minutes
    python experiments/bench.py --part scaling --out scaling.json

Run it on an idle machine. Parts, each with flags of its own (`--part PART --help`):
"""

import sys
from pathlib import Path

# What is measured is told in the tables of the documents.
sys.path.append(str(Path(__file__).parent / "documents"))

from bench import command

if __name__ == "__main__":
    sys.exit(command.main(sys.argv[1:], __doc__))
