"""Configs, folders and commands of a run that are wrong: one line, nothing changed."""

import numpy as np
import pytest
from desk import CONFIG, LONG, Row, judge, named
from makers import arrays, data, experts, finished, run, text, unfinished

from ltjax.config import Srepr

NINE = np.arange(9) % 3
COMMANDS = (
    *(
        (
            f"{value} minutes",
            f"--stop-after-minutes={value}",
            f"stop_after_minutes is {float(value)}; it must be 0 or more",
        )
        for value in ("-1", "nan", "inf")
    ),
    ("seeds: none", "--seeds ''", "--seeds is empty; give some, such as 0,1,2"),
    *(
        (
            f"seeds: {found}",
            f"--seeds={seeds}",
            f"--seeds {seeds} has {found!r}; it must",
        )
        for seeds, found in (
            ("0,-1", "-1"),
            ("0,,1", ""),
            ("0,b", "b"),
            ("0,1.5", "1.5"),
        )
    ),
    ("seeds: doubled", "--seeds 0,1,0", "--seeds 0,1,0 has 0 twice; give every seed"),
    (
        "seeds: beyond",
        f"--seeds 0,{2**32}",
        f"seed is {2**32}; it must be in 0..{2**32 - 1}",
    ),
    (
        "seeds: and a seed",
        "--seeds 0,1 --seed=1",
        "--seed and --seeds are both given; give one of them",
    ),
    (
        "seeds: and others' backbones",
        "--seeds 0,1 --stage-one x",
        "--stage-one is of one seed; give it to a run of that seed, without --seeds",
    ),
    (
        "parallel: without seeds",
        "--parallel 2",
        "parallel is 2; it is for --seeds, give some",
    ),
    (
        "parallel: none",
        "--seeds 0,1 --parallel 0",
        "parallel is 0; it must be at least 1",
    ),
    (
        "parallel: on many hosts",
        "--seeds 0,1 --parallel 2 --hosts.detect",
        "parallel is 2; with --hosts it must be 1",
    ),
    (
        "backbones: one twice",
        "--backbones sgd sgd",
        "backbones is ('sgd', 'sgd'); it must be at least one, and none of them twice",
    ),
    (
        "an alpha to be chosen on nothing",
        "--classifier.srepr.alpha auto",
        "classifier.srepr.alpha is 'auto', which is chosen on images that are held out "
        "of training, and data.validation is 0; give --data.validation 0.1, or a",
    ),
    (
        "an alpha beyond",
        "--classifier.srepr.alpha 1.5",
        "classifier.srepr.alpha is 1.5; it must be in 0..1, or auto",
    ),
    (
        "more held out than half",
        "--data.validation 0.6",
        "data.validation is 0.6; it must be in 0..0.5",
    ),
    ("a path as name", "--name a/b", "name is 'a/b'; it must be the name of a folder"),
    ("a long name", f"--name {LONG}", "it must be at most 200 bytes long"),
    (
        "a file as folder",
        "--out mine.py",
        "--out mine.py is a file; it must be a folder or not exist",
    ),
    (
        "a file as parent",
        "--out mine.py/x",
        "--out mine.py/x cannot be written: Not a directory",
    ),
    (
        "a folder of others",
        "--out .",
        "--out . holds other files; give a new or empty folder",
    ),
    ("a long folder", f"--out {LONG}", "cannot be written: File name too long"),
    (
        "stage one nowhere",
        "--stage-one nowhere",
        "nowhere holds no run; give the folder of one",
    ),
    ("stage one a file", "--stage-one mine.py", "mine.py holds no run; give the"),
    ("stage one no run", "--stage-one .", ". holds no run; give the folder of one"),
    (
        "half an address",
        "--hosts.count 2",
        "hosts.coordinator is None; give hosts.coordinator",
    ),
    (
        "a host too many",
        "--hosts.coordinator x:1 --hosts.count 2 --hosts.index 2",
        "hosts.index is 2; it must be in 0..hosts.count - 1",
    ),
    (
        "no port",
        "--hosts.coordinator x --hosts.count 2 --hosts.index 0",
        "hosts.coordinator is 'x'; it must be HOST:PORT",
    ),
)
CONFIGS = (
    ("brackets", "x = (1", ": SyntaxError: '(' was never closed (bad.py, line 1)"),
    ("a failure", "\n1 / 0", ", line 2: ZeroDivisionError: division by zero"),
    ("two lines", "raise ValueError('a\\nb')", ", line 1: ValueError: a"),
    ("no words", "raise ValueError", ", line 1: ValueError"),
    (
        "a missing module",
        "import nothing_of_that_name",
        ", line 1: ModuleNotFoundError: No module named",
    ),
    ("an exit", "import sys; sys.exit(3)", ", line 1: SystemExit: 3"),
    ("a null byte", "\x00", ": "),
    ("nothing", "", " assigns no `config`, an ltjax.config.Config"),
    ("another name", "Config = 1", " assigns no `config`, an ltjax.config.Config"),
    (
        "a number",
        "config = 1",
        " assigns int to `config`; it must be an ltjax.config.Config",
    ),
    (
        "a class",
        f"{CONFIG}config = Config",
        " assigns type to `config`; it must be an ltjax.config.Config",
    ),
    (
        "an unknown field",
        "from ltjax.config import Sgd\n\nSgd(epoch=3)",
        ", line 3: TypeError: Sgd.__init__() got an unexpected keyword argument "
        "'epoch'",
    ),
    (
        "text as number",
        f"{CONFIG}config = Config(optim=Sgd(lr='3'))",
        ": optim.lr is '3'; it must be a number",
    ),
    (
        "a fraction as count",
        f"{CONFIG}config = Config(optim=Sgd(epochs=2.5))",
        ": optim.epochs is 2.5; it must be an integer",
    ),
    (
        "another stage",
        f"{CONFIG}config = Config(classifier=Srepr())",
        f": classifier is {Srepr()!r}; it must be Classifier",
    ),
    (
        "an unknown method",
        f"{CONFIG}config = Config(classifier=Classifier(methods=('la', 'LA')))",
        ": classifier.methods is ('la', 'LA'); it must be a tuple of 'crt' or",
    ),
)
RIDE = (
    "main --config mine.py --model experts --model.of.head cosine --model.count 2 "
    "--objective ride --objective.teacher"
)
TEACHERS = (
    ("none", (), "r", "objective.teacher: r holds no run; give the folder of one"),
    ("a file", (), "mine.py", "mine.py holds no run; give the folder of one"),
    ("unfinished", unfinished, "r", "r holds a run that is not finished; run its"),
    ("no experts", finished(), "r", "r is of an ordinary network; it must be one of"),
    (
        "other classes",
        experts(),
        "r --data.classes 4",
        "r has dataset.classes 3; it must be 4, as here",
    ),
    (
        "other pixels",
        experts(image=(9, 8, 3)),
        "r",
        "r has dataset.image [9, 8, 3]; it must be [8, 8, 3], as here",
    ),
    (
        "other data",
        experts(data="x"),
        "r",
        "r has other images or labels, or streamed them unlike this run; it must be a",
    ),
    ("no weights", experts(), "r", "r/checkpoints/sgd has nothing; finish the run fir"),
    (
        "another loss",
        (),
        "r --objective shike",
        "--objective.teacher is for --objective ride or deit_lt; here it is shike",
    ),
    (
        "no distillation",
        (),
        "None --objective.repeated False",
        "objective.repeated is False without objective.teacher",
    ),
)
ROWS = (
    *(
        Row(n, (), f"main --config mine.py {flags}", says)
        for n, flags, says in COMMANDS
    ),
    *(
        Row(f"config: {n}", text("bad.py", content), "main --config bad.py", says)
        for n, content, says in (
            (n, content, f"--config bad.py{says}") for n, content, says in CONFIGS
        )
    ),
    Row(
        "config: no text", data("bad.py", b"\xff\xfe\x00"), "main --config bad.py", ": "
    ),
    Row(
        "config: a typo",
        (),
        "main --config mien.py",
        "--config mien.py is not a file; did you mean mine.py?",
    ),
    Row("config: nowhere", (), "main --config no/x.py", "--config no/x.py is not a"),
    Row("config: a folder", (), "main --config .", "--config . is not a file"),
    Row("config: long", (), f"main --config {LONG}", f"--config {LONG} is not a file"),
    Row(
        "nothing to hold out",
        arrays("train.npz", image=np.zeros((9, 8, 8, 3), np.uint8), label=NINE),
        "main --config mine.py --data.validation 0.2 --optim.batch-size 2",
        "data.validation is 0.2, and no class of train has the 5 images, each there",
    ),
    *(Row(f"teacher: {n}", made, f"{RIDE} {c}", says) for n, made, c, says in TEACHERS),
    Row(
        "a run of another config",
        run("old", "--optim.lr", "0.2"),
        "main --config mine.py --out old",
        "--out old holds another run: optim.lr was 0.2, now 0.1",
    ),
    Row(
        "a run where seeds should be",
        run("old"),
        "main --config mine.py --seeds 0,1 --out old",
        "--out old holds a run; with --seeds it must be a folder for one each",
    ),
    Row(
        "a run of other data",
        (run("old"), arrays("test.npz")),
        "main --config mine.py --out old",
        "--out old holds another run: its images or labels were others",
    ),
    Row(
        "a damaged run",
        (run("old"), text("old/config.json", "{")),
        "main --config mine.py --out old",
        "old/config.json is not a run's config; give another --out",
    ),
    Row(
        "stage one of another config",
        run("old", "--optim.lr", "0.2"),
        "main --config mine.py --stage-one old",
        "--stage-one old was trained otherwise: optim.lr was 0.2, now 0.1",
    ),
    Row(
        "stage one unfinished",
        run("old"),
        "main --config mine.py --stage-one old --classifier.lr 1.0",
        "--stage-one old has no epochs of sgd; it must have finished the 4",
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)
