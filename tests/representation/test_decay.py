"""Weight decay is of weights, and of nothing else."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ltjax.representation import decay, schedule

PARAMS = {
    "conv": {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.ones(2)},
    "act": {"kappa": jnp.full(1, 5.0), "lam": jnp.full(1, 0.5)},
}
ZEROS = optax.tree.zeros_like(PARAMS)


def test_shapes_of_activations_do_not_decay():
    tx = decay.coupled(0.1)
    found, _ = tx.update(ZEROS, tx.init(PARAMS), PARAMS)
    np.testing.assert_allclose(found["conv"]["kernel"], 0.3)
    np.testing.assert_allclose(found["conv"]["bias"], 0.1)
    assert not found["act"]["kappa"].any()
    assert not found["act"]["lam"].any()


def test_of_weights_it_is_that_of_optax():
    weights, gradient = (
        PARAMS["conv"],
        {"kernel": jnp.ones((2, 2)), "bias": ZEROS["conv"]["bias"]},
    )
    ours, theirs = decay.coupled(0.3), optax.add_decayed_weights(0.3)
    assert ours.init(weights) == theirs.init(weights)
    for name in weights:
        np.testing.assert_array_equal(
            ours.update(gradient, ours.init(weights), weights)[0][name],
            theirs.update(gradient, theirs.init(weights), weights)[0][name],
        )
    assert decay.decays(())  # a lone array


@pytest.mark.parametrize("nesterov", [False, True])
def test_stage_one_moves_a_shape_by_its_gradient_alone(nesterov):
    tx = schedule.sgd(0.1, 0.9, 0.5, nesterov)
    moved, _ = tx.update(ZEROS, tx.init(PARAMS), PARAMS)
    assert not moved["act"]["kappa"].any()
    assert moved["conv"]["kernel"].all()
