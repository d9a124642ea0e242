"""The story of a prediction: a row of a run, images, probabilities, a file of rows."""

import contextlib
import os
import time
from collections import Counter
from functools import partial

import jax
import numpy as np
from rich.console import Console

from ltjax.data import entries, longtail, meta, unlabelled
from ltjax.evaluation import conformal
from ltjax.mistake import Mistake, shown
from ltjax.predict import predictor, sheet, worth
from ltjax.predict import request as plans
from ltjax.runtime import progress
from ltjax.stages import trained

_LABELS = 5  # the most probable ones, in a row
_BATCH = 256  # images at most; as many in each batch


def predict(command, console=None):
    """Does what an `ltjax.predict.Command` asks for; lines about it go to stderr.

    The file is there when it has all rows, and not otherwise. Raises `Mistake` for
    whatever the user can put right.
    """
    console = console or Console(stderr=True)
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    out = command.out
    sheet.check(out, command.overwrite)
    if command.crops > 1 and command.coverage is not None:
        raise Mistake(
            f"--crops is {command.crops}; sets of --coverage are calibrated on images "
            "as they are: give one of the two"
        )
    if command.next is not None and command.next < 1:
        raise Mistake(f"--next is {command.next}; it must be 1 or more")
    seeds = plans.of_seeds(command)
    _, plan = seeds[0]
    if len(seeds) > 1:  # draws of several posteriors have no one dispersion
        plan = plan._replace(samples=0)
    images = unlabelled.read(command.path, plan.shape, plan.beside)
    if os.path.exists(out) and os.path.samefile(out, command.path):
        raise Mistake(f"--out {out} holds the images; give another name")
    columns, done = _columns(images.key, plan), Counter()
    try:
        with sheet.writing(out, columns) as write:
            opened = [
                predictor.of_row(folder, own.row, own.samples, own.priors)
                for folder, own in seeds
            ]
            for line in (*plan.notes, *_known(images, plan.beside)):
                say(line)
            if len(seeds) > 1:
                say(f"the mean of {len(seeds)} seeds")
            limit = _calibrated(opened, plan, say)
            begin = time.monotonic()
            with (
                progress.stage(console, "predict", images.count) as advance,
                contextlib.closing(_seen(images, _see(opened, command))) as parts,
            ):
                best = command.next and worth.Candidates(command.next)
                for batch, seen in parts:
                    rows = _rows(images.key, batch, seen, plan, limit)
                    if best:
                        _weigh(best, rows, batch, seen)
                    else:
                        write(rows)
                    done["images"] += len(batch.names)
                    done["problems"] += sum(map(bool, batch.problems))
                    done["resized"] += batch.resized
                    done["recoloured"] += batch.recoloured
                    advance(to=done["images"])
            if best:
                write(_columns_of(best.taken(), columns))
    except KeyboardInterrupt:
        say(f"{out} is not written")
        raise
    _tell(images, done, out, time.monotonic() - begin, say)


def _see(opened, command):
    """What tells of images, crop by crop where that is asked for."""
    return predictor.over_crops(predictor.mean_on_images(opened), command.crops)


def _calibrated(opened, plan, say):
    """The scores [C] up to which labels are in a set, or None without --coverage."""
    if plan.coverage is None:
        return None
    log_probs, labels = predictor.mean_on_tests(opened)
    # What never comes calibrates nothing, and is in no set.
    never = np.zeros(len(plan.classes), bool)
    if plan.priors is not None:
        never = (plan.priors[1] == 0) & (plan.counts > 0)
    kept = np.flatnonzero(~never[labels])
    units, told = trained.test_groups(opened[0].run), ""
    if units is not None:  # one image of each speaks for a new one
        kept = kept[conformal.one_of_each(labels[kept], units[kept])]
        told = f", one of each class in each of {len(np.unique(units))} groups"
    plans.check_calibration(plan.coverage, len(kept))
    tests = log_probs[kept], labels[kept]
    groups = longtail.groups(plan.counts)
    found = conformal.thresholds(*tests, groups, plan.coverage)
    own = sum(pool == "class" for pool in found.pool)
    say(
        f"sets: calibrated on the run's {len(kept):,} test images{told}, {own} of "
        f"{len(plan.classes)} classes by themselves; these images are no independent "
        "measure of coverage any more"
    )
    if conformal.measurable(tests[0].shape, plan.coverage):
        own = None if units is None else units[kept]
        measured = conformal.split_coverage(*tests, groups, plan.coverage, units=own)
        if measured is None:
            return np.where(never, -np.inf, found.score)
        of_all = measured["groups"]["all"]
        say(
            f"from one half of them to the other: {100 * of_all['coverage']:.1f} % "
            f"covered, {of_all['size']:.2f} labels in a set"
        )
    return np.where(never, -np.inf, found.score)


