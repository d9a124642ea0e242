"""The story of a run, top to bottom.

images -> network and posterior -> features of mean and draws -> classifiers -> table
"""

from functools import partial
from pathlib import Path

from rich.console import Console

from ltjax.config import limits, own
from ltjax.report import page
from ltjax.report.live import Live
from ltjax.report.table import table
from ltjax.runtime import hosts
from ltjax.stages import (
    backbones,
    classifier,
    features,
    frozen,
    loading,
    memory,
    metadata,
    occlusion,
    representation,
    strangers,
    summary,
    teacher,
    tokens,
    trial,
)
from ltjax.stages import loader as loaders
from ltjax.stages import system as systems
from ltjax.workdir import adoption, beside, claim, events, identity, workdir
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
    explain=False,
):
    """Runs all stages of `config` in the folder `out` and returns the results.

    An unfinished run of the same config goes on where it stopped; a finished one
    returns its results at once. `stage_one` is the folder of another run, equal in all
    that decides the backbones, whose backbones are taken over. With `accept_changes` a
    run of another config, of other data or versions goes on too, with what it has; the
    results say so. `stopping()` is asked now and then for an exit code: with one the
    run ends by `Stopped`, when all it did is saved. `track(event)` gets every event, a
    dict, that is written to `metrics.jsonl`, in the first process only; when it raises,
    the run goes on without it. With `explain` the page says where
    the surest mistakes come from. The results are those of `results.json`. Raises
    `Mistake` for whatever the user can put right.
    """
    # Of several processes the first one speaks, and writes all files but checkpoints.
    out, console = Path(out), console or Console(quiet=not hosts.first())
    tracks = {"the page of the run at work": Live(out), "the tracker": track}
    voice = workdir.Voice(console, stopping, events.each_guarded(tracks))

    # Not compiled, nor on the devices: it may be refused, or have finished.
    told = partial(planned, config, out, console)
    config, data, order, system, needed = hosts.together(told)
    made_of = identity.of_run(config, data, system.digests, system.net.takes)
    found = workdir.finished(out, made_of, accept_changes, voice.say)
    joined = backbones.joined(config, order.task, found)
    if joined is None:
        console.print(f"{out} holds this run, finished:", soft_wrap=True)
        met = with_strangers(found, out, config, console)
        again = met is found and not explain
        return shown(met, out, data, voice, explain, again)
    names = [each.name for each in backbones.of(config, order.task)]
    if stage_one is not None:
        hosts.by_first(lambda: adoption.check(Path(stage_one), made_of, names))
    with workdir.opened(out, config, made_of, accept_changes, voice) as folder:
        if stage_one is not None:
            other = Path(stage_one)
            hosts.by_first(lambda: adoption.adopt(out, other, config, names))
        hosts.by_first(lambda: claim.record_skipped(out, data, folder.say))
        if metadata.META in system.net.takes:
            hosts.by_first(lambda: beside.write(out, data))
        folder.say(needed)
        seen, above = frozen.take(config, data, system, order, folder)
        loader = loaders.of(config, seen, order, system.net.takes)
        outcomes = stages(joined, above, loader, folder)
        results = summary.conclude(joined, data, system, outcomes, loader, folder)
        results = with_strangers(results, out, config, console)
        shown(results, out, data, voice, explain)
    console.print(f"results, metrics and checkpoints are in {out}", soft_wrap=True)
    return results


def planned(config, out, console):
    """What a run is made of, checked: its config, data, batches, system and memory."""
    limits.check(config)
    claim.check_place(out)  # not after hours of looking at images
    data = loading.load(config.data, console, config.augment)
    settled = loading.settled(config, data)
    systems.check_steps(settled, len(data.train.label))
    order = loaders.order(settled, data)
    own.check_made(settled, data.classes, order.task)
    system = systems.of(settled, data, order.task, teacher.of_config(settled, data))
    systems.check_views(settled, data, system.objective)
    frozen.check(settled, system)
    strangers.check(settled, data.train.image.shape[1:])
    trial.check(settled, system, data, order.task)
    needed = memory.check(settled, systems.sizes(system, settled, data, order.task))
    needed += frozen.told(frozen.size(settled, system, data))
    return settled, data, order, system, needed


def stages(config, system, loader, folder):
    """What each backbone came to, a list of `classifier.Outcome`: SGD's, then SWA's."""
    outcomes = []
    for backbone in backbones.of(config, loader.task):
        seen = None  # the features of one backbone at a time
        place = config.swa.place
        weights = representation.train(backbone, system, loader, folder, place)
        seen = features.take(backbone, weights, system, loader, folder, config)
        settings = config.classifier
        outcome = classifier.train(backbone, seen, loader, folder, settings)
        outcome = outcome._replace(
            shapes=summary.shapes(weights.mean),
            tokens=tokens.told(system, weights, seen, loader),
        )
        outcomes.append(outcome)
    return outcomes


def with_strangers(results, out, config, console):
    """The results, with what the finished run in `out` says of `data.strangers`."""
    place = config.data.strangers
    if place is None or (results.get("strangers") or {}).get("path") == place:
        return results
    found = strangers.judged(out, place, console)
    if found is None:
        console.print("strangers are not judged: no row of this run has draws")
        return results
    results = {**results, "strangers": found}
    hosts.by_first(lambda: write_json(out / "results.json", results))
    return results


def shown(results, out, data, voice, explain=False, again=False):
    """Prints the table, makes the page, and returns the results.

    `again` makes only one that is not there: a process that was killed at its very end
    may have left that of the run at work.
    """
    voice.console.print(table(results, voice.console.width))
    if explain:  # all processes: its weights are read by all
        told = occlusion.keep(out, data.test)
        if hosts.first():
            voice.say(told)
    if hosts.first() and not (again and page.there(out)):
        voice.say(page.made(out, data))
    return results
