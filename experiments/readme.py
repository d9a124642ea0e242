"""Writes the tables of the README from the result files they show.

python experiments/readme.py
"""

import io
import json
import re
from pathlib import Path

from rich.console import Console

from ltjax.report.table import table

ROOT = Path(__file__).parent.parent
SHOWN = {
    "digits": "experiments/results/digits_lt.json",
    "cifar": "experiments/results/cifar100_lt_cpu.json",
}


def render(results):
    """The table of a run as its terminal shows it, 80 columns wide."""
    console = Console(file=io.StringIO(), width=80)
    console.print(table(results))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return "\n".join(line for line in lines if line)


def filled(text):
    """The README's text with every table made anew."""
    for name, path in SHOWN.items():
        results = json.loads((ROOT / path).read_text())
        block = f"<!-- {name} -->\n```\n{render(results)}\n```\n<!-- /{name} -->"
        pattern = f"<!-- {name} -->.*<!-- /{name} -->"
        text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text()))
