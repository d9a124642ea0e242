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
from ltjax.config import Classifier, Config, Data, Optim, Srepr, Swa
from ltjax.stopped import Stopped

FILE = """
from ltjax.config import Config, Data, Optim, Swa
config = Config(
    data=Data(source="npz", train="train.npz", test="test.npz", flip=True),
    optim=Optim(lr=0.3, epochs=4, warmup_epochs=1, batch_size=8),
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


def tree(path):
    return {file: file.is_dir() or file.read_bytes() for file in path.rglob("*")}


def refuse(desk, capsys, *arguments):
    """The one line on stderr of a command that must fail and leave no trace."""
    before = tree(desk)
    assert main.main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ltjax: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert tree(desk) == before
    return err.removeprefix("ltjax: ").removesuffix("\n")


def box(desk, capsys, *arguments):
    """What tyro says of flags that it refuses."""
    before = tree(desk)
    with pytest.raises(SystemExit) as caught:
        main.main(list(arguments))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert tree(desk) == before
    return out + err


# Flags


def test_the_file_gives_the_config(desk):
    config, out, *_ = main.read(["--config", "mine.py"])
    assert config.data == Data(
        source="npz", train="train.npz", test="test.npz", flip=True
    )
    assert config.optim == Optim(lr=0.3, epochs=4, warmup_epochs=1, batch_size=8)
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
            "--data.flip",
            "False",
        ]
    )
    assert (config.seed, config.optim.epochs, config.data.flip) == (1, 20, False)
    assert config.optim.lr == 0.3
    assert out == Path("runs/mine-seed1")


@pytest.mark.parametrize(
    ("flags", "config"),
    [
        ("--data.download True", Config(data=Data(download=True))),
        ("--data.imbalance-factor 100", Config(data=Data(imbalance_factor=100.0))),
        ("--data.imbalance_factor None", Config()),
        ("--data.classes 7 --data.pad 4", Config(data=Data(classes=7, pad=4))),
        ("--data.strict", Config(data=Data(strict=True))),
        ("--data.strict --data.pad 4", Config(data=Data(strict=True, pad=4))),
        ("--data.strict True", Config(data=Data(strict=True))),
        ("--data.strict False", Config()),
        ("--optim.drop-last False", Config(optim=Optim(drop_last=False))),
        (
            "--swa.place host --swa.dtype bfloat16",
            Config(swa=Swa(place="host", dtype="bfloat16")),
        ),
        ("--optim.lr 1e-3", Config(optim=Optim(lr=0.001))),
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
        ("", main.Hosts()),
        (
            "--hosts.coordinator 10.0.0.1:1234 --hosts.count 2 --hosts.index 1",
            main.Hosts(coordinator="10.0.0.1:1234", count=2, index=1),
        ),
        ("--hosts.detect", main.Hosts(detect=True)),
        ("--hosts.detect --seed 1", main.Hosts(detect=True)),
    ],
)
def test_hosts_are_flags_and_no_part_of_the_config(desk, flags, found):
    config, _, command = main.read(["--config", "mine.py", *flags.split()])
    assert command.hosts == found
    assert not hasattr(config, "hosts")


def test_half_an_address_of_hosts_is_one_line(desk, capsys):
    said = refuse(desk, capsys, "--config", "mine.py", "--hosts.count", "2")
    assert said.startswith("hosts.coordinator is None; give hosts.coordinator")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--optim.epoch 3", "--optim.epochs"),
        ("--epochs 3", "--optim.epochs"),
        ("--optim.epochs three", "three"),
        ("--optim.epochs 2.5", "2.5"),
        ("--model.dtype float16", "bfloat16"),
        ("--classifier.methods la sreper", "srepr"),
        ("--data.download", "--data.download"),
        ("--data.flip yes", "True"),
        ("stray", "stray"),
    ],
)
def test_a_wrong_flag_gets_a_box_with_a_hint(desk, capsys, flags, expected):
    assert expected in box(desk, capsys, "--config", "mine.py", *flags.split())


@pytest.mark.parametrize("arguments", [[], ["--config"], ["--seed", "1"]])
def test_a_config_is_needed(desk, capsys, arguments):
    assert "--config" in box(desk, capsys, *arguments)


@pytest.mark.parametrize("more", [(), ("--config", "mine.py")])
def test_help(desk, capsys, more):
    with pytest.raises(SystemExit) as caught:
        main.main([*more, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) < 230
    # What a user needs first comes first.
    assert text.index("--config PATH") < text.index("--out") < text.index("--seed")
    groups = ("data", "model", "optim", "swa", "posterior", "classifier", "checkpoint")
    places = [re.search(rf"(?m)^\W*{group} options", text).start() for group in groups]
    assert places == sorted(places)
    # Defaults are those of the file, if there is one.
    assert ("(default: 0.3)" in text) == bool(more)
    assert "(default: 0.0005)" in text


# Config files


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mien.py", "--config mien.py is not a file; did you mean mine.py?"),
        ("nothing/at/all.py", "--config nothing/at/all.py is not a file"),
        (".", "--config . is not a file"),
    ],
)
def test_a_missing_config_file(desk, capsys, path, message):
    assert refuse(desk, capsys, "--config", path) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (1", ": SyntaxError: '(' was never closed (bad.py, line 1)"),
        ("\n1 / 0", ", line 2: ZeroDivisionError: division by zero"),
        ("raise ValueError('a\\nb')", ", line 1: ValueError: a"),
        ("raise ValueError", ", line 1: ValueError"),
        (
            "import nothing_of_that_name",
            ", line 1: ModuleNotFoundError: No module named",
        ),
        ("import sys; sys.exit(3)", ", line 1: SystemExit: 3"),
        ("\x00", ": "),
        ("Config = 1", " assigns no `config`, an ltjax.config.Config"),
        ("config = 1", " assigns int to `config`; it must be an ltjax.config.Config"),
        (
            "from ltjax.config import Config\nconfig = Config",
            " assigns type to `config`; it must be an ltjax.config.Config",
        ),
        (
            "from ltjax.config import Optim\n\nOptim(epoch=3)",
            ", line 3: TypeError: Optim.__init__() got an unexpected keyword argument "
            "'epoch'",
        ),
        (
            "from ltjax.config import *\nconfig = Config(optim=Optim(lr='3'))",
            ": optim.lr is '3'; it must be a number",
        ),
        (
            "from ltjax.config import *\nconfig = Config(classifier=Srepr())",
            f": classifier is {Srepr()!r}; it must be Classifier",
        ),
    ],
)
def test_a_config_file_that_does_not_work(desk, capsys, text, message):
    Path("bad.py").write_text(text)
    found = refuse(desk, capsys, "--config", "bad.py")
    assert found.startswith(f"--config bad.py{message}")


def test_a_config_file_that_is_not_text(desk, capsys):
    Path("bad.py").write_bytes(b"\xff\xfe\x00")
    assert refuse(desk, capsys, "--config", "bad.py").startswith("--config bad.py: ")


# Settings and data


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--optim.lr nan", "optim.lr is nan; it must be above 0, and finite"),
        ("--swa.lr inf", "swa.lr is inf; it must be above 0, and finite"),
        ("--swa.rank 1", "swa.rank is 1; it must be at least 2"),
        ("--posterior.samples 0", "posterior.samples is 0; it must be at least 1"),
        (
            "--swa.start 4",
            "swa.start is 4; it must lie between optim.warmup_epochs (1) and "
            "optim.epochs (4)",
        ),
        (
            "--swa.every-steps 4",
            "snapshots after swa.start are 1, in 2 epochs of 3 steps; a posterior "
            "needs 2: lower swa.start or swa.every_steps",
        ),
        (
            "--optim.batch-size 28",
            "optim.batch_size is 28; it must be at most the 27 training images",
        ),
        (
            "--optim.batch-size 28 --optim.drop-last False",
            "optim.batch_size is 28; it must be at most the 27 training images",
        ),
        (
            "--data.imbalance-factor 0.5",
            "data.imbalance_factor is 0.5; it must be 1 (balanced) or more, and finite",
        ),
        (
            "--data.imbalance-factor 10",
            "data.imbalance_factor is 10; it must be at most 9, or class 2 has no "
            "training image",
        ),
        (
            "--data.imbalance-factor 3 --data.largest 10",
            "class 0 has 9 training images, imbalance factor 3 from 10 needs 10",
        ),
        (
            "--data.classes 2",
            "train.npz: 'label' is 2 in row 18, wanted 0..1",
        ),
        ("--data.train trian.npz", "trian.npz does not exist; did you mean train.npz?"),
        ("--data.train None", "data.train is None; it must name an npz file"),
        (
            "--data.source digits",
            "data.train is 'train.npz', which only --data.source npz reads; "
            "data.source is digits",
        ),
        (
            "--data.source digits --data.train None --data.test None --data.classes 9",
            "data.classes is 9; digits has 10",
        ),
        ("--name a/b", "name is 'a/b'; it must be the name of a folder"),
        ("--out mine.py", "--out mine.py is a file; it must be a folder or not exist"),
        ("--out mine.py/x", "--out mine.py/x cannot be written: Not a directory"),
        ("--out .", "--out . holds other files; give a new or empty folder"),
    ],
)
def test_settings_that_do_not_work(desk, capsys, flags, message):
    assert refuse(desk, capsys, "--config", "mine.py", *flags.split()) == message


@pytest.mark.parametrize(
    ("labels", "more", "message"),
    [
        ([0, 1], {"label": np.arange(3)}, "2 images but 3 labels, wanted as many"),
        ([0, -1, 2], {}, "'label' is -1 in row 1, wanted 0..999999"),
        ([0, 1], {"image": np.zeros((2, 8, 8, 3))}, "'image' is float64, wanted uint8"),
    ],
)
def test_data_that_do_not_fit(desk, capsys, labels, more, message):
    save("train.npz", labels, **more)
    found = refuse(desk, capsys, "--config", "mine.py")
    assert found.startswith(f"train.npz: {message}")


def test_one_class_cannot_be_told_apart(desk, capsys):
    save("train.npz", [0] * 20)
    save("test.npz", [0] * 5)
    message = refuse(desk, capsys, "--config", "mine.py")
    assert message == "train has 1 class; it takes 2 to tell apart"


def test_another_tail_is_refused(desk, capsys):
    save("train.npz", [0] * 20 + [1] * 9 + [2] * 4)
    message = refuse(
        desk, capsys, "--config", "mine.py", "--data.imbalance-factor", "10"
    )
    assert message.startswith("class 1 has 9 training images, imbalance factor 10")
    assert "another tail" in message


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
    assert main.main(arguments) == main.TRY_AGAIN == 75
    assert capsys.readouterr().err == (
        "ltjax: stopped after sgd, epoch 1 of 4, step 2 of 3; all is saved, the same "
        "command goes on\n"
    )


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


def test_minutes_have_to_be_a_number_of_them(desk, capsys):
    for value in ("-1", "nan", "inf"):
        message = refuse(
            desk, capsys, "--config", "mine.py", "--stop-after-minutes", value
        )
        assert message.startswith("stop_after_minutes is")


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
