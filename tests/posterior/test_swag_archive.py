"""Posteriors in files, drawn from by the NumPy example, and the one that is shipped."""

import json
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.config import Data
from ltjax.data.augment import geometry
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.posterior import archive, batch_norm, swag
from ltjax.stages.loading import load

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMPY = runpy.run_path(str(EXAMPLES / "sample_in_numpy.py"))
DIGITS = EXAMPLES / "digits_posterior.npz"


def posterior(snapshots, rank, dtype=None):
    rng = np.random.default_rng(0)

    def weights():
        return {
            "a": {"w": rng.normal(size=(2, 3)).astype(np.float32)},
            "b": rng.normal(size=2).astype(np.float32),
        }

    state = swag.init(weights(), rank, dtype)
    for _ in range(snapshots):
        state = swag.update(state, weights())
    return state


@pytest.mark.parametrize(("rank", "dtype"), [(3, None), (3, jnp.bfloat16), (0, None)])
def test_what_is_saved_is_loaded(tmp_path, rank, dtype):
    state = posterior(5, rank, dtype)
    stats = {"norm": {"mean": np.arange(3.0, dtype=np.float32)}}
    archive.save(tmp_path / "p.npz", state, stats)
    found, found_stats = archive.load(tmp_path / "p.npz")
    jax.tree.map(np.testing.assert_array_equal, (found, found_stats), (state, stats))
    assert {leaf.dtype for leaf in jax.tree.leaves(found.deviations)} == {
        np.dtype("float32")
    }
    archive.save(tmp_path / "p.npz", state)
    assert archive.load(tmp_path / "p.npz")[1] == {}
    assert [file.name for file in tmp_path.iterdir()] == ["p.npz"]
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert sorted(file.files) == [
            "count",
            *(f"{kind}/{name}" for kind in archive_kinds() for name in ("a/w", "b")),
        ]


def archive_kinds():
    return ("deviations", "mean", "scatter")


def test_only_named_trees_are_saved(tmp_path):
    for params in ([jnp.ones(2)], {"a/b": jnp.ones(2)}):
        with pytest.raises(ValueError, match="nested dicts"):
            archive.save(tmp_path / "p.npz", swag.init(params, 2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "holds no SWAG posterior"),
        ({"count": 2, "mean/w": np.ones(2)}, "holds no SWAG posterior"),
        ({"scatter/w": np.ones(3)}, "holds no SWAG posterior"),
        ({"deviations/v": np.ones((2, 2))}, "holds no SWAG posterior"),
        ({"mean": np.ones(2)}, "holds no SWAG posterior"),
        ({"mean/w/x": np.ones(2)}, "not a whole .npz"),
        ({"mean/w": np.array([None, None])}, "not a whole .npz"),
    ],
)
def test_files_that_hold_none_are_named(tmp_path, arrays, words):
    whole = {
        "count": 2,
        "mean/w": np.ones(2),
        "scatter/w": np.ones(2),
        "deviations/w": np.ones((2, 2)),
    }
    few = arrays if len(arrays) != 1 else whole | arrays
    np.savez(tmp_path / "p.npz", **few)
    with pytest.raises(ValueError, match=words):
        archive.load(tmp_path / "p.npz")
    np.savez(tmp_path / "p.npz", **whole)
    archive.load(tmp_path / "p.npz")


def test_a_torn_file_and_none(tmp_path):
    (tmp_path / "p.npz").write_bytes(DIGITS.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"p\.npz is not a whole \.npz"):
        archive.load(tmp_path / "p.npz")
    with pytest.raises(FileNotFoundError):
        archive.load(tmp_path / "no.npz")


class Unit:
    """In place of random numbers: 1 at one place, 0 elsewhere."""

    def __init__(self, place):
        self.place, self.seen = place, 0

    def standard_normal(self, shape):
        size = int(np.prod(shape))
        numbers = np.zeros(size)
        if 0 <= self.place - self.seen < size:
            numbers[self.place - self.seen] = 1
        self.seen += size
        return numbers.reshape(shape)


