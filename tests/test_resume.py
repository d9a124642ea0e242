"""Runs that are killed, stopped and damaged come to the same bits."""

import dataclasses
import io
import json
import shutil

import jax
import numpy as np
import pytest
from rich.console import Console
from tiny import OFTEN, Place, quiet, timeless

from ltjax.config import Classifier
from ltjax.mistake import Mistake
from ltjax.run import run
from ltjax.runtime.stopping import Stopped
from ltjax.stages import loader
from ltjax.workdir import adoption, checkpoint, events, lock
from ltjax.workdir.events import Writer


@pytest.fixture(scope="module")
def place(tmp_path_factory, thin):
    """A finished run of few classifiers; not to be changed."""
    heads = Classifier(methods=("la", "srepr"), epochs=2, batch_size=16, views=1)
    path = tmp_path_factory.mktemp("place")
    return Place(path, classifier=heads, checkpoint=OFTEN)


class Killed(BaseException):
    """The end of a process, as far as the code of the run can see."""


def before_event(patch, wanted):
    """Ends the run just before it writes the first event that has these entries."""
    write = Writer.write

    def writing(self, event):
        if wanted.items() <= event.items():
            raise Killed
        write(self, event)

    patch.setattr(Writer, "write", writing)


def around(patch, name, path_end, before):
    """Ends the run before or after it calls `checkpoint.name` for this path."""
    call = getattr(checkpoint, name)

    def calling(path, *args):
        ends = path.parts[-len(path_end.split("/")) :] == tuple(path_end.split("/"))
        if ends and before:
            raise Killed
        call(path, *args)
        if ends:
            raise Killed

    patch.setattr(checkpoint, name, calling)


def assert_same_bits(place, out):
    """Every array and figure that the two runs hold, of each backbone the last."""
    for record in sorted((place.out / "checkpoints").rglob("record.json")):
        path = out / record.parent.relative_to(place.out)
        if path.name[0] in "0123":  # of a backbone, older than the last
            continue
        wanted = checkpoint.load_as_saved(record.parent)
        found = checkpoint.load_as_saved(path)
        pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
        for ours, theirs in pairs:
            assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes(), path
    results = json.loads((out / "results.json").read_text())
    assert timeless(results) == timeless(place.results)
    classes = json.loads((out / "classes.json").read_text())
    assert classes == place.read("classes.json")


def assert_same_epochs(place, out):
    """What is told of the epochs, told twice or not."""

    def told(out):
        epochs = [e for e in events.events(out) if e["event"] == "epoch"]
        return {
            (e["backbone"], e["epoch"]): (e["loss"], e["accuracy"], e["lr"])
            for e in epochs
        }

    assert told(out) == told(place.out)
    assert len(told(out)) == 8


def asked(times):
    """A `stopping` that gives a code when it is asked for the last of so many times."""
    answers = iter([None] * (times - 1) + [75])
    return lambda: next(answers)


def test_a_run_that_is_killed_and_stopped_again_and_again_is_the_same_run(
    place, tmp_path, monkeypatch
):
    # Pieces of one step each; those of the undisturbed run grew.
    monkeypatch.setattr(loader.Ruler, "took", lambda self, steps, seconds: None)
    out = tmp_path / "x"
    ends = (
        lambda patch: around(patch, "save", "sgd/0-1", before=False),
        # In the middle of a save, and of one that replaces what that left.
        lambda patch: around(patch, "seal", "sgd/2-1", before=True),
        lambda patch: around(patch, "_compare", "sgd/2-1", before=True),
        # Between two epochs that give snapshots, and after one within an epoch.
        lambda patch: before_event(patch, {"backbone": "swa", "epoch": 3}),
        lambda patch: around(patch, "save", "swa/3-2", before=False),
        lambda patch: around(patch, "seal", "heads/swa/4", before=True),
    )
    said = io.StringIO()
    for end in ends:
        with monkeypatch.context() as patch:
            end(patch)
            with pytest.raises(Killed):
                run(place.config, out, Console(file=said, width=500))
        assert not (out / "results.json").exists()
        # A process may die in the middle of a line, too.
        with (out / "metrics.jsonl").open("a") as file:
            file.write('{"event": "ro')
    with pytest.raises(Stopped) as caught:
        run(place.config, out, quiet(), stopping=asked(1))
    assert caught.value.code == 75
    assert caught.value.where == "heads/swa/swa-srepr-b"
    run(place.config, out, quiet())
    assert_same_bits(place, out)
    assert_same_epochs(place, out)
    sessions = json.loads((out / "versions.json").read_text())
    assert len(sessions) == len(ends) + 2
    lines = said.getvalue().splitlines()
    for path in ("sgd/2-1", "heads/swa/4"):
        line = f"{out}/checkpoints/{path} cannot be used: it has no record, so it was"
        assert any(found.startswith(line) for found in lines) == (path == "sgd/2-1")


