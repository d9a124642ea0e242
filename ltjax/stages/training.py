"""The epochs of a backbone: what is told of them, what is saved, where they stop."""

import contextlib
import dataclasses
from collections.abc import Callable

import jax

from ltjax.runtime import progress
from ltjax.runtime.stopping import Stopped
from ltjax.stages import divergence
from ltjax.stages.deviations import OnDevice
from ltjax.stages.epochs import Epochs, in_words
from ltjax.workdir.series import Series


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """What the training of a backbone is made of."""

    name: str
    steps: int  # of an epoch
    rate: Callable  # of the step
    epochs: Epochs
    store: OnDevice
    prepare: Callable  # (key, batch) -> the batch as a step gets it


@dataclasses.dataclass
class Account:
    """What an epoch came to so far, which a checkpoint within it has as its note."""

    loss: list = dataclasses.field(default_factory=list)  # of each step
    accuracy: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def add(self, piece):
        """Adds what a `epochs.Piece` came to."""
        self.loss += piece.history["loss"].tolist()
        self.accuracy += piece.history["accuracy"].tolist()
        self.seconds += piece.seconds

    def means(self):
        """Loss and accuracy of the steps so far."""
        return tuple(sum(m) / len(m) for m in (self.loss, self.accuracy))


def run(session, parts, shapes, begin):
    """The carry after all epochs, from the newest checkpoint on, or from `begin()`.

    `shapes` are those of a carry.
    """
    total = session.config.optim.epochs
    keeper = Series(session, parts.name, session.config.checkpoint.keep)
    saved = keeper.newest(parts.store.like(shapes))
    if saved is None:
        done, first, carry, account = 0, 0, begin(), Account()
    else:
        (done, first), carry, note = saved
        carry, account = parts.store.resumed(carry), Account(**note or {})
    if done < total:
        keeper.forget_what_followed()
    if first >= parts.steps:  # its epoch had more steps, before an accepted change
        done, first, account = done + 1, 0, Account()
        keeper.save((done,), parts.store.whole(carry))
    with progress.stage(session.console, f"train {parts.name}", total, done) as advance:
        for number in range(done, total):
            pieces = parts.epochs.pieces(number, carry, first)
            with contextlib.closing(pieces):
                for piece in pieces:
                    if not piece.history["finite"].all():
                        _refuse(session, parts, number, piece)
                    account.add(piece)
                    carry, ended = piece.carry, piece.last == parts.steps
                    whole = parts.store.whole(carry)
                    # Told before it is saved: a kill in between repeats the event.
                    words = _tell(session, parts, number, account, piece)
                    advance(words, to=number + piece.last / parts.steps)
                    code = session.asked()
                    if code or keeper.due(ended, final=ended and number + 1 == total):
                        if ended:
                            keeper.save((number + 1,), whole)
                        else:
                            note = dataclasses.asdict(account)
                            keeper.save((number, piece.last), whole, note)
                    if code:
                        raise Stopped(
                            code,
                            f"{parts.name}, epoch {number + 1} of {total}, "
                            f"step {piece.last} of {parts.steps}",
                        )
            first, account = 0, Account()
    return parts.store.whole(carry)


def _tell(session, parts, number, account, piece):
    """The epoch so far in words; at its end, the same is written as an event."""
    loss, accuracy = account.means()
    rate = float(parts.rate(number * parts.steps + piece.last - 1))
    if piece.last == parts.steps:
        session.writer.write(
            {
                "event": "epoch",
                "backbone": parts.name,
                "epoch": number + 1,
                "loss": loss,
                "accuracy": accuracy,
                "lr": rate,
                "stage": "representation",
                "seconds": account.seconds,
                **piece.pace,
            }
        )
    figures = f"loss {loss:.3f}, acc {100 * accuracy:.1f} %, lr {rate:.3g}"
    return figures + in_words(piece.pace)


def _refuse(session, parts, number, piece):
    """Raises `Mistake` for the last step of a piece, which was not finite."""
    state = piece.carry[0]
    batch, rows = parts.epochs.batch(number, piece.last - 1)
    at = number * parts.steps + piece.last - 1
    found = divergence.Step(
        backbone=parts.name,
        step=at,
        steps=parts.steps,
        rate=float(parts.rate(at)),
        loss=float(piece.history["loss"][-1]),
        rows=rows,
        counts=session.index.counts,
    )
    # Each step has its own key, and so has what is recomputed of it.
    key = jax.random.fold_in(session.keys.prepare, state.step)
    prepare = jax.jit(parts.prepare)
    divergence.refuse(session.out, found, state, lambda: prepare(key, batch))
