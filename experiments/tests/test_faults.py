"""Kills and damages of a run on the digits, and what the report says of them."""

import json

import faults
import injection
import numpy as np
import pytest

TINY = [
    *("--data.largest=30", "--data.imbalance-factor=5", "--model.width=4"),
    *("--optim.epochs=4", "--optim.batch-size=16", "--optim.warmup-epochs=1"),
    *(
        "--swa.start=2",
        "--swa.rank=2",
        "--posterior.samples=2",
        "--classifier.epochs=2",
    ),
    *("--classifier.views=1", "--checkpoint.every-seconds=0"),
    *("--classifier.methods", "la", "srepr"),
]


def test_killed_and_damaged_runs_end_as_the_one_left_alone(tmp_path, capsys):
    out = tmp_path / "report.json"
    config = "configs/digits_lt.py"
    flags = "--config", config, "--kills", "5", "--out", str(out)
    code = injection.main([*flags, "--work", str(tmp_path / "runs"), *TINY])
    text, err = capsys.readouterr()
    assert err == ""
    assert text.splitlines()[-1] == "kills 5, differences 0", text
    assert code == 0
    report = json.loads(out.read_text())
    assert sum(report["kills_by_stage"].values()) == 5
    assert report["differences"] == []
    # All faults but one that a system may not let be made.
    assert set(report["faults"]) | {"read-only folder"} == {
        "truncated checkpoint",
        "bit-flipped checkpoint",
        "missing array",
        "full disk",
        "read-only folder",
        "clock jump",
    }
    # The comparison can fail: one bit of one array, one figure, one loss.
    whole, other = (tmp_path / "runs" / name for name in ("whole", "run0"))
    assert injection.differences(other, whole) == []
    file = other / "results.json"
    results = json.loads(file.read_text())
    results["rows"][0]["nll"] += 1e-9
    file.write_text(json.dumps(results))
    metrics = other / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"loss": 1.', '"loss": 2.'))
    found = injection.differences(other, whole)
    assert "results.json" in found
    assert any(name.startswith("told of epoch sgd") for name in found)


def test_a_flipped_bit_is_one_bit(tmp_path):
    file = tmp_path / "x"
    before = bytes(range(200))
    file.write_bytes(before)
    faults.flipped(file, np.random.default_rng(0))
    changed = np.frombuffer(before, np.uint8) ^ np.frombuffer(
        file.read_bytes(), np.uint8
    )
    assert np.unpackbits(changed).sum() == 1


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--kills", "0"], "--kills is 0; it must be at least 1"),
        (["--config", "no.py"], "--config no.py is not a file"),
        (["--out", "no/x.json"], "--out no/x.json lies in no folder; make it first"),
    ],
)
def test_wrong_flags(capsys, args, line):
    config = ["--config", "configs/digits_lt.py"]
    assert injection.main([*config, *args]) == 2
    assert capsys.readouterr().err == f"injection: {line}\n"
