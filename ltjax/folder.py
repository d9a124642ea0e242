"""The folder of a run: whose it is, what made it, what came out."""

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import platform
import shutil

import jax

import ltjax
from ltjax import checkpoint, identity, lock, machine
from ltjax.mistake import Mistake
from ltjax.report.writer import unfinished, write_json
from ltjax.revision import commit

# What decides the shapes of what is saved.
_SHAPES = (
    *("model.", "swa.rank", "swa.dtype", "posterior.samples"),
    *("data.classes", "classes were"),
)

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def check(path, run, accept=False):
    """In what `path` differs from the folder of `run`, in words.

    `run` is an `identity.of_run`. Nothing where it is that folder, or is empty or not
    there. Raises `Mistake` if it holds anything else: another run too, unless changes
    are accepted.
    """
    record = path / "config.json"
    with writable(path):  # a name that is too long is not even looked up
        there = path.exists()
    if there and not path.is_dir():
        raise Mistake(f"--out {path} is a file; it must be a folder or not exist")
    if record.exists():
        found = identity.recorded_differences(record, run)
        if found is None:
            raise Mistake(f"{record} is not a run's config; give another --out")
        return _accepted(path, found, accept)
    # A process killed at this very point leaves its unfinished record.
    ours = {unfinished(record), lock.NAME}
    if there and {file.name for file in path.iterdir()} - ours:
        raise Mistake(f"--out {path} holds other files; give a new or empty folder")
    return []


def claim(path, config, run, accept=False):
    """Makes `path` the folder of this run, or finds it so.

    `run` is the config's `identity.of_run`. Differences that are accepted are recorded.
    Raises `Mistake`, with nothing written, where `check` does, and where an unfinished
    run was begun with versions that would go on otherwise.
    """
    record, ours = path / "config.json", versions()
    found = check(path, run, accept)
    whole = {"run": run, "config": dataclasses.asdict(config), "versions": ours}
    if record.exists():
        before = read_json(record)
        theirs = before.get("versions", {})
        found += _accepted(path, list(identity.differences(theirs, ours)), accept)
        if not found:
            return
        change = {"at": _now(), "differences": found}
        whole["changes"] = [*before.get("changes", []), change]
    with writable(path):
        path.mkdir(parents=True, exist_ok=True)
        # What was made of the backbones was made under other settings.
        for stage in ("features", "heads") if found else ():
            shutil.rmtree(path / "checkpoints" / stage, ignore_errors=True)
        if found and (path / "results.json").exists():
            number = len(whole["changes"])
            (path / "results.json").rename(path / f"results-before-{number}.json")
        write_json(record, whole)


def changes(path):
    """The changes that were accepted in a run's folder, oldest first."""
    return read_json(path / "config.json").get("changes", [])


def results(path, say):
    """The results of a finished run, or None; damaged ones are told and set aside."""
    file = path / "results.json"
    if not file.exists():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        say(f"{file} is damaged ({error}); it is made again")
        return None


def made(run):
    """What checkpoints tell of an `identity.of_run`, and of what made them."""
    config = json.dumps(run["config"], sort_keys=True).encode()
    return {
        "config": hashlib.sha256(config).hexdigest()[:16],
        "data": run["data"],
        "versions": {"ltjax": ltjax.__version__, **_packages()},
    }


def _accepted(path, differences, accept):
    for difference in differences:
        if difference.startswith(_SHAPES):
            raise Mistake(
                f"--out {path} holds another run: {difference}; give another --out, as "
                "what it has saved does not fit"
            )
    if differences and not accept:
        raise Mistake(
            f"--out {path} holds another run: {differences[0]}; give another --out, or "
            "--accept-changes to go on with what it has"
        )
    return differences


def versions():
    """What a run that goes on has to share with the one that began, to be the same."""
    return {
        "checkpoint format": checkpoint.FORMAT,
        "ltjax": _minor(ltjax.__version__),
        "jax": _minor(jax.__version__),
    }


def _minor(version):
    return ".".join(version.split(".")[:2])


def _now():
    return datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")


@contextlib.contextmanager
def writable(path):
    """A context in which a folder that cannot be written is told in one line."""
    try:
        yield
    except OSError as error:  # which has no `strerror` where it is shutil's
        reason = error.strerror or str(error).splitlines()[0]
        raise Mistake(f"--out {path} cannot be written: {reason}") from error


def record_versions(path, say=lambda line: None):
    """Adds this process to `versions.json`: time, commit, packages, devices, processor.

    Says where the run began on others, which round otherwise.
    """
    file = path / "versions.json"
    sessions = read_json(file) if file.exists() else []
    sessions.append(
        {
            "started": _now(),
            "commit": commit(),
            "python": platform.python_version(),
            "packages": {
                "ltjax": ltjax.__version__,
                **_packages(),
            },
            "devices": [device.device_kind for device in jax.devices()],
            "processor": machine.processor(),
        }
    )
    began, now = _calculator(sessions[0]), _calculator(sessions[-1])
    if began and began != now:
        say(
            f"this run began on {began}; here is {now}, where sums round otherwise: "
            "the last bits will differ"
        )
    with writable(path):
        write_json(file, sessions)


def _calculator(session):
    """What a session's numbers come from, in words; None where an old one has none."""
    kind = session["devices"][0]
    return session.get("processor") if kind == "cpu" else kind


def _packages():
    # Without ltjax itself: a checkout need not be installed.
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def record_skipped(path, data, console):
    """Lists the files that gave no image in `skipped.json`, if there are any."""
    if data.skipped:
        with writable(path):
            write_json(path / "skipped.json", [file._asdict() for file in data.skipped])
        console.print(
            f"{len(data.skipped)} files cannot be read and are left out; they are "
            f"listed in {path / 'skipped.json'}",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


def read_json(file):
    """What a JSON file of a run's folder holds."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Mistake(f"{file} is damaged ({error}); delete it") from error


def events(path):
    """The events of `metrics.jsonl` so far; a line cut short by a kill is left out."""
    file = path / "metrics.jsonl"
    if not file.exists():
        return []
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def last_events(path):
    """The same; of one that a kill made be repeated the last, which led to what is."""
    names = ("event", "backbone", "epoch", "row", "name")
    last = {tuple(event.get(name) for name in names): event for event in events(path)}
    return list(last.values())


def seconds_per_stage(path):
    """Seconds of each stage over all processes that worked on the run."""
    seconds = {}
    for event in last_events(path):
        if "stage" in event and isinstance(event.get("seconds"), int | float):
            stage = event["stage"]
            seconds[stage] = seconds.get(stage, 0.0) + event["seconds"]
    return seconds
