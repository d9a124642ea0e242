"""The comparison of batch-norm statistics does what its rules say."""

import json
import runpy
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.posterior import members as extractor

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
SCRIPT = runpy.run_path(str(EXPERIMENTS / "batch_statistics.py"))
RULES = {rule.name: rule for rule in SCRIPT["RULES"]}


def shifted(key, images):
    return images + jax.random.randint(key, (), 1, 5)


@pytest.mark.parametrize("name", RULES)
def test_images_are_those_of_the_rule(name):
    rule, images = RULES[name], np.arange(12.0)[:, None]
    found = SCRIPT["images_of"](rule, shifted, images)
    assert len(found) == max(1, rule.views) * 12
    assert (found[:12] == images).all() == (not rule.views)
    # The order is that of the images, unless they are shuffled.
    assert (np.diff(found[:12, 0]) == 1).all() == (not rule.shuffled)


class Features(nn.Module):
    """Two norms, with the sum over channels between."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, name="first")(x)
        x = x.sum(-1, keepdims=True)
        return nn.BatchNorm(use_running_average=not train, name="second")(x)


def test_class_order_loses_the_variance_between_classes():
    rng, channels = np.random.default_rng(0), 8
    value = np.repeat(rng.normal(size=10), 20)[:, None]
    images = np.float32(value + 0.1 * rng.normal(size=(200, channels)))
    net = Network(Features(), Linear(2))
    weights = net.init(jax.random.key(0), images)["params"]
    members = extractor.make(jax.random.key(1), 0, 1.0)
    parts = extractor.of_point, net, jnp.asarray
    found = {}
    for name in ("plain, class order", "plain, strides"):
        rule = RULES[name]._replace(batch_size=20)
        stats = SCRIPT["refreshed"](rule, parts, weights, members, images)
        found[name] = float(stats["second"]["var"][0, 0])
    assert found["plain, class order"] < 2 * channels
    assert found["plain, strides"] > 0.9 * channels**2


def test_a_table_has_a_row_for_each_rule(tmp_path):
    sys.path.insert(0, str(EXPERIMENTS))
    try:
        import statistics_tables
    finally:
        sys.path.remove(str(EXPERIMENTS))
    acc = {"many": 60.0, "medium": 40.0, "few": 9.96, "all": 41.25}
    lines = [
        {"of": "sgd", "statistics": rule, "set": images, "backbone": "sgd"}
        | {"classifier": row, "acc": acc, "nll": 2.5, "ece": 0.125}
        for rule in ("a", "b")
        for images in ("held out", "test")
        for row in ("none", "la_posthoc", "la")
    ]
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = statistics_tables.of_backbone(path, "sgd", "test").splitlines()
    assert len(found) == 4
    cells = "41.2 / 2.500 / 0.125 | 41.2 / 10.0 / 2.500 / 0.125 | 41.2 / 10.0 / 2.500"
    assert found[2] == f"| a | {cells} |"
