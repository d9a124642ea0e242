"""Routed inference against all experts on all samples, and what it leaves out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.classifier import router, routing
from ltjax.models import experts
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.models.heads import Cosine, per_expert
from ltjax.models.network import Network

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)


def masked(logits, asked):
    """The mean over the experts used, and how many: all [N, E, C], asks [N, E - 1]."""
    used = 1 + np.cumprod(asked.astype(int), axis=1).sum(1)
    return np.array([z[:k].mean(0) for z, k in zip(np.float64(logits), used)]), used


def padded(used, experts, batch_size):
    """Images that each expert runs on, in whole batches."""
    return [-(-(used > i).sum() // batch_size) * batch_size for i in range(experts)]


@pytest.mark.parametrize("who", ["some", "none", "all"])
@pytest.mark.parametrize(
    ("count", "experts", "batch_size"),
    [(37, 4, 8), (16, 3, 4), (3, 3, 8), (9, 1, 4), (7, 2, 1)],
)
def test_it_equals_all_experts_masked(count, experts, batch_size, who):
    images = RNG.normal(size=(count, 5)).astype(np.float32)
    kernels = RNG.normal(size=(experts, 5, 6)).astype(np.float32)
    turns = {"some": 0.0, "none": np.inf, "all": -np.inf}[who]
    calls = []

    def expert(index, maps):
        jax.debug.callback(lambda: calls.append(index))
        return maps["x"] * (index + 1), maps["x"] @ kernels[index]

    def ask(index, features, mean_logits):
        return features[:, index] + mean_logits[:, 0] > turns

    def run(images):
        return routing.run(
            lambda x: {"x": 2 * x}, expert, ask, experts, images, batch_size
        )

    got = jax.jit(run)(images)
    jax.effects_barrier()
    logits = 2 * np.einsum("nd,edc->nec", images, kernels)
    means = np.cumsum(logits, 1) / np.arange(1, experts + 1)[:, None]
    asked = [
        2 * (i + 1) * images[:, i] + means[:, i, 0] > turns for i in range(experts - 1)
    ]
    wanted, used = masked(logits, np.array(asked).reshape(experts - 1, count).T)
    np.testing.assert_array_equal(got.used, used)
    np.testing.assert_allclose(got.logits, wanted, rtol=1e-5, atol=1e-5)
    ran = padded(used, experts, batch_size)
    np.testing.assert_array_equal(got.ran, ran)
    # What was counted is what was run.
    assert [calls.count(i) * batch_size for i in range(experts)] == ran
    if who == "some" and count > 10 and experts > 1:
        assert len(set(used)) == experts


def shared(network, variables, images):
    return network.apply(
        variables, images, method=lambda net, images: net.features.shared(images)
    )


def single(network, variables, index, maps):
    """The features [B, D] and logits [B, C] of one expert."""
    features = network.apply(
        variables, maps, method=lambda net, maps: net.features.expert(index, maps)
    )
    head = jax.tree.map(
        lambda leaf: leaf[index : index + 1], variables["params"]["head"]
    )
    logits = network.head.apply({"params": head}, features[:, None])
    return features, logits[:, 0]


def test_a_network_routed_is_the_network_masked():
    images = RNG.normal(size=(21, 8, 8, 1)).astype(np.float32)
    features = experts.branched(CifarResNet(8, 4), 2, (3, 3, 3))
    network = Network(features, per_expert(Cosine)(5, 30.0))
    variables = jax.jit(network.init)(jax.random.key(0), images)
    params = router.init(jax.random.key(1), 3, 12, 5)

    @jax.jit
    def run(variables, params, images):
        # Shifted, so that about half of the samples ask.
        def ask(index, features, mean_logits):
            return router.request(params, index, features, mean_logits) > shift

        return routing.run(
            partial(shared, network, variables),
            partial(single, network, variables),
            ask,
            3,
            images,
            4,
        )

    @jax.jit
    def everything(variables, params, images):
        seen = features.apply(
            {kind: tree["features"] for kind, tree in variables.items()}, images
        )
        logits = network.apply(variables, images)
        return logits, router.logits(params, seen, logits)

    logits, requests = everything(variables, params, images)
    shift = float(jnp.median(requests)) + 1e-3
    wanted, used = masked(logits, np.asarray(requests) > shift)
    assert set(used) == {1, 2, 3}
    got = run(variables, params, images)
    np.testing.assert_array_equal(got.used, used)
    np.testing.assert_allclose(got.logits, wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(got.ran, padded(used, 3, 4))


def test_nothing_to_route_is_refused():
    with pytest.raises(ValueError, match="0 images, 3 experts, batches of 4"):
        routing.run(None, None, None, 3, np.zeros((0, 8, 8, 1)), 4)
