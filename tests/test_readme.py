"""The README's tables are those of the result files, and its example runs."""

import re
import runpy
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

ROOT = Path(__file__).parent.parent


TABLES = runpy.run_path(str(ROOT / "experiments" / "tables.py"))


@pytest.mark.parametrize("document", TABLES["DOCUMENTS"])
def test_tables_are_those_of_the_result_files(document):
    text = (ROOT / document).read_text()
    assert TABLES["filled"](text) == text
    assert "<!-- /" in text


class Features(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(6)(x)
        return nn.relu(nn.BatchNorm(use_running_average=not train)(x))


def example(name):
    """The one example in the README that has this name in it."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (found,) = (block for block in blocks if name in block)
    return found


def test_example_of_a_tracker(monkeypatch):
    heard = []
    wandb = types.SimpleNamespace(init=lambda **_: None, log=heard.append)
    monkeypatch.setitem(sys.modules, "wandb", wandb)

    def run(config, out, track):
        track({"event": "epoch"})

    monkeypatch.setattr("ltjax.run.run", run)
    exec(example("wandb"), {"config": None})
    assert heard == [{"event": "epoch"}]


def test_example_runs():
    images = jax.random.normal(jax.random.key(2), (20, 4))
    params = Features().init(jax.random.key(3), images)["params"]

    def train_an_epoch(params):
        return jax.tree.map(lambda leaf: 1.01 * leaf + 0.01, params)

    names = {
        "apply": Features().apply,
        "params": params,
        "train_an_epoch": train_an_epoch,
        "epochs": 3,
        "images": images,
        "labels": jnp.arange(20) % 3,
        "counts": np.array([7, 7, 6]),
    }
    exec(example("swag.init"), names)
    assert names["z"].shape == (11, 20, 6)
    assert names["loss"].shape == (20,)
    assert jnp.isfinite(names["loss"]).all()