@pytest.mark.parametrize(
    ("snapshots", "rank"), [(7, 3), (2, 3), (3, 8), (1, 2), (5, 0)]
)
def test_the_numpy_draw_has_the_mean_and_covariance(tmp_path, snapshots, rank):
    state = posterior(snapshots, rank)
    archive.save(tmp_path / "p.npz", state)

    def flat(weights):
        return np.concatenate([weights[name].ravel() for name in ("a/w", "b")])

    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        center = flat(NUMPY["draw"](Unit(-1), file))
        # A draw is the mean plus a matrix times noise; here is each of its columns.
        columns = [
            flat(NUMPY["draw"](Unit(place), file, 0.7)) - center
            for place in range(rank + 8)
        ]
        still = flat(NUMPY["draw"](np.random.default_rng(0), file, 0.0))

    def leaves(tree):
        return [np.float64(leaf) for leaf in (tree["a"]["w"], tree["b"])]

    mean, scatter = (
        np.concatenate([leaf.ravel() for leaf in leaves(tree)])
        for tree in (state.mean, state.scatter)
    )
    d = [x.reshape(rank, x[:1].size) for x in leaves(state.deviations) if rank]
    d = np.concatenate(d, 1) if rank else np.zeros((0, len(mean)))
    low_rank = d.T @ d / max(min(snapshots, rank) - 1, 1)
    share = 0.5 if rank else 1.0
    covariance = 0.7 * share * (np.diag(scatter / snapshots) + low_rank)
    np.testing.assert_allclose(center, mean, rtol=1e-7)
    np.testing.assert_array_equal(still, center)
    np.testing.assert_allclose(
        np.transpose(columns) @ columns, covariance, rtol=1e-5, atol=1e-7
    )


@pytest.fixture(scope="module")
def digits(compiled_once):
    """The posterior that is shipped, and its data."""
    data = load(Data(source="digits", imbalance_factor=50, largest=100))
    mean, std = geometry.moments(data.train.image)
    images = [
        geometry.normalise(split.image, mean, std) for split in (data.train, data.test)
    ]
    return *archive.load(DIGITS), *images, data.test.label


def right(features, head, labels):
    logits = np.asarray(features) @ np.asarray(head["kernel"]) + np.asarray(
        head["bias"]
    )
    return 100 * (logits.argmax(-1) == labels).mean()


def test_the_shipped_posterior_knows_the_digits(digits):
    state, stats, train, test, labels = digits
    told = json.loads((EXAMPLES / "digits_posterior.json").read_text())
    assert DIGITS.stat().st_size == told["bytes"] < 2**20
    assert jax.tree.leaves(state.deviations)[0].shape[0] == told["rank"][1]
    net = CifarResNet(depth=8, width=16)
    see = jax.jit(net.apply)

    def accuracy(params, stats):
        variables = {"params": params["features"], "batch_stats": stats}
        return right(see(variables, test), params["head"], labels)

    # One of 500 images may lie on an edge.
    assert abs(accuracy(state.mean, stats) - told["accuracy_of_the_mean"][1]) <= 0.21
    assert told["largest_change_of_a_logit"] < 0.01
    before, after = told["deviation_of_a_logit_over_draws"]
    assert abs(after / before - 1) < 0.1

    refresh = jax.jit(
        lambda params: batch_norm.refresh(
            lambda _: {"params": params}, jnp.zeros(1), net.apply, train
        )
    )

    def with_statistics(params):
        fresh = refresh(params["features"])
        return accuracy(params, jax.tree.map(lambda leaf: leaf[0], fresh))

    draws = [swag.sample(jax.random.key(3), state)]
    with np.load(DIGITS, allow_pickle=False) as file:
        arrays = NUMPY["draw"](np.random.default_rng(3), file)
    nested = jax.tree.map_with_path(
        lambda path, _: arrays["/".join(key.key for key in path)], state.mean
    )
    draws.append(jax.tree.map(lambda leaf: leaf.astype(np.float32), nested))
    for params in draws:
        moved = np.abs(params["head"]["kernel"] - state.mean["head"]["kernel"]).max()
        assert moved > 1e-3
        # The mean accuracy of forty draws is 88.7.
        assert with_statistics(params) > 85
