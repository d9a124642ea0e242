"""The features of a backbone: each array in a file, and where a run has it."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.config import Augment
from ltjax.mistake import Mistake
from ltjax.runtime import devices, hosts
from ltjax.runtime.stopping import Stopped
from ltjax.stages import memory
from ltjax.workdir import checkpoint, feature_file


def views(config):
    """How many views of the training images a run keeps; None: fresh ones each epoch.

    Not more than there are epochs, and one of images that are not augmented: more would
    be the same again.
    """
    wanted = config.classifier.views
    if wanted is None:
        return None
    augments = config.augment != Augment()
    return min(wanted, config.classifier.epochs) if augments else 1


def folder(out, name):
    """Where the run in `out` keeps what it made of the backbone `name`."""
    return out / "checkpoints" / "features" / name


def placed(file):
    """The array in a sealed file: on the first device where that has room for it.

    Otherwise it is mapped: what is used of it is read.
    """
    array = feature_file.mapped(file)
    if not memory.device_has_room(array.nbytes):
        return array
    return devices.local(np.ascontiguousarray(feature_file.loaded(file)))


def joined(parts, shape, on_device):
    """The array of this shape that parts [members, n, ...] make, in float32."""
    if on_device:
        parts = list(parts)
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)
    members, count, *rest = shape
    # As in a file, image after image.
    whole, done = np.empty((count, members, *rest), np.float32), 0
    for part in parts:
        rows = slice(done, done + part.shape[1])
        whole[rows] = np.moveaxis(np.asarray(part), 1, 0)
        done = rows.stop
    return np.moveaxis(whole, 1, 0)


class Bank:
    """Features that an earlier process made too, as a run holds them.

    All lie on the first device, if there is room, and otherwise in NumPy arrays, in
    memory or mapped from their files.
    """

    def __init__(self, workdir, name, on_device, place):
        """Of the backbone `name`; `place` is "memory" or "file"."""
        self._workdir, self._name = workdir, name
        self._on_device, self._place = on_device, place

    def get(self, what, like, parts):
        """The array [members, N, ...] of that name, of the shape and type of `like`.

        As kept, or of what `parts()` gives: arrays [members, n, ...] of images that
        follow each other. Raises `Mistake` if what is kept has another shape or type,
        and `Stopped` where the run was asked to stop and something was made.
        """
        file = feature_file.file_of(folder(self._workdir.path, self._name), what)
        if self._holds(file):
            kept = {what: feature_file.mapped(file)}
            checkpoint.refuse_difference(file, kept, {what: like})
            return self._held(file)
        whole = self._make(what, file, like, parts)
        code = self._workdir.asked()
        if code:
            raise Stopped(code, f"features/{self._name}/{what}")
        return self._held(file) if whole is None else whole

    def _holds(self, file):
        """Whether the file is there and whole; what is damaged is told."""
        seen = None
        if hosts.first():
            seen = feature_file.there(file), feature_file.damage(file)
        there, wrong = hosts.gathered(seen)[0]
        if there and wrong:
            self._workdir.say(f"{file} cannot be used: {wrong}")
        return there and not wrong

    def _held(self, file):
        if self._on_device:
            return devices.local(np.ascontiguousarray(feature_file.loaded(file)))
        if self._place == "file":
            return feature_file.mapped(file)
        return feature_file.loaded(file)

    def _make(self, what, file, like, parts):
        """Writes the file; the array itself if it came whole, on the device."""
        whole, computing, begin = [], _Stopwatch(), time.monotonic()

        def each():
            for part in computing.over(parts()):
                if self._on_device and part.shape[1] == like.shape[1]:
                    whole.append(part)
                yield part

        def write():
            # Of several processes all compute, and the first one writes.
            rest = each()
            if hosts.first():
                try:
                    return feature_file.write(file, like, rest)
                except Mistake:
                    if jax.process_count() > 1:  # the others wait in what they compute
                        _drained(rest)
                    raise
            _drained(rest)
            return None

        digest = hosts.together(write)
        # Told before it is whole: a kill in between repeats the event, and loses none.
        name = f"{self._name}/{what}"
        self._tell("features", name, "features", computing.seconds)
        made = self._workdir.made
        hosts.by_first(lambda: feature_file.seal(file, like, digest, made))
        saving = time.monotonic() - begin - computing.seconds
        self._tell("save", f"features/{name}", "saving", saving)
        return devices.local(whole[0]).astype(like.dtype) if whole else None

    def _tell(self, event, name, stage, seconds):
        self._workdir.event(event=event, name=name, stage=stage, seconds=seconds)


class _Stopwatch:
    """The seconds that arrays took to be computed."""

    def __init__(self):
        """At zero."""
        self.seconds = 0.0

    def over(self, arrays):
        """Each of the arrays, when it is there."""
        arrays = iter(arrays)
        while True:
            begin = time.monotonic()
            array = jax.block_until_ready(next(arrays, None))
            self.seconds += time.monotonic() - begin
            if array is None:
                return
            yield array


def _drained(arrays):
    for _ in arrays:
        pass
