"""Trees that are made one after another, and kept in one checkpoint."""

from ltjax.runtime.stopping import Stopped
from ltjax.workdir import checkpoint
from ltjax.workdir.series import Series


class Cache:
    """The features of a backbone, or its classifiers: what an earlier process made too.

    The checkpoint is replaced by a larger one as often as `Series.due` allows.
    """

    def __init__(self, workdir, name):
        """Opens what the run has kept under `name`; its trees are in NumPy arrays."""
        self._workdir, self._name = workdir, name
        self._series = Series(workdir, name, keep=1)
        found = self._series.newest()
        _, self._trees, self._notes = found or (None, {}, {})
        self._kept = len(self._trees)

    def get(self, name, make, like=None):
        """The (tree, note) of that name: as kept, or what `make()` returns.

        Raises `Mistake` if what is kept has not the shapes and types of `like()`, and
        `Stopped` where the run was asked to stop and something was made.
        """
        if name in self._trees:
            if like is not None:
                where = self._series.folder / name
                checkpoint.refuse_difference(where, self._trees[name], like())
            return self._trees[name], self._notes.get(name)
        self._trees[name], self._notes[name] = make()
        code = self._workdir.asked()
        if code or self._series.due(ended=True, final=False):
            self.close()
        if code:
            raise Stopped(code, f"{self._name}/{name}")
        return self._trees[name], self._notes[name]

    def close(self):
        """Saves what is new."""
        if len(self._trees) > self._kept:
            self._kept = len(self._trees)
            self._series.save((self._kept,), self._trees, self._notes)
