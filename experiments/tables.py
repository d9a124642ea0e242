"""Writes the tables of README.md and of the pages of docs/ from the result files.

python experiments/tables.py
"""

import io
import json
import re
from functools import partial
from pathlib import Path

import choices
import expert_tables
import statistics_tables
from rich.console import Console

from ltjax import classifier as classifiers
from ltjax.report.aggregate import moments
from ltjax.report.table import table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "experiments" / "results"
RUNS = {"digits": "digits_lt.json", "cifar": "cifar100_lt_cpu.json"}
SWEEPS = {
    "sweep_cifar100": "sweep_cifar100_lt100_cpu.jsonl",
    "sweep_digits": "sweep_digits_lt.jsonl",
    "sweep_fashion": "sweep_fashion_lt100_cpu.jsonl",
}
EXPERT_SWEEP = "sweep_experts_shike_cpu.jsonl"
_LOWEST = 30
BENCH, SCALING = "bench_cpu.json", "scaling_cpu.json"
METHODS = "table2_cifar100_lt100_cpu.jsonl"
PIPELINE, FAULTS = "pipeline_cpu.json", "fault_injection_cpu.json"
CHECKS, MEMORY = "checks_cpu.json", "memory_cpu.json"
STATISTICS = "batch_statistics_cifar100_lt100_cpu.jsonl"
# All but docs/results.md, which `results_page.py` writes as a whole.
DOCUMENTS = (
    "README.md",
    *sorted(
        f"docs/{page.name}"
        for page in (ROOT / "docs").glob("*.md")
        if page.stem != "results"
    ),
)


def of_run(path):
    """The table of a run as its terminal shows it, 80 columns wide."""
    console = Console(file=io.StringIO(), width=80)
    console.print(table(json.loads(path.read_text())))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return "\n".join(["```", *(line for line in lines if line), "```"])


