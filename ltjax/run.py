"""The story of a run, top to bottom.

data -> representation -> posterior -> classifier -> evaluation -> report
"""

import contextlib
import dataclasses
import json
import os
from functools import partial
from pathlib import Path

import jax
from rich.console import Console

from ltjax import config as configs
from ltjax.classifier import heads
from ltjax.config import limits, own
from ltjax.config.kind import told
from ltjax.data import longtail, sampling
from ltjax.data import streamed as pictures
from ltjax.data.augment import geometry, views
from ltjax.data.streamed import Pictures
from ltjax.evaluation import scores
from ltjax.mistake import Mistake
from ltjax.posterior import dispersion
from ltjax.report import page
from ltjax.report.table import table
from ltjax.representation.objective import Task
from ltjax.runtime import devices, hosts
from ltjax.stages import backbone, bank, features, loading, memory, teacher
from ltjax.stages import classifier as retraining
from ltjax.stages.keys import keys
from ltjax.stages.session import Session
from ltjax.workdir import (
    adoption,
    events,
    examples,
    identity,
    lock,
    predictions,
    results,
    versions,
)
from ltjax.workdir import claim as folder
from ltjax.workdir.events import Writer
from ltjax.workdir.files import write_arrays, write_json, write_text
from ltjax.workdir.rows import Row


def run(
    config,
    out,
    console=None,
    stage_one=None,
    accept_changes=False,
    stopping=None,
    track=None,
):
    """Runs all stages of `config` in the folder `out` and returns the results.

    An unfinished run of the same config goes on where it stopped; a finished one
    returns its results at once. `stage_one` is the folder of another run, equal in all
    that decides the backbones, whose backbones are taken over. With `accept_changes` a
    run of another config, of other data or versions goes on too, with what it has; the
    results say so. `stopping()` is asked now and then for an exit code: with one the
    run ends by `Stopped`, when all it did is saved. `track(event)` gets every event, a
    dict, that is written to `metrics.jsonl`, in the first process only; when it raises,
    the run goes on without it. The results are those of `results.json`. Raises
    `Mistake` for whatever the user can put right.
    """
    # Of several processes the first one speaks, and writes all files but checkpoints.
    out, console = Path(out), console or Console(quiet=not hosts.first())

    def read():
        limits.check(config)
        data = loading.load(config.data, console, config.augment)
        steps = check_steps(config, len(data.train.label))
        counts = longtail.class_counts(data.train.label, data.classes)
        task = Task(counts, steps, config.optim.epochs)
        own.check_made(config, data.classes, task)
        objective = config.objective.make(task)
        check_views(config, data, objective)
        start = backbone.start(config.model, data.train.image.shape[-1])
        taught_by = teacher.of_config(config, data)
        needed = memory.check(config, bank.sizes(config, data, start, steps))
        return data, objective.views, start, taught_by, needed

    data, seen, start, taught_by, needed = hosts.together(read)
    streamed = isinstance(data.train.image, Pictures)
    # As it came out, so that a run does not go on in the other way.
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, stream=streamed or None)
    )
    weights = {"pretrained": start.digest, "teacher": taught_by.digest}
    made_of = identity.of_run(config, data, weights)
    hosts.agree("config or data", lambda: json.dumps(made_of))
    changed = hosts.together(lambda: folder.check(out, made_of, accept_changes))
    wide = not console.is_terminal  # which would break within words
    say = partial(console.print, soft_wrap=wide, highlight=False, markup=False)
    found = folder.results(out, say) if hosts.first() and not changed else None
    results = hosts.gathered(found)[0]
    if results:
        console.print(f"{out} holds this run, finished:", soft_wrap=True)
        console.print(table(results))
        # A process that was killed at its very end may have left none.
        if hosts.first() and not (out / page.FILE).exists():
            say(page_made(out, data.test.image))
        return results
    with contextlib.ExitStack() as stack:

        def claim():
            if stage_one is not None:
                other, names = Path(stage_one), backbone.NAMES
                adoption.check(other, made_of, names)
            # Only now is anything written.
            stack.enter_context(lock.held(out))
            folder.claim(out, config, made_of, accept_changes)
            if stage_one is not None:
                adoption.adopt(out, other, config, names)
            versions.record_versions(out, say)
            folder.record_skipped(out, data, console)

        hosts.by_first(claim)
        say(needed)
        heard = events.guarded(track) if track and hosts.first() else None
        return _stages(
            config, out, console, data, seen, start, taught_by, made_of, stopping, heard
        )


