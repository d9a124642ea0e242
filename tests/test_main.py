"""The command line, as a user meets it: `ltjax.main.main(arguments)`."""

import dataclasses
import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ltjax import main
from ltjax.config import Augment, Classifier, Config, Data, Sgd, Srepr, Swa
from ltjax.config.command import Hosts
from ltjax.runtime.stopping import Stopped

FILE = """
from ltjax.config import Augment, Config, Data, Sgd, Swa
config = Config(
    data=Data(source="npz", train="train.npz", test="test.npz"),
    augment=Augment(flip=True),
    optim=Sgd(lr=0.3, epochs=4, warmup_epochs=1, batch_size=8),
    swa=Swa(start=2),
)
"""


def save(path, labels, image_shape=(8, 8, 3), **more):
    labels = np.asarray(labels)
    image = np.zeros((len(labels), *image_shape), np.uint8)
    np.savez(path, **{"image": image, "label": labels, **more})


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The folder a user works in: a config and two data files of three classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("mine.py").write_text(FILE)
    save("train.npz", [0] * 9 + [1] * 9 + [2] * 9)
    save("test.npz", [0, 1, 2] * 2)
    return tmp_path


# Flags


def test_the_file_gives_the_config(desk):
    config, out, *_ = main.read(["--config", "mine.py"])
    assert config.data == Data(source="npz", train="train.npz", test="test.npz")
    assert config.augment == Augment(flip=True)
    assert config.optim == Sgd(lr=0.3, epochs=4, warmup_epochs=1, batch_size=8)
    assert config.classifier == Classifier()
    assert out == Path("runs/mine-seed0")


def test_a_flag_wins_over_the_file(desk):
    config, out, *_ = main.read(
        [
            "--config=mine.py",
            "--seed",
            "1",
            "--optim.epochs",
            "20",
            "--augment.flip",
            "False",
        ]
    )
    assert (config.seed, config.optim.epochs, config.augment.flip) == (1, 20, False)
    assert config.optim.lr == 0.3
    assert out == Path("runs/mine-seed1")


@pytest.mark.parametrize(
    ("flags", "config"),
    [
        ("--data.download True", Config(data=Data(download=True))),
        ("--data.imbalance-factor 100", Config(data=Data(imbalance_factor=100.0))),
        ("--data.imbalance_factor None", Config()),
        (
            "--data.classes 7 --augment.pad 4",
            Config(data=Data(classes=7), augment=Augment(pad=4)),
        ),
        ("--data.strict", Config(data=Data(strict=True))),
        (
            "--data.strict --augment.pad 4",
            Config(data=Data(strict=True), augment=Augment(pad=4)),
        ),
        ("--data.strict True", Config(data=Data(strict=True))),
        ("--data.strict False", Config()),
        ("--optim.drop-last False", Config(optim=Sgd(drop_last=False))),
        (
            "--swa.place host --swa.dtype bfloat16",
            Config(swa=Swa(place="host", dtype="bfloat16")),
        ),
        ("--optim.lr 1e-3", Config(optim=Sgd(lr=0.001))),
        (
            "--classifier.methods la srepr",
            Config(classifier=Classifier(methods=("la", "srepr"))),
        ),
        ("--classifier.methods", Config(classifier=Classifier(methods=()))),
        ("--classifier.views None", Config(classifier=Classifier(views=None))),
        (
            "--classifier.srepr.form dirichlet",
            Config(classifier=Classifier(srepr=Srepr(form="dirichlet"))),
        ),
    ],
)
def test_flags_are_typed(desk, flags, config):
    Path("plain.py").write_text("from ltjax.config import Config\nconfig = Config()\n")
    found, *_ = main.read(["--config", "plain.py", *flags.split()])
    assert found == dataclasses.replace(config, name="plain")


def test_out_names_the_folder(desk):
    for arguments in (["--out", "x/y"], ["--out=x/y"]):
        assert main.read(["--config", "mine.py", *arguments])[1] == Path("x/y")
    arguments = ["--config", "mine.py", "--out", "None", "--name", "n"]
    assert main.read(arguments)[1] == Path("runs/n-seed0")


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("", Hosts()),
        (
            "--hosts.coordinator 10.0.0.1:1234 --hosts.count 2 --hosts.index 1",
            Hosts(coordinator="10.0.0.1:1234", count=2, index=1),
        ),
        ("--hosts.detect", Hosts(detect=True)),
        ("--hosts.detect --seed 1", Hosts(detect=True)),
    ],
)
def test_hosts_are_flags_and_no_part_of_the_config(desk, flags, found):
    config, _, command = main.read(["--config", "mine.py", *flags.split()])
    assert command.hosts == found
    assert not hasattr(config, "hosts")


