"""Stage one: a backbone's epochs, what is told of them, saved, and where they stop."""

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax

from ltjax.representation import step
from ltjax.representation.backbone import Backbone
from ltjax.runtime import devices
from ltjax.runtime.stopping import Stopped
from ltjax.stages import backbones, curve, deviations, divergence, means
from ltjax.stages import system as systems
from ltjax.stages.deviations import OnDevice
from ltjax.stages.loader import Epochs, Loader, in_words
from ltjax.workdir.workdir import Workdir


class Training(NamedTuple):
    """A backbone in training."""

    backbone: Backbone
    loader: Loader
    folder: Workdir
    epochs: Epochs
    store: OnDevice
    prepare: partial  # (key, state, batch) -> the batch as a step gets it
    watch: Callable  # (state) -> what an epoch's event says of held-out images


@dataclasses.dataclass
class Account:
    """What an epoch came to so far, which a checkpoint within it has as its note."""

    loss: list = dataclasses.field(default_factory=list)  # of each step
    accuracy: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def add(self, piece):
        """Adds what a `loader.Piece` came to."""
        self.loss += piece.history["loss"].tolist()
        self.accuracy += piece.history["accuracy"].tolist()
        self.seconds += piece.seconds

    def means(self):
        """Loss and accuracy of the steps so far."""
        return tuple(sum(m) / len(m) for m in (self.loss, self.accuracy))


def train(backbone, system, loader, folder, place="device"):
    """Trains a `Backbone` and returns the posterior over weights that is tested.

    All backbones see the same initial weights, batches and augmentations. An unfinished
    training goes on from its newest checkpoint, on any number of devices. What is
    returned lies whole on each of them, the deviations where `place` says, which is
    "device", "sharded" or "host".

    Raises `Mistake` at a step that is not finite, which is not taken and told in
    `divergence.npz`, and `Stopped` where the run was asked to stop.
    """
    store = deviations.of(backbone, place)

    def begin(variables):
        key = jax.random.fold_in(jax.random.clone(loader.keys.init), 1)
        carry = backbones.begun(backbone, system.objective, key, variables)
        return store.begun(carry)

    def program(fixed):
        apply = systems.apply(systems.network(system, fixed))
        advance = step.of_objective(apply, system.objective, backbone.tx)
        prepare = partial(systems.prepare, system, fixed)
        return advance, prepare, backbone.collect

    variables = system.begin(jax.random.clone(loader.keys.init))
    shapes = jax.eval_shape(begin, variables)
    placed = store.shardings(shapes)
    fixed = devices.whole(system.fixed)
    training = Training(
        backbone=backbone,
        loader=loader,
        folder=folder,
        epochs=loader.epochs(program, fixed, placed),
        store=store,
        prepare=partial(systems.prepare, system, fixed),
        watch=curve.of(system, loader),
    )

    def first():
        begun = means.begun(system, loader, variables)
        return jax.jit(begin, out_shardings=placed)(begun)

    carry = _epochs(training, shapes, first)
    return backbone.weights(*carry)


def _epochs(training, shapes, begin):
    """The carry after all epochs, from the newest checkpoint on, or from `begin()`.

    `shapes` are those of a carry.
    """
    name, store, folder = training.backbone.name, training.store, training.folder
    steps, total = training.loader.task.steps, training.loader.task.epochs
    series = folder.series(name)
    saved = series.newest(store.like(shapes))
    if saved is None:
        done, first, carry, account = 0, 0, begin(), Account()
    else:
        (done, first), carry, note = saved
        carry, account = store.resumed(carry), Account(**note or {})
    if done < total:
        series.forget_what_followed()
    if first >= steps:  # its epoch had more steps, before an accepted change
        done, first, account = done + 1, 0, Account()
        series.save((done,), store.whole(carry))
    with folder.stage(f"train {name}", total, done) as advance:
        for number in range(done, total):
            pieces = training.epochs.pieces(number, carry, first)
            with contextlib.closing(pieces):
                for piece in pieces:
                    if not piece.history["finite"].all():
                        _refuse(training, number, piece)
                    account.add(piece)
                    carry, ended = piece.carry, piece.last == steps
                    whole = store.whole(carry)
                    # Told before it is saved: a kill in between repeats the event.
                    words = _tell(training, number, account, piece)
                    advance(words, to=number + piece.last / steps)
                    code = folder.asked()
                    if code or series.due(ended, final=ended and number + 1 == total):
                        if ended:
                            series.save((number + 1,), whole)
                        else:
                            note = dataclasses.asdict(account)
                            series.save((number, piece.last), whole, note)
                    if code:
                        raise Stopped(
                            code,
                            f"{name}, epoch {number + 1} of {total}, "
                            f"step {piece.last} of {steps}",
                        )
            first, account = 0, Account()
    return store.whole(carry)


def _tell(training, number, account, piece):
    """The epoch so far in words; at its end, the same is written as an event."""
    steps = training.loader.task.steps
    loss, accuracy = account.means()
    rate = float(training.backbone.rate(number * steps + piece.last - 1))
    figures = f"loss {loss:.3f}, acc {100 * accuracy:.1f} %, lr {rate:.3g}"
    if piece.last == steps:
        watched = training.watch(piece.carry[0])
        for told in watched.values():
            figures += f", held out {told['acc']['all']:.1f} %"
        training.folder.event(
            event="epoch",
            backbone=training.backbone.name,
            epoch=number + 1,
            loss=loss,
            accuracy=accuracy,
            lr=rate,
            stage="representation",
            seconds=account.seconds,
            **piece.pace,
            **watched,
        )
    return figures + in_words(piece.pace)


def _refuse(training, number, piece):
    """Raises `Mistake` for the last step of a piece, which was not finite."""
    state, task = piece.carry[0], training.loader.task
    batch, rows = training.epochs.batch(number, piece.last - 1)
    at = number * task.steps + piece.last - 1
    found = divergence.Step(
        backbone=training.backbone.name,
        step=at,
        steps=task.steps,
        rate=float(training.backbone.rate(at)),
        loss=float(piece.history["loss"][-1]),
        rows=rows,
        counts=task.counts,
    )
    # Each step has its own key, and so has what is recomputed of it.
    key = jax.random.fold_in(training.loader.keys.prepare, state.step)
    prepare = jax.jit(training.prepare)
    divergence.refuse(
        training.folder.path, found, state, lambda: prepare(key, state, batch)
    )