def _seen(images, see):
    """Pairs of a `Batch` and what is `Seen`, given out when the next is under way."""
    parts = -(-images.count // _BATCH)
    size = -(-images.count // parts)
    waiting, first = None, 0
    with unlabelled.batches(images, size) as batches:
        for batch in batches:
            # Always as many, so that one program is compiled.
            filled = np.zeros((size, *batch.image.shape[1:]), np.uint8)
            filled[: len(batch.image)] = batch.image
            seen = {"image": filled}
            if images.meta is not None:
                known = images.meta[first : first + len(batch.image)]
                seen["meta"] = np.zeros((size, known.shape[1]), np.float32)
                seen["meta"][: len(known)] = known
            first += len(batch.image)
            started = batch, see(seen)
            if waiting:
                yield waiting
            waiting = started
        if waiting:
            yield waiting


def _known(images, parts):
    """What is said of the metadata that a run has learned, in lines."""
    if not parts:
        return
    wanted = ", ".join(map(shown, meta.columns(parts)))
    if images.meta is None:
        yield (
            f"the run has learned from {wanted}, and these images come without: "
            "predicted as if nothing were known; a .csv with these columns tells more"
        )
        return
    lacks = {column: rows for column, rows in images.silent.items() if rows}
    told = ", ".join(f"{shown(column)} in {n:,}" for column, n in lacks.items())
    yield f"metadata: {wanted}; " + (
        f"missing, of {images.count:,} rows: {told}" if lacks else "none missing"
    )


def _columns(key, plan):
    """Names of the columns, and what their cells are."""
    label = str if isinstance(plan.classes[0], str) else int
    columns = {key: str if key == "path" else int, "label": label, "probability": float}
    for at in range(2, 1 + min(_LABELS, len(plan.classes))):
        columns |= {f"label_{at}": label, f"probability_{at}": float}
    columns["entropy"] = float
    if plan.samples:
        columns |= {"dispersion_representation": float, "dispersion_probability": float}
    if plan.coverage is not None:
        columns["set"] = list[label]
    return {**columns, "problem": str}


def _rows(key, batch, seen, plan, limit):
    """The cells of a batch by column."""
    count = len(batch.names)
    good = [not problem for problem in batch.problems]

    def cells(values):
        return [value if kept else None for value, kept in zip(values, good)]

    top, which = jax.lax.top_k(seen.log_probs, min(_LABELS, len(plan.classes)))
    rows = {key: batch.names, "problem": [reason or None for reason in batch.problems]}
    for at, (value, name) in enumerate(zip(np.exp(top).T, np.asarray(which).T), 1):
        end = "" if at == 1 else f"_{at}"
        rows[f"label{end}"] = cells(plan.classes[number] for number in name)
        rows[f"probability{end}"] = cells(value)
    log_probs = np.asarray(seen.log_probs, np.float64)[:count]
    entropy = -(np.exp(log_probs) * log_probs).sum(1) + 0.0  # no -0
    rows["entropy"] = cells(entropy.astype(np.float32))
    if plan.samples:
        rows["dispersion_representation"] = cells(np.asarray(seen.representation))
        rows["dispersion_probability"] = cells(np.asarray(seen.probability))
    if limit is not None:
        inside = conformal.sets(log_probs, limit)
        rows["set"] = cells(
            _set(*pair, plan.classes) for pair in zip(log_probs, inside)
        )
    return rows


def _weigh(best, rows, batch, seen):
    """Adds the images of a batch that can be read to the `worth.Candidates`."""
    good = [at for at, problem in enumerate(batch.problems) if not problem]
    doubt = seen.probability if seen.probability is not None else rows["entropy"]
    doubt = np.array([doubt[at] for at in good], float)
    place = np.exp(seen.log_probs) if seen.place is None else np.asarray(seen.place)
    place = place.reshape(len(place), -1)[good]
    best.add(doubt, place, [{n: cells[at] for n, cells in rows.items()} for at in good])


def _columns_of(rows, columns):
    """Lists of cells by column, of rows one after another."""
    return {name: [row[name] for row in rows] for name in columns}


def _set(log_probs, inside, classes):
    """The labels of a set, the most probable first."""
    numbers = np.flatnonzero(inside)
    order = np.argsort(-log_probs[numbers], kind="stable")
    return [classes[number] for number in numbers[order]]


def _tell(images, done, out, seconds, say):
    shape = images.shape
    if done["resized"]:
        say(
            f"images of another size: {done['resized']:,}, scaled to {shape.height} x "
            f"{shape.width} pixels, without what is beside, as in training"
        )
    if done["recoloured"]:
        how = "made grey" if shape.channels == 1 else "given three channels"
        say(f"images of other colours: {done['recoloured']:,}, {how}")
    if images.ignored:
        say(entries.told(images.ignored))
    if done["problems"]:
        say(
            f"files that gave no image: {done['problems']:,}, whose rows have no label "
            "and say why in the column problem"
        )
    rate = done["images"] / max(seconds, 1e-9)
    say(
        f"rows in {shown(out)}: {done['images']:,}; {seconds:.1f} s, {rate:,.0f} "
        "images/s"
    )
