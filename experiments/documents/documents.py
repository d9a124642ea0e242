"""Writes what the documents tell of result files: tables, docs/results.md, figures.

python experiments/documents/documents.py
"""

import io
import sys
from functools import partial
from pathlib import Path

import experts
import matplotlib
import measured
import page
import results
import systems
import trials
from rich.console import Console
from tabular import markdown

from ltjax.report.table import table
from ltjax.runtime.command import exit_code

ROOT = Path(__file__).parents[2]
DIGITS = "digits_lt.json"
BENCH, MEMORY = "bench_cpu.json", "memory_cpu.json"
STATISTICS = "batch_statistics_cifar100_lt100_cpu.jsonl"
# All but docs/results.md, which `page.py` writes as a whole.
DOCUMENTS = (
    "README.md",
    *sorted(
        f"docs/{file.name}"
        for file in (ROOT / "docs").glob("*.md")
        if file.stem != "results"
    ),
)


def of_run(file):
    """The table of a run as its terminal shows it, 80 columns wide."""
    console = Console(file=io.StringIO(), width=80)
    console.print(table(results.figures(file)))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return "\n".join(["```", *(line for line in lines if line), "```"])


def of_figures(make, file):
    """A table of `measured`, of a file."""
    heads, *body = make(results.figures(file))
    return markdown(heads, body, text=None)


def of_saving():
    """What saving took of a run of the digits, and of those of several experts."""
    runs = {"the digits": results.figures(DIGITS)["seconds"]}
    for system, (file,) in experts.BEFORE.items():
        for line in results.lines(file):
            name = f"CIFAR-100-LT, {experts.SYSTEMS[system]}, seed {line['seed']}"
            runs[name] = line["stages"]
    heads, *body = measured.saving(runs)
    return markdown(heads, body, text=None)


# What makes every table, by the name of its place in the documents.
TABLES = {
    "digits": partial(of_run, DIGITS),
    "cifar": partial(of_run, "cifar100_lt_cpu.json"),
    "sweep_cifar100": partial(trials.sweep, "sweep_cifar100_lt100_cpu.jsonl"),
    "sweep_digits": partial(trials.sweep, "sweep_digits_lt.jsonl"),
    "stage_one_digits": partial(trials.stage_one, "sweep_digits_stage_one.jsonl"),
    "sweep_fashion": partial(trials.sweep, "sweep_fashion_lt100_cpu.jsonl"),
    "sweep_experts": partial(trials.expert_sweep, "sweep_experts_shike_cpu.jsonl"),
    "candidates": partial(page.beside, "cifar100_lt100_cpu"),
    **{
        f"statistics_{of}_{images.replace(' ', '_')}": partial(
            trials.statistics, STATISTICS, of, images
        )
        for of in ("sgd", "swa")
        for images in ("held out", "test")
    },
    "methods": partial(trials.methods, "table2_cifar100_lt100_cpu.jsonl"),
    "experts": experts.short,
    "bench": partial(of_figures, measured.bench, BENCH),
    "bench_before": partial(of_figures, measured.bench, "bench_quick_before_cpu.json"),
    "bench_after": partial(of_figures, measured.bench, "bench_quick_cpu.json"),
    "targets": partial(of_figures, measured.targets, BENCH),
    "first_calls": partial(of_figures, measured.first_calls, BENCH),
    "growth": partial(of_figures, measured.growth, BENCH),
    "peaks": partial(of_figures, measured.peaks, BENCH),
    "digits_runs": partial(of_figures, measured.digits, BENCH),
    "scaling": partial(of_figures, measured.scaling, "scaling_cpu.json"),
    "frozen": partial(of_figures, measured.frozen, "frozen_cpu.json"),
    "pretrained": partial(trials.pretrained, "pretrained_cifar100_lt100_cpu.jsonl"),
    "gates": systems.gates,
    "clusters": partial(systems.clusters, "clusters_cifar100_cpu.jsonl"),
    "clusters_few": partial(
        systems.clusters, "clusters_cifar100_cpu.jsonl", memory=512
    ),
    "pipeline": partial(of_figures, measured.pipeline, "pipeline_cpu.json"),
    "saving": of_saving,
    "trials": partial(of_figures, measured.tried, "trials_cpu.json"),
    "trials_before": partial(of_figures, measured.tried, "trials_jax010_cpu.json"),
    "promise": partial(of_figures, measured.promised, "promise_cpu.json"),
    "checks": partial(of_figures, measured.checks, "checks_cpu.json"),
    "transport": partial(of_figures, measured.transported, "transport_cpu.json"),
    "memory": partial(of_figures, measured.memory, MEMORY),
    "whole_runs": partial(of_figures, measured.whole_runs, MEMORY),
    "faults": partial(of_figures, measured.faults, "fault_injection_cpu.json"),
}


def filled(text):
    """A document's text with every table in it made anew."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        if begin in text:
            head, rest = text.split(begin)
            text = head + begin + make() + end + rest.split(end)[1]
    return text


def write():
    """Writes all documents."""
    for document in DOCUMENTS:
        path = ROOT / document
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    page.write()


if __name__ == "__main__":
    matplotlib.use("Agg")
    sys.exit(exit_code(write, "documents"))
