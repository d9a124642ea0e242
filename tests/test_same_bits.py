"""The same config and seed twice, in two folders: the same bits."""

import jax
import numpy as np
import pytest
from tiny import quiet, timeless

from ltjax.run import run
from ltjax.workdir import checkpoint, feature_file
from ltjax.workdir.events import events
from ltjax.workdir.files import read_json


def saved(out):
    """Every array that the run has kept, by the path of its checkpoint."""
    place = out / "checkpoints"
    depths = {"sgd": 1, "swa": 1, "heads": 2, "features": 2}
    found = {
        str(path.relative_to(place)): checkpoint.load_as_saved(path)
        for name, depth in depths.items()
        for path in (place / name).glob("/".join("*" * depth))
        if path.is_dir()
    }
    features = {
        str(path.relative_to(place)): feature_file.mapped(path)
        for path in place.glob("features/*/*.npy")
    }
    return found | features


@pytest.mark.usefixtures("compiled_once")
def test_the_same_seed_gives_the_same_bits(place, tmp_path):
    again = tmp_path / "again"
    results = run(place.config, again, quiet())
    assert timeless(results) == timeless(place.results)
    assert read_json(again / "classes.json") == place.read("classes.json")
    losses, found = (
        [event["loss"] for event in events(out) if "loss" in event]
        for out in (place.out, again)
    )
    assert losses
    assert found == losses
    first, second = saved(place.out), saved(again)
    assert {"sgd/4", "swa/4", "heads/sgd/8", "features/swa/2"} <= set(first)
    names = "plain", "test", "view0", "view1"
    assert {f"features/swa/{name}.npy" for name in names} <= set(first)
    assert first.keys() == second.keys()
    leaves = [jax.tree.leaves_with_path(kept) for kept in (first, second)]
    assert len(leaves[0]) == len(leaves[1]) > 50
    for (path, one), (_, other) in zip(*leaves):
        where = jax.tree_util.keystr(path)
        assert one.dtype == other.dtype, where
        np.testing.assert_array_equal(one, other, err_msg=where)
