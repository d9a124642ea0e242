import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.posterior import _loops


@pytest.mark.parametrize("count", [1, 2, 7, 12, 23, 1001])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 7, 1000])
def test_batches_are_those_of_array_split(count, batch_size):
    rows = np.arange(count)
    expected = np.array_split(rows, -(-count // batch_size))
    found = [
        rows[start + i * size : start + (i + 1) * size]
        for start, batches, size in _loops.spans(count, batch_size)
        for i in range(batches)
    ]
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected):
        np.testing.assert_array_equal(mine, theirs)
        assert len(mine) <= batch_size


def test_outputs_come_in_order():
    images = jnp.arange(11)[:, None]
    runs = _loops.over_batches(lambda x: 2 * x, images, 4)
    assert [run.shape for run in runs] == [(2, 4, 1), (1, 3, 1)]
    rows = np.concatenate([np.ravel(run) for run in runs])
    np.testing.assert_array_equal(rows, 2 * np.arange(11))


@pytest.mark.parametrize("count", [1, 2, 7, 12, 23, 1001])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 1000])
def test_batches_across_the_images_are_strides(count, batch_size):
    number = -(-count // batch_size)
    seen = []

    def step(carry, batch):
        jax.debug.callback(lambda rows: seen.append(rows.tolist()), batch, ordered=True)
        return carry + batch.sum()

    total = _loops.across_batches(step, jnp.int32(0), jnp.arange(count), batch_size)
    jax.effects_barrier()
    assert seen == [list(range(count))[first::number] for first in range(number)]
    assert total == count * (count - 1) // 2