def of_sweep(path):
    """A Markdown table of the choices of `sweep.py`, lowest NLL first."""
    rows = [
        "| classifier | draws | views | all | NLL | less the lowest | ECE |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for line in _by_nll(path):
        used = f"{line['samples']} | {line['views']}"
        rows.append(f"| {_named(line)} | {used} | {_swept(line)}")
    return "\n".join(rows)


def of_expert_sweep(path):
    """The same of several experts: the `_LOWEST`, and all lines but SRepr's."""
    rows = [
        "| classifiers learn | rate | decay | classifier | all | NLL | less the lowest "
        "| ECE |",
        "| --- | --: | --: | --- | --: | --: | --: | --: |",
    ]
    lines = _by_nll(path)
    for place, line in enumerate(lines):
        distilled = line["classifier"] == "srepr" and not line["variant"]
        if place < _LOWEST or not distilled:
            learned = f"{line['experts']} | {line['lr']:g} | {line['weight_decay']:g}"
            if line["classifier"] == "none":
                learned = "– | – | –"
            rows.append(f"| {learned} | {_named(line)} | {_swept(line)}")
    return "\n".join([*rows, "", _both_ways(lines)])


def _both_ways(lines):
    """In how many choices that were fitted both ways classifiers gain together."""
    ways = {"alone": {}, "together": {}}
    for line in lines:
        key = line["lr"], line["weight_decay"], _named(line)
        ways[line["experts"]][key] = line
    both = ways["alone"].keys() & ways["together"].keys()
    nll, ece = (
        sum(ways["together"][one][name] < ways["alone"][one][name] for one in both)
        for name in ("nll", "ece")
    )
    return (
        f"Of {len(both)} choices that were fitted both ways, together has the lower "
        f"NLL in {nll} and the lower ECE in {ece}."
    )


def _by_nll(path):
    lines = map(json.loads, path.read_text().splitlines())
    return sorted(lines, key=lambda line: line["nll"])


def _swept(line):
    gap = f"{line['gap']:.4f} ± {line['gap_se']:.4f}"
    return f"{line['acc']['all']:.2f} | {line['nll']:.4f} | {gap} | {line['ece']:.3f} |"


def _named(line):
    if line["classifier"] == "none":
        name = "that of stage one"
    elif line["variant"] == "b":
        name = "SRepr (b)"
    elif line["classifier"] == "la":
        name = "LA, head of stage one" if line["variant"] else "LA"
    else:
        choice = line["srepr"]
        name = choice["form"]
        if name == "mean":
            name += f", T = {choice['temperature']:g}"
        name += f", α = {choice['alpha']:g}, LA on {choice['on']}"
        if choice["head"] == "stage_one":
            name += ", head of stage one"
    return name


def of_methods(path):
    """The rows of the SWA backbone, means over seeds; at T where one was fitted."""
    rows = {}
    for line in map(json.loads, path.read_text().splitlines()):
        if line["backbone"] == "swa":
            rows.setdefault((line["classifier"], line["variant"]), []).append(line)
    del rows["srepr", "c-mean"]  # the headline row under its own name

    def mean(lines, figure, decimals):
        values = [figure(line) for line in lines]
        return f"{moments([v for v in values if v is not None])['mean']:.{decimals}f}"

    body = [
        (
            _method(*name),
            mean(lines, lambda line: line["acc"]["few"], 2),
            mean(lines, lambda line: line["acc"]["all"], 2),
            mean(lines, lambda line: line["nll"], 3),
            mean(lines, lambda line: line["ece"], 3),
            mean(lines, lambda line: line["nll_scaled"], 3),
            mean(lines, lambda line: line["ece_scaled"], 3),
        )
        for name, lines in rows.items()
    ]
    heads = ("classifier", "few", "all", "NLL", "ECE", "NLL at T", "ECE at T")
    return _markdown(heads, body)


def _method(classifier, variant):
    known = classifiers.METHODS.get(classifier)
    name = known.TITLE if known else "that of stage one"
    variant = variant.replace("stage_one", "head of stage one")
    return f"{name} ({variant})" if variant else name


def of_bench(figures):
    """What `bench.py` timed by turns."""
    rows = []
    for pair in figures["detail"]["pairs"].values():
        ours = pair["sides"]["ltjax"]["per_second"]
        for name, ratio in pair["ratios"].items():
            low, high = ratio["quartiles"]
            rows.append(
                (
                    f"{pair['what'].rstrip('.')}, {pair['unit']}",
                    f"{ours:,.0f}",
                    f"{pair['sides'][name]['per_second']:,.0f} ({name})",
                    f"{ratio['median']:.2f}",
                    f"{low:.2f} to {high:.2f}",
                )
            )
    return _markdown(("part", "ltjax", "other", "ratio", "quartiles"), rows)


def of_targets(figures):
    """What was aimed at on two CPU cores, and what `bench.py` measured."""
    detail = figures["detail"]

    def ratio(part, side):
        return detail["pairs"][part]["ratios"][side]["median"]

    train, infer = (ratio(part, "torch") for part in ("train_step", "inference"))
    passes = ratio("refresh", "11 forward passes")
    share = 100 * figures["swag_update_share_of_epoch"]
    slopes = [
        detail["growth"][f"{part} over M"]["slopes"]["temporary_bytes"]
        for part in ("refresh", "features")
    ]
    cold, warm = (detail["digits"][cache] for cache in ("cold", "warm"))
    first = warm["seconds_to_first_epoch"]
    aims = (
        ("a train step of at least 0.4 × PyTorch", f"{train:.2f}", train >= 0.4),
        ("inference at least 0.55 × PyTorch", f"{infer:.2f}", infer >= 0.55),
        ("a SWAG update below 1 % of an epoch", f"{share:.3f} %", share < 1),
        (
            "refreshing 1 + 10 sets in 11 plain training-mode passes plus 10 %",
            f"{1 / passes:.2f} of their time",
            passes >= 1 / 1.1,
        ),
        (
            "memory of M draws flat in M",
            " and ".join(f"{slope:.2f}" for slope in slopes),
            max(slopes) < 0.1,
        ),
        (
            "a run on the digits below 60 s, empty cache",
            f"{cold['seconds']:.0f} s",
            cold["seconds"] < 60,
        ),
        ("the same, warm cache", f"{warm['seconds']:.0f} s", warm["seconds"] < 60),
        (
            "15 s to the first training step, warm cache",
            f"{first:.1f} s to the end of its epoch",
            first < 15,
        ),
    )
    rows = [(aim, found, "yes" if met else "no") for aim, found, met in aims]
    return _markdown(("target", "measured", "met"), rows)


def of_first_calls(figures):
    """Seconds of first calls, which compile, and of later ones."""
    rows = []
    for name, pair in figures["detail"]["pairs"].items():
        for side, times in pair["sides"].items():
            first, later = times["first_seconds"], times["median_seconds"]
            rows.append((name, side, f"{first:.2f}", f"{later:.2f}"))
    return _markdown(("part", "side", "first call, s", "later calls, s"), rows)


def of_growth(figures):
    """The slopes of what `growth.py` measured, log over log."""
    names = ("seconds", "temporary_bytes", "output_bytes", "compile_seconds")
    rows = []
    for name, axis in figures["detail"]["growth"].items():
        sizes = ", ".join(f"{point['size']:,}" for point in axis["points"])
        slopes = (axis["slopes"][quantity] for quantity in names)
        # Adding 0 takes the sign of a -0.
        cells = ("–" if s is None else f"{round(s, 2) + 0:.2f}" for s in slopes)
        rows.append((name, sizes, *cells))
    heads = ("time", "temporary memory", "output memory", "compile time")
    return _markdown(("what over what", "sizes", *heads), rows)


def of_peaks(figures):
    """Peak memory of whole processes."""
    rows = [
        (name, *(f"{peaks[side]:,.0f}" for side in ("neither", "ltjax", "torch")))
        for name, peaks in figures["detail"]["peak_mebibytes"].items()
    ]
    return _markdown(("part", "libraries only", "ltjax", "torch"), rows)


def of_digits(figures):
    """Whole runs on the digits."""
    rows = [
        (
            name,
            f"{run['seconds']:.1f}",
            f"{run['seconds_to_first_epoch']:.1f}",
            f"{run['peak_mebibytes']:,.0f}",
        )
        for name, run in figures["detail"]["digits"].items()
    ]
    heads = ("compilation cache", "whole run, s", "to the first epoch's end, s")
    return _markdown((*heads, "peak memory, MiB"), rows)


def of_scaling(figures):
    """The rows of `scaling.py`."""
    rows = [
        (
            f"{row['devices']}{', reversed' if row['control'] else ''}",
            row["images_per_device"],
            "yes" if row["same_order"] else "no",
            *(f"{row[part]:.1e}" for part in ("weights", "statistics", "loss")),
            f"{row['seconds_per_step']:.3f}",
        )
        for row in figures["rows"]
    ]
    heads = ("devices", "images each", "same order", "weights", "statistics", "loss")
    return _markdown((*heads, "s per step"), rows)


def of_saving(digits, experts):
    """What saving took of a run of the digits, and of those of several experts."""
    runs = {"the digits": json.loads(digits.read_text())["seconds"]}
    for name, path in experts.items():
        for line in map(json.loads, path.read_text().splitlines()):
            runs[f"CIFAR-100-LT, {name}, seed {line['seed']}"] = line["stages"]
    rows = []
    for name, seconds in runs.items():
        total, saving = sum(seconds.values()), seconds["saving"]
        share = f"{100 * saving / total:.1f} %"
        rows.append((name, f"{total:,.0f}", f"{saving:.1f}", share))
    return _markdown(("run", "all stages, s", "saving, s", "share"), rows)


def of_checks(figures):
    """What `checks.py` measured."""
    low, high = figures["quartiles"]
    turns = len(figures["seconds"]["plain"])
    row = f"{figures['ratio']:.3f}", f"{low:.3f} to {high:.3f}", turns
    return _markdown(("time with over without", "quartiles", "turns"), [row])


def of_faults(figures):
    """What `fault_injection.py` did, and what it found."""
    done = {
        **{f"killed in {name}": n for name, n in figures["kills_by_stage"].items()},
        **{name: n for name, n in figures["faults"].items()},
        "all kills": figures["kills"],
        "of them within a save": figures["kills_in_a_save"],
        "runs that were finished": figures["runs"],
        "**differences**": len(figures["differences"]),
    }
    return _markdown(("what", "times"), list(done.items()))


def of_pipeline(figures):
    """The rows of `pipeline.py`."""
    rows = [
        (row["workers"], f"{row['first']:.1f}", f"{row['rate']:,.0f}")
        for row in figures["rows"]
    ]
    heads = ("workers", "to the first batch, s", "images per second")
    return _markdown(heads, rows)


def of_memory(figures):
    """What `memory.py` measured: bytes per image, and GB of the whole sets."""
    sets = list(figures["settings"]["sets"])
    rows = {}
    for row in figures["rows"]:
        rows.setdefault((row["stage"], row["side"]), {})[row["set"]] = row
    body = []
    for (stage, side), of in rows.items():
        cells = []
        for name in sets:
            slope = max(round(of[name]["bytes_per_image"]), 0)
            cells += [f"{slope:,}", f"{of[name]['bytes'] / 1e9:.2f}"]
        fits = "yes" if all(of[name]["fits"] for name in sets) else "no"
        body.append((stage, side, *cells, fits))
    heads = [part for name in sets for part in (f"bytes an image, {name}", "GB")]
    return _markdown(("stage", "of the", *heads, "fits"), body)


def of_whole_runs(figures):
    """What `memory.check` counts of whole runs."""
    rows = [
        (
            row["set"],
            f"{row['bank']}, {row['bank_dtype']}",
            *(f"{row[side] / 1e9:.1f}" for side in ("device", "host")),
            "yes" if row["fits"] else "no",
        )
        for row in figures["whole_runs"]
    ]
    return _markdown(("set", "bank", "device, GB", "host, GB", "fits"), rows)


def _markdown(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def tables():
    """What makes every table, by the name of its place in the documents."""

    def runs(make, files):
        return {name: partial(make, RESULTS / file) for name, file in files.items()}

    def figures(make, file):
        return lambda: make(json.loads((RESULTS / file).read_text()))

    return {
        **runs(of_run, RUNS),
        **runs(of_sweep, SWEEPS),
        "sweep_experts": partial(of_expert_sweep, RESULTS / EXPERT_SWEEP),
        "candidates": partial(choices.beside, "cifar100_lt100_cpu"),
        **{
            f"statistics_{of}_{images.replace(' ', '_')}": partial(
                statistics_tables.of_backbone, RESULTS / STATISTICS, of, images
            )
            for of in ("sgd", "swa")
            for images in ("held out", "test")
        },
        "methods": partial(of_methods, RESULTS / METHODS),
        "experts": expert_tables.short,
        "bench": figures(of_bench, BENCH),
        "targets": figures(of_targets, BENCH),
        "first_calls": figures(of_first_calls, BENCH),
        "growth": figures(of_growth, BENCH),
        "peaks": figures(of_peaks, BENCH),
        "digits_runs": figures(of_digits, BENCH),
        "scaling": figures(of_scaling, SCALING),
        "pipeline": figures(of_pipeline, PIPELINE),
        "saving": partial(
            of_saving,
            RESULTS / RUNS["digits"],
            {
                expert_tables.SYSTEMS[system]: RESULTS / file
                for system, (file,) in expert_tables.BEFORE.items()
            },
        ),
        "checks": figures(of_checks, CHECKS),
        "memory": figures(of_memory, MEMORY),
        "whole_runs": figures(of_whole_runs, MEMORY),
        "faults": figures(of_faults, FAULTS),
    }


def filled(text):
    """A document's text with every table in it made anew."""
    for name, make in tables().items():
        if f"<!-- {name} -->" in text:
            block = f"<!-- {name} -->\n{make()}\n<!-- /{name} -->"
            pattern = f"<!-- {name} -->.*<!-- /{name} -->"
            text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    for document in DOCUMENTS:
        path = ROOT / document
        path.write_text(filled(path.read_text()))