def _stages(
    config, out, console, data, seen, start, taught_by, made_of, stopping, track
):
    """The results of all stages, in a folder that is this run's alone."""
    index = sampling.class_index(data.train.label, data.classes)
    streamed = isinstance(data.train.image, Pictures)
    mean, std = start.moments or geometry.moments(
        pictures.sample(data.train.image) if streamed else data.train.image
    )
    made = config.augment.make(streamed)
    metrics = out / "metrics.jsonl" if hosts.first() else Path(os.devnull)
    with Writer(metrics, track) as writer:
        session = Session(
            config=config,
            out=out,
            keys=keys(config.seed),
            net=config.model.make(data.classes),
            data=data,
            train=on_device(data.train),
            test=on_device(data.test),
            index=index,
            augment=made[seen[0]],
            seen=views.joined([made[name] for name in seen]),
            normalise=lambda images: geometry.normalise(images, mean, std),
            pretrained=start,
            teacher=taught_by,
            writer=writer,
            console=console,
            made=folder.made(made_of),
            stopping=stopping or (lambda: None),
        )
        rows, per_class, predicted = stages(session)

    accepted = folder.changes(out)
    results = {
        "dataset": {
            "name": data.name,
            "classes": data.classes,
            "train": len(data.train.label),
            "test": len(data.test.label),
            "counts": index.counts.tolist(),
            "imbalance_factor": config.data.imbalance_factor,
            "image": list(data.train.image.shape[1:]),
            "mean": list(map(float, mean)),
            "std": list(map(float, std)),
            **({"manifest": data.manifest} if data.manifest else {}),
            **({"shared": data.shared} if data.shared else {}),
            **({"class_names": list(data.class_names)} if data.class_names else {}),
        },
        "seed": config.seed,
        "rows": rows,
        "seconds": events.seconds_per_stage(out),
        **_cost(config, start, data),
        **({"changes": accepted} if accepted else {}),
    }

    def conclude():
        write_json(out / "classes.json", per_class)
        write_arrays(out / "labels.npz", {"test": data.test.label})
        predictions.write(out, predicted)
        write_json(out / "results.json", results)

    hosts.by_first(conclude)
    console.print(table(results))
    if hosts.first():
        session.say(page_made(out, data.test.image))
    console.print(f"results, metrics and checkpoints are in {out}", soft_wrap=True)
    return results


def page_made(out, images):
    """Makes the page of a finished run; says where it is, or why there is none.

    `images` are those of the test split.
    """
    try:
        found = results.read(out)
        if found.chosen:
            examples.keep(out, images, found.chosen)
            found = found._replace(images=examples.read(out))
        write_text(out / page.FILE, page.of_run(found))
    except Exception as error:  # whatever it is, the results stay
        return f"no {page.FILE}: {type(error).__name__}: {error}"
    return f"a page about it is {out / page.FILE}"


def _cost(config, start, data):
    """What an image costs a network of several experts: {"cost": ...}, or nothing."""
    experts = told(config.model, "experts")
    if experts is None:
        return {}
    found = backbone.cost(config.model, data.classes, start, data.train.image.shape[1:])
    return {"cost": {"experts": experts, **found}}


def stages(session):
    """Every row of the table, what is known of each class, and `Predicted` by row."""
    rows, accuracy = [], {}
    for name in backbone.NAMES:
        seen = None  # the features of one backbone at a time
        state, posterior = backbone.train(session, name)
        # What is tested: the last weights of the SGD run, the mean of the SWA run.
        weights = posterior if name == "swa" else state.params
        params = posterior.mean if name == "swa" else state.params
        head = devices.local(session.net.head.linear(params["head"]))
        seen = features.take(session, name, weights)
        found, accuracies, made = retraining.rows(session, name, head, seen)
        rows += found
        accuracy |= accuracies
    # The SWA backbone is the last, and the one with draws.
    per_class = {
        "counts": session.index.counts.tolist(),
        "accuracy": accuracy,
        "dispersion": dispersion.per_class(
            partial(heads.none(head).logits, head),
            seen.test[1:],
            session.data.test.label,
            session.data.classes,
        ),
    }
    predicted = {
        Row(name, classifier).key: predictions.Predicted(
            *scores.top_labels(made[classifier], seen.test[:1])
        )
        for classifier in predictions.shown(made)
    }
    if predicted:
        row = list(predicted)[-1]  # that the page is about
        log_probs = made[predictions.shown(made)[-1]]
        images = seen.test[:1], session.data.test.label
        coverage = scores.set_coverage(
            log_probs, *images, longtail.groups(session.index.counts)
        )
        if coverage:
            per_class["coverage"] = {"row": row, **coverage}
    return rows, per_class, predicted


def on_device(split):
    """The images and labels of a split as device arrays; streamed images stay away."""
    if isinstance(split.image, Pictures):
        return {"image": split.image, "label": jax.device_put(split.label)}
    return jax.device_put({"image": split.image, "label": split.label})


def check_views(config, data, objective):
    """Refuses what is done to images on the device where images are streamed."""
    if not isinstance(data.train.image, Pictures):
        return
    for name in ("rotate", "policy", "cutout"):
        value = getattr(config.augment, name)
        if value:
            raise Mistake(
                f"augment.{name} is {value!r}; it changes images that are held in "
                "memory, and these are streamed"
            )
    if len(objective.views) > 1:
        raise Mistake(
            f"objective is {type(config.objective).__name__}, whose views of an image, "
            f"{' and '.join(objective.views)}, are made of images that are held in "
            "memory; these are streamed"
        )


def check_steps(config, images):
    """The steps of an epoch.

    Refuses settings that so many images, or the devices, cannot be stepped with.
    """
    optim, swa = config.optim, config.swa
    if optim.batch_size > images:
        raise Mistake(
            f"optim.batch_size is {optim.batch_size}; "
            f"it must be at most the {images} training images"
        )
    devices.check("optim.batch_size", optim.batch_size)
    epochs = optim.epochs - configs.swa_start(config)
    steps = sampling.steps(images, optim.batch_size, optim.drop_last)
    snapshots = epochs * steps // (swa.every_steps or steps)
    if snapshots < 2:
        raise Mistake(
            f"snapshots after swa.start are {snapshots}, in {epochs} epochs of {steps} "
            "steps; a posterior needs 2: lower swa.start or swa.every_steps"
        )
    return steps
