"""Writes the tables of README.md and docs/decisions.md from the result files.

python experiments/tables.py
"""

import io
import json
import re
from pathlib import Path

from rich.console import Console

from ltjax.report.table import table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
RUNS = {"digits": "digits_lt.json", "cifar": "cifar100_lt_cpu.json"}
SWEEPS = {
    "sweep_cifar100": "sweep_cifar100_lt100_cpu.jsonl",
    "sweep_digits": "sweep_digits_lt.jsonl",
}
BENCH = "bench_cpu.json"
DOCUMENTS = ("README.md", "docs/decisions.md", "docs/performance.md")


def of_run(path):
    """The table of a run as its terminal shows it, 80 columns wide."""
    console = Console(file=io.StringIO(), width=80)
    console.print(table(json.loads(path.read_text())))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return "\n".join(["```", *(line for line in lines if line), "```"])


def of_sweep(path):
    """A Markdown table of the choices of `sweep.py`, lowest NLL first."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [
        "| classifier | draws | views | all | NLL | ECE |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for line in sorted(lines, key=lambda line: line["nll"]):
        figures = f"{line['acc']['all']:.2f} | {line['nll']:.3f} | {line['ece']:.3f} |"
        rows.append(f"| {_named(line)} | {figures}")
    return "\n".join(rows)


def _named(line):
    if line["variant"] == "b":
        name = "SRepr (b)"
    elif line["classifier"] == "la":
        name = "LA"
    else:
        choice = line["srepr"]
        name = choice["form"]
        if name == "mean":
            name += f", T = {choice['temperature']:g}"
        name += f", α = {choice['alpha']:g}, LA on {choice['on']}"
    if line["head"] == "stage_one":
        name += ", head of stage one"
    return f"{name} | {line['samples']} | {line['views']}"


def of_bench(path):
    """A Markdown table of what `bench.py` timed by turns."""
    rows = ["| part | ltjax | other | ratio | quartiles |", "| --- |" + " --- |" * 4]
    for pair in json.loads(path.read_text())["detail"]["pairs"].values():
        ours = pair["sides"]["ltjax"]["per_second"]
        for name, ratio in pair["ratios"].items():
            other = pair["sides"][name]["per_second"]
            low, high = ratio["quartiles"]
            rows.append(
                f"| {pair['what'].rstrip('.')}, {pair['unit']} | {ours:,.0f} "
                f"| {other:,.0f} ({name}) | {ratio['median']:.2f} "
                f"| {low:.2f} to {high:.2f} |"
            )
    return "\n".join(rows)


def tables():
    """Every table by the name of its place in the documents."""
    runs = {name: of_run(RESULTS / file) for name, file in RUNS.items()}
    sweeps = {name: of_sweep(RESULTS / file) for name, file in SWEEPS.items()}
    return {**runs, **sweeps, "bench": of_bench(RESULTS / BENCH)}


def filled(text):
    """A document's text with every table in it made anew."""
    for name, rows in tables().items():
        block = f"<!-- {name} -->\n{rows}\n<!-- /{name} -->"
        pattern = f"<!-- {name} -->.*<!-- /{name} -->"
        text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    for document in DOCUMENTS:
        path = ROOT / document
        path.write_text(filled(path.read_text()))
