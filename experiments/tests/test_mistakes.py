"""Wrong commands of the workshop: exit code 2, one line, nothing changed."""

import lines
import numpy as np
import pytest
import speedrun
import sweep
from bench import command

DOORS = {
    "lines": lines.main,
    "sweep": sweep.main,
    "bench": command.main,
    "speedrun": speedrun.main,
}
CONFIG = """
from ltjax.config import Config, Data, CifarResNet, Sgd, Swa
config = Config(
    data=Data(source="npz", train="train.npz", test="test.npz"),
    optim=Sgd(epochs=4, warmup_epochs=1, batch_size=8),
    swa=Swa(start=2),
    model=CifarResNet(depth=8, width=4),
)
"""
OTHERS = '{"config": "mine", "settings": "x", "data": "y", "holdout": 50, "seed": 0}\n'
TABLE2 = "lines table2 --config mine.py --out new.jsonl"
BENCH = "bench --out x.json"
SWEEP = "sweep --config mine.py --out new.jsonl"


@pytest.fixture
def desk(monkeypatch, tmp_path):
    """The folder where commands are typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CONFIG)
    (tmp_path / "lines.jsonl").write_text(OTHERS)
    for name, images in (("train", 24), ("test", 6)):
        label = np.arange(images) % 3
        image = np.full((images, 8, 8, 3), images, np.uint8)
        image[:, 0, 0, 0] = np.arange(images)
        np.savez(f"{name}.npz", image=image, label=label)
    return tmp_path


def code_of(command):
    door, *words = command.split()
    try:
        return DOORS[door](words)
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"{TABLE2} --seed 1", "--seed is the table's own to set"),
        (f"{TABLE2} --data.holdout=1", "--data.holdout is the table's own"),
        (f"{TABLE2} --swa.rank 1", "swa.rank is 1; it must be at"),
        ("lines table1 --config no.py --out x", "--config no.py is not a file"),
        (
            "lines figure3 --config mine.py --out train.npz",
            "--out train.npz holds other lines; give a new file",
        ),
        (
            "lines table2 --config mine.py --out lines.jsonl",
            "--out lines.jsonl holds lines of other settings (x, now ",
        ),
        (
            "lines table2 --config mine.py --out no/x.jsonl",
            "--out no/x.jsonl is not a file in an existing folder",
        ),
        (f"{SWEEP} --holdout 0", "--holdout is 0; choose on held-out images"),
        (f"{SWEEP} --data.holdout 3", "--data.holdout is the table's own to set"),
        (f"{BENCH} --repeats 0", "--repeats is 0; it must be at least 1"),
        (f"{BENCH} --quick --only growth", "--quick leaves out growth; drop one of"),
        ("bench --out no/x.json", "--out no/x.json is not a file in an existing"),
        (
            f"{BENCH} --part scaling --batch-size 8 --devices 1 3",
            "--devices 3 does not divide --batch-size 8; give a divisor of it",
        ),
        (f"{BENCH} --part scaling --devices 0", "--devices 0 does not divide"),
        (f"{BENCH} --part checks --repeats 1", "--repeats is 1; it must be at least 2"),
        (f"{BENCH} --part memory --sizes 1000", "--sizes are [1000]; give two or more"),
        (
            f"{BENCH} --part pipeline --folder . --batch-size 0",
            "--batch-size is 0; it must be at least 1",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(desk, capsys, command, says):
    before = {file: file.read_bytes() for file in desk.iterdir()}
    assert code_of(command) == 2
    error = capsys.readouterr().err
    assert error.startswith((f"{command.split()[0]}: ", "ltjax: "))
    assert error.count("\n") == 1
    assert says in error
    assert {file: file.read_bytes() for file in desk.iterdir()} == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("lines table2 --config mine.py", "--out"),
        ("lines table9 --config mine.py --out x", "invalid choice: 'table9'"),
        (f"{TABLE2} --seeds a", "invalid int value: 'a'"),
        (f"{TABLE2} --optim.epoch 3", "--optim.epochs"),
        (f"{SWEEP} --optim.epoch 3", "--optim.epochs"),
        ("bench", "--out"),
        (f"{BENCH} --quik", "--quick"),
        (f"{BENCH} --part speed", "invalid choice: 'speed'"),
        (f"{BENCH} --part scaling --devices two", "invalid int value: 'two'"),
        ("speedrun --train train.npz", "--test, --out"),
    ],
)
def test_a_flag_that_there_is_not_is_refused(desk, capsys, command, says):
    assert code_of(command) == 2
    out, error = capsys.readouterr()
    assert says in error
    assert (out, "Traceback" in error) == ("", False)
