"""Steps that are not finite: the run stops before, and the step can be looked at."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from tiny import quiet

from ltjax import replay
from ltjax.mistake import Mistake
from ltjax.representation import schedule
from ltjax.run import run
from ltjax.stages import divergence
from ltjax.workdir import checkpoint

pytestmark = pytest.mark.usefixtures("thin")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """That of a run, with its data."""
    place = tmp_path_factory.mktemp("data")
    for name, counts in (("train", [24] * tiny.CLASSES), ("test", [5] * tiny.CLASSES)):
        tiny.save(place / f"{name}.npz", counts, 0)
    config = tiny.config_of(place, imbalance_factor=6)
    return dataclasses.replace(config, checkpoint=tiny.OFTEN)


def replayed(capsys, out):
    assert replay.main([str(out)]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_loss_that_is_not_finite_stops_the_run(config, tmp_path, capsys):
    out = tmp_path / "x"
    config = dataclasses.replace(
        config, optim=dataclasses.replace(config.optim, lr=1e36)
    )
    with pytest.raises(Mistake) as caught:
        run(config, out, quiet())
    found, arrays = divergence.read(out / divergence.FILE)
    assert len(found.rows) == 16
    shown = ", ".join(map(str, found.rows[:8].tolist()))
    assert str(caught.value) == (
        "sgd: the loss is nan at step 1, learning rate 6.66667e+35, images "
        f"{shown}, ... (16 in all); python -m ltjax.replay {out} takes it again; try a "
        "smaller --optim.lr"
    )
    assert not (out / "results.json").exists()
    assert arrays["batch/image"].shape == (16, 8, 8, 1)
    assert arrays["state/step"] == 1
    assert all(np.isfinite(a).all() for n, a in arrays.items() if "params" in n)
    # The newest checkpoint is of the step before, and the same command ends likewise.
    (path,) = checkpoint.steps(out / "checkpoints" / "sgd")
    assert (checkpoint.position(path), checkpoint.damage(path)) == ((0, 1), None)
    with pytest.raises(Mistake, match="the loss is nan at step 1"):
        run(config, out, quiet())

    lines = replayed(capsys, out)
    assert (
        lines[0] == "sgd, step 1 (epoch 1, its step 2 of 3), learning rate 6.66667e+35"
    )
    assert lines[1] == f"images {' '.join(map(str, found.rows.tolist()))}"
    # An overflow of the variance is inf, or inf less inf, as a program rounds.
    assert lines[3].endswith(", was nan")
    assert "  head/bias: 4 of 4 not finite" in lines


def test_a_weight_that_is_not_finite_stops_it_too(
    config, tmp_path, monkeypatch, capsys
):
    def to_zero(*arguments):
        return lambda step: jnp.where(step == 4, jnp.inf, 0.1)

    monkeypatch.setattr(schedule, "to_zero", to_zero)
    out = tmp_path / "x"
    message = "sgd: the gradient or a weight is not finite at step 4, learning rate inf"
    with pytest.raises(Mistake, match=message):
        run(config, out, quiet())
    newest, *_ = checkpoint.steps(out / "checkpoints" / "sgd")
    assert (1, 0) <= checkpoint.position(newest) <= (1, 1)
    state, _ = checkpoint.load_as_saved(newest)
    assert all(np.isfinite(leaf).all() for leaf in state["params"]["head"].values())
    lines = replayed(capsys, out)
    assert "gradient: 0 of 5 tensors are not finite" in lines
    assert "weights: 5 of 5 tensors are not finite" in lines


def test_without_a_file_there_is_nothing_to_replay(tmp_path, capsys):
    assert replay.main([str(tmp_path)]) == 2
    wanted = f"ltjax: {tmp_path / divergence.FILE} is not there; no step of the run "
    assert capsys.readouterr().err == f"{wanted}diverged\n"
    assert replay.main([str(tmp_path / "nowhere")]) == 2
    wanted = f"ltjax: {tmp_path / 'nowhere'} holds no run; give the folder of one\n"
    assert capsys.readouterr().err == wanted
    with pytest.raises(Mistake, match="has no batch/image; an earlier version wrote"):
        divergence.batch({"input": 0, "label": 0})
    for content in (b"", b"PK\x03\x04", np.array([1, None]).dumps()):
        (tmp_path / divergence.FILE).write_bytes(content)
        assert replay.main([str(tmp_path)]) == 2
        assert "is damaged" in capsys.readouterr().err