@pytest.mark.parametrize("more", [(), ("--config", "mine.py")])
def test_help(desk, capsys, more):
    with pytest.raises(SystemExit) as caught:
        main.main([*more, "--help-all"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    # A flag and what it means, and a blank line now and then.
    flags = re.findall(r"(?m)^\W*--[a-z]", text)
    assert len(lines) < 60 + 3 * len(flags)
    # What a user needs first comes first.
    names = ("config", "out", "seeds", "seed", "data.source", "hosts.count")
    places = [re.search(rf"(?m)^\W*--{name} ", text).start() for name in names]
    assert places == sorted(places)
    # No line of a help ends before there is need.
    assert "or versions, and say so in the results. Its" in text
    groups = ("data", "model", "optim", "swa", "posterior", "classifier", "checkpoint")
    places = [re.search(rf"(?m)^\W*{group} options", text).start() for group in groups]
    assert places == sorted(places)
    # Defaults are those of the file, if there is one.
    assert ("(default: 0.3)" in text) == bool(more)
    assert "(default: 0.0005)" in text


def test_help_is_two_screens_and_says_where_the_rest_is(desk, capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 90
    for flag in ("--config", "--out", "--seeds", "--calibrate", "--help-all"):
        assert flag in text
    assert "--optim.lr 0.05" in text  # an example
    assert "data options" not in text


# How a command ends


def test_ctrl_c_is_told_in_one_line(desk, capsys, monkeypatch):
    def interrupted(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("ltjax.run.run", interrupted)
    assert main.main(["--config", "mine.py"]) == 130
    message = "ltjax: stopped; the same command goes on from there\n"
    assert capsys.readouterr().err == message


def test_a_run_that_was_asked_to_stop_says_how_to_go_on(desk, capsys, monkeypatch):
    def stopped(*arguments, stopping, **more):
        raise Stopped(stopping(), "sgd, epoch 1 of 4, step 2 of 3")

    monkeypatch.setattr("ltjax.run.run", stopped)
    arguments = ["--config", "mine.py", "--stop-after-minutes", "0"]
    assert main.main(arguments) == 75
    assert capsys.readouterr().err == (
        "ltjax: stopped after sgd, epoch 1 of 4, step 2 of 3; all is saved, the same "
        "command goes on\n"
    )


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C as in a terminal: what is started in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_asks_to_stop_and_a_second_one_is_not_caught(capfd, name, code):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with main.asked_to_stop(None) as stopping:
        assert stopping() is None
        os.kill(os.getpid(), number)
        assert stopping() == code
        assert signal.getsignal(number) == before
    assert capfd.readouterr().err == (
        f"ltjax: {name}, stopping; again to stop at once\n"
    )
    with main.asked_to_stop(1e-9) as stopping:
        assert stopping() == 75
    assert {signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)} == {
        signal.SIG_DFL,
        signal.default_int_handler,
    }


def test_a_full_disk_is_told_in_one_line(desk, capsys, monkeypatch):
    def full(*arguments, **more):
        raise OSError(errno.ENOSPC, "No space left on device", "x/metrics.jsonl")

    monkeypatch.setattr("ltjax.run.run", full)
    assert main.main(["--config", "mine.py"]) == 2
    assert capsys.readouterr().err == (
        "ltjax: x/metrics.jsonl: No space left on device; what was saved before is "
        "kept, the same command goes on from there\n"
    )


def test_our_own_failure_keeps_its_traceback(desk, monkeypatch):
    def broken(*arguments, **more):
        raise ZeroDivisionError

    monkeypatch.setattr("ltjax.run.run", broken)
    with pytest.raises(ZeroDivisionError):
        main.main(["--config", "mine.py"])


def python(*arguments):
    return subprocess.run(
        (sys.executable, "-m", "ltjax.main", *arguments), capture_output=True, text=True
    )


def test_a_process_ends_with_2_after_a_mistake(desk):
    ended = python("--config", "mine.py", "--swa.rank", "1")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == "ltjax: swa.rank is 1; it must be at least 2\n"


def test_help_and_typos_need_no_jax(desk):
    """Both are to come at once; JAX takes a while to import."""
    code = """if True:
        import sys
        from ltjax.main import main
        try:
            main(sys.argv[1:])
        except SystemExit as end:
            print("code", end.code, "jax" in sys.modules)
        """
    for arguments, expected in ((["--help"], 0), (["--config", "mine.py", "--x"], 2)):
        ended = subprocess.run(
            (sys.executable, "-c", code, *arguments), capture_output=True, text=True
        )
        assert ended.stdout.splitlines()[-1] == f"code {expected} False"
