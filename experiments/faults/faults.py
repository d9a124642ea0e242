"""What goes wrong besides kills, each as something done to a run or to its files."""

import contextlib
import os
import subprocess

from ltjax.workdir import checkpoint

RECORD = "record.json"

PROGRAM = (
    "import runpy; runpy.run_module('ltjax.main', run_name='__main__', alter_sys=True)"
)
# No file may become longer than so many bytes: writing fails as on a full disk.
_FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
# A year back at once, and from then on a minute back at every look.
_CLOCK = (
    "import itertools, time; real, turn = time.time, itertools.count(); "
    "time.time = lambda: real() - 3e7 - 60 * next(turn); "
)


def truncated(file, rng):
    """Cuts a file somewhere."""
    os.truncate(file, int(rng.integers(file.stat().st_size)))


def flipped(file, rng):
    """Changes one bit of a file."""
    content = bytearray(file.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)


def missing(file, rng):
    """Deletes a file."""
    file.unlink()


def damaged(change):
    """Builds the meeting with a checkpoint, one that is looked at next, changed."""

    def meet(runs, out, rng):
        places = used(out)
        if not places:
            return None
        place = places[rng.integers(len(places))]
        files = sorted(path for path in place.rglob("*") if path.is_file())
        # The largest one holds the arrays; now and then another one.
        large = max(files, key=lambda path: path.stat().st_size)
        change(large if rng.random() < 0.7 else files[rng.integers(len(files))], rng)
        return runs.until(out, f"{place} cannot be used")

    return meet


def places(out):
    """The checkpoints that a finished run has, by stage; of its trainings the last."""
    made = out / "checkpoints"
    found = [
        place for name in ("sgd", "swa") for place in checkpoint.steps(made / name)[:1]
    ]
    for name in ("features", "heads"):
        found += sorted(mark.parent for mark in (made / name).rglob(RECORD))
    return found


def used(out):
    """Those of them that the next process of a run reads."""
    return [place for place in places(out) if checkpoint.damage(place) is None]


def _full_disk(runs, out, rng):
    # Some more than what is told of the run already has; its arrays are longer.
    told = max((file.stat().st_size for file in out.glob("*.json*")), default=0)
    return runs.refused(out, _FULL.format(told + 4000) + PROGRAM)


def _read_only(runs, out, rng):
    with _locked(out) as locked:
        return runs.refused(out) if locked else None


def _clock_jump(runs, out, rng):
    code, _ = runs.finish(out, _CLOCK + PROGRAM)
    return code == 0


@contextlib.contextmanager
def _locked(out):
    """A context in which nothing in a folder can be written, if that can be had."""
    # Permissions do not bind root.
    root = os.geteuid() == 0
    on, off = (("chattr", "-R", sign) for sign in ("+i", "-i"))
    on, off = (on, off) if root else (("chmod", "-R", "a-w"), ("chmod", "-R", "u+w"))
    try:
        yield subprocess.run((*on, out), stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        yield False
    finally:
        with contextlib.suppress(FileNotFoundError):
            subprocess.run((*off, out), stderr=subprocess.DEVNULL)


# How each fault is met: meet(runs, out, rng) -> whether the run did what it should, or
# None where that cannot be had: there is nothing to damage yet, say.
FAULTS = {
    "truncated checkpoint": damaged(truncated),
    "bit-flipped checkpoint": damaged(flipped),
    "missing array": damaged(missing),
    "full disk": _full_disk,
    "read-only folder": _read_only,
    "clock jump": _clock_jump,
}