def test_a_stopped_training_says_where_and_goes_on(place, tmp_path):
    out = tmp_path / "x"
    with pytest.raises(Stopped) as caught:
        run(place.config, out, quiet(), stopping=asked(1))
    assert caught.value.where == "sgd, epoch 1 of 4, step 1 of 3"
    (path,) = checkpoint.steps(out / "checkpoints" / "sgd")
    assert checkpoint.position(path) == (0, 1)
    assert checkpoint.damage(path) is None
    assert set(checkpoint.note(path)) == {"loss", "accuracy", "seconds"}


def largest(path):
    files = (file for file in (path / "state").rglob("*") if file.is_file())
    return max(files, key=lambda file: file.stat().st_size)


def test_harm_is_told_and_mended(place, tmp_path):
    out = tmp_path / "x"
    shutil.copytree(place.out, out)
    (out / "results.json").write_text('{"rows": [')
    kept = out / "checkpoints"
    newest, older = checkpoint.steps(kept / "sgd")
    file = largest(newest)
    file.write_bytes(file.read_bytes()[:-100])
    (features,) = checkpoint.steps(kept / "features" / "swa")
    file = largest(features)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    (heads,) = checkpoint.steps(kept / "heads" / "swa")
    largest(heads).unlink()
    console = Console(file=io.StringIO(), width=500)
    run(place.config, out, console)
    assert_same_bits(place, out)
    lines = console.file.getvalue().splitlines()
    told = [line for line in lines if "cannot be used" in line or "damaged" in line]
    assert len(told) == 4
    assert f"{out}/results.json is damaged" in told[0]
    assert told[1].startswith(f"{newest} cannot be used: state")
    assert told[1].endswith("is not what was written")
    assert told[2].startswith(f"{features} cannot be used: state")
    assert told[3].startswith(f"{heads} cannot be used: state")
    assert told[3].endswith("is missing")
    # The one before the newest was used.
    assert checkpoint.position(older) == (3, 0)
    trained = [e["epoch"] for e in events.events(out) if e.get("backbone") == "sgd"]
    assert trained == [1, 2, 3, 4, 4]
    assert not list(kept.rglob("*.damaged"))


def test_a_folder_in_use_is_refused_in_one_line(place, tmp_path):
    out = tmp_path / "x"
    shutil.copytree(place.out, out)
    with lock.held(out):
        # A finished run answers nevertheless.
        assert run(place.config, out, quiet()) == place.results
        (out / "results.json").unlink()
        with pytest.raises(Mistake, match=f"^--out {out} is in use by process"):
            run(place.config, out, quiet())


def test_deviations_on_the_host_change_rounding_only(place, tmp_path):
    """Both backbones, of which only one has deviations."""
    swa = dataclasses.replace(place.config.swa, place="host")
    config = dataclasses.replace(place.config, swa=swa)
    results = run(config, tmp_path / "x", quiet())
    for row, same in zip(results["rows"], place.results["rows"], strict=True):
        # The same numbers, folded by NumPy instead of the compiler.
        assert row["nll"] == pytest.approx(same["nll"], rel=1e-3)


def test_what_went_on_with_changes_is_not_taken_over(place, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(place.out, other)
    optim = dataclasses.replace(place.config.optim, weight_decay=0.1)
    changed = dataclasses.replace(place.config, optim=optim)
    results = run(changed, other, quiet(), accept_changes=True)
    assert results["changes"][0]["differences"] == [
        "optim.weight_decay was 0.0005, now 0.1"
    ]
    with pytest.raises(
        Mistake, match=r"trained otherwise: it went on with optim\.weig"
    ):
        run(changed, tmp_path / "new", quiet(), stage_one=other)
    assert not (tmp_path / "new").exists()


def test_an_accepted_change_to_fewer_steps_an_epoch(place, tmp_path):
    """A checkpoint within an epoch that has fewer steps now is at that epoch's end."""
    out = tmp_path / "x"
    with pytest.raises(Stopped):  # three steps an epoch, the first a piece of its own
        run(place.config, out, quiet(), stopping=asked(1))
    at = checkpoint.position(checkpoint.steps(out / "checkpoints" / "sgd")[0])
    assert at[1] > 0
    optim = dataclasses.replace(place.config.optim, batch_size=48)
    changed = dataclasses.replace(place.config, optim=optim)
    results = run(changed, out, quiet(), accept_changes=True)
    assert "optim.batch_size" in results["changes"][0]["differences"][0]
    last = checkpoint.steps(out / "checkpoints" / "sgd")[0]
    assert checkpoint.position(last) == (4, 0)


def test_an_adoption_that_was_killed_is_done_again(place, tmp_path):
    out = tmp_path / "x"
    (out / "checkpoints" / "sgd").mkdir(parents=True)
    adoption.adopt(out, place.out, place.config, ("sgd",))
    assert checkpoint.position(checkpoint.steps(out / "checkpoints" / "sgd")[0])[0] == 4
