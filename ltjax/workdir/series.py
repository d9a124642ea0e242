"""The checkpoints of one stage: which one is used, when the next one is due."""

import shutil
import time

from ltjax.mistake import Mistake
from ltjax.runtime import hosts
from ltjax.workdir import checkpoint

# Saving takes at most this share of the time, where nothing else is asked for.
_SHARE = 0.02


class Series:
    """Saves what a stage has done under its name and finds what was saved."""

    def __init__(self, workdir, name, keep):
        """Of what is saved the `keep` newest ones stay."""
        self._workdir, self._name, self._keep = workdir, name, keep
        self.folder = workdir.path / "checkpoints" / name
        self._every = workdir.settings.every_seconds
        self._last, self._cost = time.monotonic(), 0.0

    def newest(self, like=None):
        """((epochs, steps), tree, note) of the newest whole checkpoint, or None.

        The tree is placed like `like`, or as it was saved in NumPy arrays. Raises
        `Mistake` where it has other shapes or types than `like`; tells where all that
        is there is damaged.
        """
        # Of several processes one may not see the newest folder of another yet.
        names = [path.name for path in checkpoint.steps(self.folder)]
        paths = [self.folder / name for name in hosts.gathered(names)[0]]
        for path in paths:
            if self._workdir.holds(path):
                try:
                    tree = (
                        checkpoint.load_as_saved(path)
                        if like is None
                        else checkpoint.load(path, like)
                    )
                except Mistake as mistake:
                    raise Mistake(f"{mistake}; give another --out") from mistake
                return checkpoint.position(path), tree, checkpoint.note(path)
        if paths:
            self._workdir.say(f"no checkpoint of {self._name} is left; it begins anew")
        return None

    def due(self, ended, final):
        """Whether to save now: at the end of an epoch, or within one.

        After `checkpoint.every_seconds`; without them at epochs' ends, as often as a
        fiftieth of the time allows; always after the final one.
        """
        every = self._every
        wait = self._cost / _SHARE if every is None else every
        passed = time.monotonic() - self._last >= wait and (ended or every is not None)
        return final or hosts.gathered(passed)[0]

    def save(self, at, tree, note=None):
        """Saves at (epochs,) or (epochs, steps), and deletes what is too old."""
        begin = time.monotonic()
        checkpoint.save_step(
            self.folder, at, tree, self._keep, note, self._workdir.made
        )
        self._last = time.monotonic()
        self._cost = self._last - begin
        self._workdir.event(
            event="save",
            name=f"{self._name}/{checkpoint.place(self.folder, at).name}",
            stage="saving",
            seconds=self._cost,
        )

    def forget_what_followed(self):
        """Deletes what was made of a backbone that is not at its end.

        There is none, but where the end was damaged, or set further away.
        """

        def forget():
            for stage in ("features", "heads"):
                stale = self.folder.with_name(stage) / self._name
                shutil.rmtree(stale, ignore_errors=True)

        hosts.by_first(forget)
