"""Used-up memory: one line and exit code 2, from every door; a run goes on."""

import json

import hosts_worker
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ltjax import main, replay
from ltjax.export import __main__ as export
from ltjax.inspect import __main__ as inspect
from ltjax.mistake import Mistake
from ltjax.predict import __main__ as predict
from ltjax.report.__main__ import main as report
from ltjax.route import __main__ as route
from ltjax.run import run
from ltjax.runtime import hosts, shortage
from ltjax.runtime.command import exit_code
from ltjax.stages import classifier
from ltjax.workdir import events

# What a GPU says, in an operation and when another process holds its memory.
GPU = (
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9663676416 bytes.\n"
    "BufferAssignment OOM Debugging.\nmore"
)
TAKEN = (
    "Unable to initialize backend 'cuda': INTERNAL: no supported devices found\n"
    "failed call to cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY: out of memory"
)
NAMED = (
    "optim.batch_size",
    "posterior.batch_size",
    "posterior.chunk",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
)


def fail(*args, **kwargs):
    raise jax.errors.JaxRuntimeError(GPU)


def one_line(captured):
    assert captured.count("\n") == 1
    for name in NAMED:
        assert name in captured
    return captured


@pytest.mark.parametrize(
    ("allocate", "whose"),
    [
        (lambda: jnp.zeros(2**45, jnp.int8).block_until_ready(), "device"),
        (lambda: np.empty(2**55, np.int8), "host"),
    ],
)
def test_memory_that_is_really_not_there(capsys, allocate, whose):
    assert exit_code(allocate, "x") == 2
    said = one_line(capsys.readouterr().err)
    assert said.startswith(f"x: the memory of the {whose} is used up (")
    assert "llocat" in said


@pytest.mark.parametrize("error", [RuntimeError(TAKEN), MemoryError()])
def test_other_words_for_it(capsys, error):
    def work():
        raise error

    assert exit_code(work) == 2
    one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    "error", [RuntimeError("INTERNAL: a fault"), ValueError("RESOURCE_EXHAUSTED")]
)
def test_every_other_failure_is_our_own(error):
    def work():
        raise error

    with pytest.raises(type(error)):
        exit_code(work)
    assert shortage.told(error) is None


@pytest.mark.parametrize(
    ("door", "where", "args"),
    [
        (predict.main, "ltjax.predict.story.predict", "run x --out y.csv"),
        (route.main, "ltjax.route.story.route", "run --out y.json"),
        (replay.main, "ltjax.replay.replayed", "run"),
        (export.main, "ltjax.export.story.export", "run --to npz"),
        (inspect.main, "ltjax.inspect.__main__.inspect", "photos"),
        (report, "ltjax.report.__main__.made", "run"),
    ],
)
def test_every_door(capsys, monkeypatch, door, where, args):
    monkeypatch.setattr(where, fail)
    assert door(args.split()) == 2
    assert "9663676416 bytes" in one_line(capsys.readouterr().err)


def test_what_cannot_be_brought_to_other_processes_is_told_to_them(monkeypatch):
    """With a second process that has nothing to complain about."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    fine = b'{"place": "together", "value": null, "failed": null}'
    monkeypatch.setattr(hosts, "_gathered", lambda message: [message, fine])
    with pytest.raises(Mistake, match=r"^the memory of the device is used up"):
        hosts.together(fail)


@pytest.mark.usefixtures("compiled_once")
def test_a_run_goes_on_from_where_it_was(tmp_path, capsys, monkeypatch):
    """It ends in stage two, where one of its classifiers would be trained."""
    hosts_worker.lighten(monkeypatch.setattr)
    tiny.save(tmp_path / "train.npz", [24] * tiny.CLASSES, 0)
    tiny.save(tmp_path / "test.npz", [5] * tiny.CLASSES, 1)
    file, out = tmp_path / "config.py", tmp_path / "x"
    config = hosts_worker.small(tmp_path)
    file.write_text(f"from ltjax.config import *\nconfig = {config!r}\n")
    args = ["--config", str(file), "--out", str(out), "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "fit", fail)
        assert main.main(args) == 2
    said = one_line(capsys.readouterr().err)
    assert said.startswith("ltjax: the memory of the device is used up (RESOURCE_EXH")
    assert "what was saved before is kept, the same command goes on from there" in said
    assert not (out / "results.json").exists()
    before = events.events(out)
    assert "epoch" in {event["event"] for event in before}
    assert main.main(args) == 0
    added = {event["event"] for event in events.events(out)[len(before) :]}
    assert "row" in added
    assert not added & {"epoch", "features"}  # nothing of before was made again
    results = json.loads((out / "results.json").read_text())
    undisturbed = run(config, tmp_path / "undisturbed", tiny.quiet())
    assert tiny.timeless(results) == tiny.timeless(undisturbed)
