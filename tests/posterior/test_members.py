import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ltjax.classifier import linear
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.posterior import batch_norm, point, predictive, swag
from ltjax.posterior import members as extractor

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (23, 4, 4, 3), np.uint8)
SCALES = [0.0, 0.5, 0.5, 0.5]  # the mean and three draws


class Features(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(5, use_bias=False, name="mix")(x)
        x = BatchNorm(name="norm")(x, train)
        return nn.tanh(x).mean((1, 2))


NET = Network(Features(), Linear(4))
DRAW = extractor.whole(swag.sample)
OF_PARTS = extractor.whole_of_parts(swag.assemble)


def prepare(images):
    return jnp.float32(images) / 255


def group():
    return extractor.make(jax.random.key(3), samples=3, scale=0.5)


def at(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def snapshot(leaf):
    return RNG.normal(1, 0.3, leaf.shape).astype(np.float32)


@pytest.fixture(scope="module")
def posterior():
    layout = jax.eval_shape(NET.init, jax.random.key(0), prepare(IMAGES))["params"]
    update = jax.jit(swag.update)
    state = swag.init(layout, rank=2)
    for _ in range(4):
        state = update(state, jax.tree.map(snapshot, layout))
    return state


@pytest.fixture(scope="module")
def weights(posterior):
    """The weights of every member, straight from the posterior."""
    sample = jax.jit(swag.sample)
    return [sample(key, posterior, scale) for key, scale in zip(group().key, SCALES)]


@pytest.fixture(scope="module")
def seen(posterior):
    """Statistics and features of every member."""
    parts = (extractor.features_of(DRAW), NET, prepare)
    refresh = jax.jit(extractor.make_refresh(*parts, batch_size=50, chunk=1))
    features = jax.jit(extractor.make_features(*parts, batch_size=50, chunk=2))
    stats = refresh(posterior, group(), IMAGES)
    return stats, features(posterior, group(), stats, IMAGES)


def test_the_mean_comes_first():
    everyone = group()
    assert everyone.key.shape == (4,)
    assert len(set(map(str, jax.random.key_data(everyone.key)))) == 4
    np.testing.assert_array_equal(everyone.scale, SCALES)
    alone = extractor.first(everyone)
    assert alone.key.shape == (1,)
    np.testing.assert_array_equal(alone.scale, [0])


@pytest.mark.parametrize("chunk", [None, 4])
def test_members_are_the_mean_and_draws_of_the_posterior(posterior, weights, chunk):
    def draw(posterior, members):
        def one(member):
            return DRAW(posterior, member)["features"]

        return jax.lax.map(one, members, batch_size=chunk)

    found = jax.jit(draw)(posterior, group())
    chex.assert_trees_all_equal(at(found, 0), posterior.mean["features"])
    for member in (1, 2, 3):
        wanted = weights[member]["features"]
        chex.assert_trees_all_close(at(found, member), wanted, rtol=1e-6)
        assert np.all(wanted["mix"]["kernel"] != found["mix"]["kernel"][0])


def test_statistics_are_those_of_each_member_on_the_prepared_images(weights, seen):
    stats, _ = seen
    images = IMAGES.astype(np.float64) / 255
    for member, params in enumerate(weights):
        norm = at(stats, member)["norm"]
        mixed = images @ np.asarray(params["features"]["mix"]["kernel"], np.float64)
        np.testing.assert_allclose(norm["mean"], mixed.mean((0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(norm["var"], mixed.var((0, 1, 2)), rtol=1e-5)


def test_features_are_those_of_the_network(weights, seen):
    stats, found = seen
    assert found.shape == (4, len(IMAGES), 5)
    apply = jax.jit(lambda variables: NET.apply(variables, prepare(IMAGES)))
    for member, params in enumerate(weights):
        statistics = {"features": at(stats, member)}
        wanted = apply({"params": params, "batch_stats": statistics})
        logits = linear.logits(params["head"], found[member])
        np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-5)


def test_a_point_has_the_mean_as_its_only_member(posterior, seen):
    everyone_stats, everyone = seen
    draw = extractor.features_of(extractor.whole(point.sample))
    parts, alone = (draw, NET, prepare), extractor.first(group())
    refresh = jax.jit(extractor.make_refresh(*parts, batch_size=50, chunk=1))
    features = jax.jit(extractor.make_features(*parts, batch_size=50, chunk=1))
    stats = refresh(point.init(posterior.mean), alone, IMAGES)
    chex.assert_trees_all_close(at(stats, 0), at(everyone_stats, 0), rtol=1e-6)
    found = features(point.init(posterior.mean), alone, stats, IMAGES)
    assert found.shape == (1, len(IMAGES), 5)
    np.testing.assert_allclose(found[0], everyone[0], rtol=1e-5, atol=1e-6)


def test_each_draw_has_the_head_of_the_same_draw(posterior, weights):
    heads = jax.jit(extractor.make_heads(DRAW, NET))
    found = heads(posterior, group())
    chex.assert_trees_all_equal(at(found, 0), posterior.mean["head"])
    for member in (1, 2, 3):
        wanted = weights[member]["head"]
        chex.assert_trees_all_close(at(found, member), wanted, rtol=1e-6)
        assert np.all(wanted["kernel"] != posterior.mean["head"]["kernel"])
    # From the parts that a host keeps, without deviations on the device.
    parts = extractor.parts(posterior, group(), swag.low_ranks_on_host)
    bare = posterior.replace(deviations=())
    heads = jax.jit(extractor.make_heads(OF_PARTS, NET))
    chex.assert_trees_all_close(heads(bare, parts), found, rtol=1e-5, atol=1e-6)


def apply(variables, images, train=False, mutable=False):
    return NET.features.apply(variables, prepare(images), train, mutable=mutable)


def statistics(variables, images):
    return apply(variables, images, True, ["batch_stats"])[1]["batch_stats"]


def of_features(posterior):
    kept = ("mean", "scatter", "deviations")
    return posterior.replace(**{n: getattr(posterior, n)["features"] for n in kept})


@pytest.fixture(scope="module")
def at_once(posterior):
    """The members of the feature extractor's posterior, in one call."""
    key, own = jax.random.key(3), of_features(posterior)
    return extractor.members(key, own, 3, apply, IMAGES, scale=0.5)


def test_members_in_one_call_are_the_mean_and_draws(posterior, at_once):
    own = of_features(posterior)
    assert set(at_once) == {"params", "batch_stats"}
    chex.assert_trees_all_equal(at(at_once["params"], 0), own.mean)
    for member in (1, 2, 3):
        wanted = swag.sample(group().key[member], own, SCALES[member])
        found = at(at_once["params"], member)
        chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-6)
        assert np.all(found["mix"]["kernel"] != own.mean["mix"]["kernel"])


def test_members_in_one_call_have_statistics_of_their_own(at_once):
    images = IMAGES.astype(np.float64) / 255
    for member in range(4):
        own = at(at_once, member)
        mixed = images @ np.asarray(own["params"]["mix"]["kernel"], np.float64)
        norm = own["batch_stats"]["norm"]
        np.testing.assert_allclose(norm["mean"], mixed.mean((0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(norm["var"], mixed.var((0, 1, 2)), rtol=1e-5)


def test_two_plain_functions_are_a_modules_apply(posterior, at_once):
    # As a model that is no Linen module has them.
    pair = (lambda variables, images: apply(variables, images)), statistics
    own = of_features(posterior)
    found = extractor.members(jax.random.key(3), own, 3, pair, IMAGES, scale=0.5)
    chex.assert_trees_all_equal(found, at_once)
    seen = [
        predictive.features(found, lambda one: one, kind, IMAGES)
        for kind in (pair, apply)
    ]
    np.testing.assert_array_equal(*seen)
    assert seen[0].shape == (4, len(IMAGES), 5)


def test_a_model_without_batch_norm_has_no_statistics(posterior):
    images = np.ones((5, 3), np.float32)
    own = {"w": jnp.ones(3)}
    state = swag.update(swag.update(swag.init(own, 0), own), {"w": 2 * own["w"]})
    plain = (lambda variables, x: x * variables["params"]["w"]), lambda variables, x: {}
    found = extractor.members(jax.random.key(0), state, 2, plain, images)
    assert found["batch_stats"] == {}
    assert found["params"]["w"].shape == (3, 3)
    keys = found["params"]
    assert batch_norm.refresh(lambda p: {"params": p}, keys, plain, images) == {}


def test_members_of_a_diagonal_posterior_from_the_host(posterior):
    own = swag.init(posterior.mean, rank=0)
    for factor in (1.0, 1.5):
        scaled = jax.tree.map(lambda leaf, f=factor: f * leaf, posterior.mean)
        own = swag.update(own, scaled)
    parts = extractor.parts(own, group(), swag.low_ranks_on_host)
    for number in (0, 1):
        one = at(parts, number)
        found = OF_PARTS(own.replace(deviations=()), one)
        wanted = swag.sample(group().key[number], own, SCALES[number])
        chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-6)
