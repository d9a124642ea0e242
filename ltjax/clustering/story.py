"""The story of a run without labels, top to bottom.

images -> network and posterior -> features of mean and draws -> clusters -> a page
"""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from ltjax.clustering import page, scan, sheet
from ltjax.config import limits, own
from ltjax.runtime import hosts
from ltjax.stages import backbones, clusters, memory, teacher, trial, unlabelled
from ltjax.stages import loader as loaders
from ltjax.stages import system as systems
from ltjax.workdir import adoption, claim, events, identity, workdir
from ltjax.workdir.files import write_json


def run(
    config,
    out,
    console=None,
    *,
    stage_one=None,
    accept_changes=False,
    stopping=None,
    track=None,
):
    """Sorts the images of `config` in the folder `out` and returns the results.

    As `ltjax.run.run`, of an objective that learns without labels: what there are of
    these is for scores only. Which image is in which cluster is told in `clusters.csv`.
    """
    out, console = Path(out), console or Console(quiet=not hosts.first())
    voice = workdir.Voice(
        console, stopping, events.each_guarded({"the tracker": track})
    )
    told = partial(planned, config, out, console)
    config, found, order, system, needed = hosts.together(told)
    made_of = identity.of_run(config, found.data, system.digests, system.net.takes)
    results = workdir.finished(out, made_of, accept_changes, voice.say)
    joined = backbones.joined(config, order.task, results)
    if joined is None:
        console.print(f"{out} holds this run, finished:", soft_wrap=True)
        return sheet.shown(results, console)
    names = [each.name for each in backbones.of(config, order.task)]
    if stage_one is not None:
        hosts.by_first(lambda: adoption.check(Path(stage_one), made_of, names))
    with workdir.opened(out, config, made_of, accept_changes, voice) as folder:
        if stage_one is not None:
            hosts.by_first(lambda: adoption.adopt(out, Path(stage_one), config, names))
        hosts.by_first(lambda: claim.record_skipped(out, found.data, folder.say))
        folder.say(needed)
        takes = (*system.net.takes, "row")
        loader = loaders.of(config, found.data, order, takes)
        system = clusters.with_graph(config, system, loader)
        outcomes = [
            clusters.train(each, system, loader, folder, joined)
            for each in backbones.of(joined, order.task)
        ]
        results = conclude(joined, found, system, outcomes, folder)
        sheet.shown(results, console)
    console.print(f"results, metrics and checkpoints are in {out}", soft_wrap=True)
    return results


def planned(config, out, console):
    """What a run is made of, checked: its config, data, batches, system and memory."""
    limits.check(config)
    claim.check_place(out)
    found = unlabelled.load(config, console)
    if config.objective.scan:
        count = scan.chosen(
            config.objective.scan,
            _features(config, found),
            partial(console.print, soft_wrap=True),
            config.seed,
        )
        config = scan.settled(config, count)
        found = found._replace(data=dataclasses.replace(found.data, classes=count))
    data = found.data
    systems.check_steps(config, len(data.train.label))
    order = loaders.order(config, data)
    own.check_made(config, data.classes, order.task)
    system = systems.of(config, data, order.task, teacher.of_config(config, data))
    trial.check(config, system, data, order.task)
    needed = memory.check(config, systems.sizes(system, config, data, order.task))
    return config, found, order, system, needed


def _features(config, found):
    """Features of the images before any number of clusters is known."""
    data = dataclasses.replace(found.data, classes=2)
    order = loaders.order(config, data)
    system = systems.of(config, data, order.task, teacher.of_config(config, data))
    loader = loaders.of(config, data, order, system.net.takes)
    return clusters.first_features(config, system, loader)


def conclude(config, found, system, outcomes, folder):
    """Writes what the backbones came to; returns the results."""
    data, every = found.data, [row for rows, _ in outcomes for row in rows]
    # The last backbone's mean is what the run is about.
    chosen = outcomes[-1][0][0]
    results = {
        "dataset": _dataset(config, data, system, chosen),
        "seed": config.seed,
        "rows": [_row(each, found, data.classes) for each in every],
        "heads": {rows[0].row.backbone: losses.tolist() for rows, losses in outcomes},
        "seconds": events.seconds_per_stage(folder.path),
    }

    def write():
        sheet.write(folder.path / sheet.FILE, found.names, chosen)
        write_json(folder.path / "results.json", results)
        images = data.train.image if data.train.image.dtype == np.uint8 else None
        folder.say(page.made(folder.path, config, results, chosen, images, found.names))

    hosts.by_first(write)
    return results


def _row(each, found, count):
    sizes = clusters.sizes(each, count)
    told = {"used": int((sizes > 0).sum()), "largest": int(sizes.max())}
    seconds = 0.0
    if found.truth is not None:
        told["scores"], seconds = clusters.worth(each, found.truth, found.classes)
    if each.agreement is not None:
        told["agreement"] = float(each.agreement.mean())
    return {**each.row._asdict(), **told, "seconds": seconds}


def _dataset(config, data, system, chosen):
    mean, std = system.moments
    return {
        "name": data.name,
        "classes": data.classes,
        "train": len(data.train.label),
        "test": len(data.train.label),
        "counts": clusters.sizes(chosen, data.classes).tolist(),
        "imbalance_factor": config.data.imbalance_factor,
        "image": list(data.train.image.shape[1:]),
        "mean": list(map(float, mean)),
        "std": list(map(float, std)),
    }
