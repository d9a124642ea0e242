"""The folder of a run: whose it is, what made it, what came out."""

import hashlib
import json
import shutil

import ltjax
from ltjax.config import record as records
from ltjax.mistake import Mistake
from ltjax.workdir import identity, lock
from ltjax.workdir.files import read_json, unfinished, writable, write_json
from ltjax.workdir.versions import now, packages, versions

# What decides the shapes of what is saved.
_SHAPES = (
    *("model.", "swa.rank", "swa.dtype", "posterior.samples"),
    *("data.classes", "classes were", "optim.kind", "objective.kind"),
)


def check(path, run, accept=False):
    """In what `path` differs from the folder of `run`, in words.

    `run` is an `identity.of_run`. Nothing where it is that folder, or is empty or not
    there. Raises `Mistake` if it holds anything else: another run too, unless changes
    are accepted.
    """
    check_place(path)
    record = path / "config.json"
    if record.exists():
        found = identity.recorded_differences(record, run)
        if found is None:
            raise Mistake(f"{record} is not a run's config; give another --out")
        return _accepted(path, found, accept)
    return []


def check_place(path):
    """Refuses what can be no folder of a run, whichever run it is."""
    with writable(path):  # a name that is too long is not even looked up
        there = path.exists()
    if there and not path.is_dir():
        raise Mistake(f"--out {path} is a file; it must be a folder or not exist")
    record = path / "config.json"
    # A process killed at this very point leaves its unfinished record.
    ours = {unfinished(record), lock.NAME}
    others = {file.name for file in path.iterdir()} - ours if there else ()
    if others and not record.exists():
        raise Mistake(f"--out {path} holds other files; give a new or empty folder")


def claim(path, config, run, accept=False):
    """Makes `path` the folder of this run, or finds it so.

    `run` is the config's `identity.of_run`. Differences that are accepted are recorded.
    Raises `Mistake`, with nothing written, where `check` does, and where an unfinished
    run was begun with versions that would go on otherwise.
    """
    record, ours = path / "config.json", versions()
    found = check(path, run, accept)
    whole = {"run": run, "config": records.to_json(config), "versions": ours}
    if record.exists():
        before = read_json(record)
        theirs = before.get("versions", {})
        found += _accepted(path, list(identity.differences(theirs, ours)), accept)
        if not found:
            return
        change = {"at": now(), "differences": found}
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
        "versions": {"ltjax": ltjax.__version__, **packages()},
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


def record_skipped(path, data, say):
    """Lists the files that gave no image in `skipped.json`, if there are any."""
    if data.skipped:
        with writable(path):
            write_json(path / "skipped.json", [file._asdict() for file in data.skipped])
        say(
            f"files that cannot be read and are left out: {len(data.skipped):,}, "
            f"listed in {path / 'skipped.json'}"
        )
