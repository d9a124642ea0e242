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

from ltjax.classifier import srepr
from ltjax.losses import cross_entropy
from ltjax.posterior import swag

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"


def _tables():
    sys.path.insert(0, str(EXPERIMENTS))  # for the scripts beside it
    try:
        return runpy.run_path(str(EXPERIMENTS / "tables.py"))
    finally:
        sys.path.remove(str(EXPERIMENTS))


TABLES = _tables()


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


BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def example(name):
    """The one example in the README that has this name in it."""
    (found,) = (block for block in BLOCKS if name in block)
    return found


def test_every_example_is_run_by_a_test():
    assert [example("wandb"), example("def retrain")] == BLOCKS


def test_example_of_a_tracker(monkeypatch):
    heard = []
    wandb = types.SimpleNamespace(init=lambda **_: None, log=heard.append)
    monkeypatch.setitem(sys.modules, "wandb", wandb)

    def run(config, out, track):
        track({"event": "epoch"})

    monkeypatch.setattr("ltjax.run.run", run)
    exec(example("wandb"), {"config": None})
    assert heard == [{"event": "epoch"}]


def test_example_is_the_file_of_examples_and_runs():
    block = example("def retrain")
    assert block == (ROOT / "examples" / "srepr_pipeline.py").read_text()
    names = {}
    exec(block, names)
    images, labels = jax.random.normal(jax.random.key(2), (20, 4)), jnp.arange(20) % 3
    params = Features().init(jax.random.key(3), images)["params"]
    posterior = swag.init(params, rank=20)
    for epoch in range(3):
        snapshot = jax.tree.map(lambda leaf, e=epoch: 1.01**e * leaf, params)
        posterior = swag.update(posterior, snapshot)
    apply, counts = Features().apply, np.array([7, 7, 6])

    def retrain(steps):
        return names["retrain"](
            jax.random.key(4), posterior, apply, images, labels, counts, 2, steps
        )

    def nll(mean, head):
        return cross_entropy(srepr.logits(head, apply(mean, images)), labels).mean()

    begun, trained = retrain(0), retrain(50)
    jax.tree.map(np.testing.assert_array_equal, trained[0]["params"], posterior.mean)
    assert nll(*trained) < 0.9 * nll(*begun)


def test_ways_to_learn_are_compared_where_all_else_is_equal():
    def line(way, lr, nll, ece):
        row = {"classifier": "la", "variant": "", "weight_decay": 1e-4}
        return {**row, "experts": way, "lr": lr, "nll": nll, "ece": ece}

    found = TABLES["_both_ways"](
        [
            line("alone", 0.1, 3.0, 0.1),
            line("together", 0.1, 2.0, 0.2),
            line("alone", 0.5, 2.0, 0.1),
            line("together", 0.5, 2.0, 0.1),
            line("together", 2.0, 1.0, 0.0),  # without its like
        ]
    )
    assert found.startswith("Of 2 choices that were fitted both ways")
    assert "lower NLL in 1 and the lower ECE in 0." in found
