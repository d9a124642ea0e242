"""The checkpoints of one training: which one is used, when the next one is due."""

import shutil
import time

from ltjax import checkpoint, hosts
from ltjax.mistake import Mistake

# Saving takes at most this share of the time, where nothing else is asked for.
_SHARE = 0.02


class Keeper:
    """Saves a training under its name and finds what was saved."""

    def __init__(self, session, name):
        """For the backbone `name` of a run."""
        self._session, self._name = session, name
        self._folder = session.out / "checkpoints" / name
        self._settings = session.config.checkpoint
        self._last, self._cost = time.monotonic(), 0.0

    def newest(self, like):
        """((epochs, steps), tree, note) of the newest whole checkpoint, or None.

        The tree is placed like `like`. Raises `Mistake` where it has other shapes or
        types; tells where all that is there is damaged.
        """
        # Of several processes one may not see the newest folder of another yet.
        names = [path.name for path in checkpoint.steps(self._folder)]
        paths = [self._folder / name for name in hosts.gathered(names)[0]]
        for path in paths:
            if self._session.holds(path):
                try:
                    tree = checkpoint.load(path, like)
                except Mistake as mistake:
                    raise Mistake(f"{mistake}; give another --out") from mistake
                return checkpoint.position(path), tree, checkpoint.note(path)
        if paths:
            self._session.say(f"no checkpoint of {self._name} is left; it begins anew")
        return None

    def due(self, ended, final):
        """Whether to save now: at the end of an epoch, or within one.

        After `checkpoint.every_seconds`; without them at epochs' ends, as often as a
        fiftieth of the time allows; always after the final one.
        """
        every = self._settings.every_seconds
        wait = self._cost / _SHARE if every is None else every
        passed = time.monotonic() - self._last >= wait and (ended or every is not None)
        return final or hosts.gathered(passed)[0]

    def save(self, at, tree, note=None):
        """Saves at (epochs,) or (epochs, steps), and deletes what is too old."""
        made, keep = self._session.made, self._settings.keep
        self._cost = self._session.timed(
            checkpoint.place(self._folder, at),
            lambda: checkpoint.save_step(self._folder, at, tree, keep, note, made),
        )
        self._last = time.monotonic()

    def forget_what_followed(self):
        """Deletes what was made of a backbone that is not at its end.

        There is none, but where the end was damaged, or set further away.
        """
        made = self._session.out / "checkpoints"

        def forget():
            stale = (made / "heads").glob(f"{self._name}-*")
            for path in (made / "features" / self._name, *stale):
                shutil.rmtree(path, ignore_errors=True)

        hosts.by_first(forget)
