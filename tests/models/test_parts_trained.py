"""Parts of a network that train, by name, and the others, which are given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ltjax.mistake import Mistake
from ltjax.models import partition
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.heads import Cosine, Linear
from ltjax.models.network import Network

IMAGES = np.random.default_rng(0).normal(3, 2, (6, 4, 4, 2)).astype(np.float32)


class Block(nn.Module):
    rate: float = 0.0

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(3, (3, 3), name="conv1")(x)
        x = nn.Dropout(self.rate)(x, deterministic=not train)
        return nn.relu(BatchNorm(name="bn1")(x, train))


class Body(nn.Module):
    """Two blocks; the names of the second begin with those of the first."""

    rate: float = 0.0

    @nn.compact
    def __call__(self, x, train=False):
        x = Block(self.rate, name="block1")(x, train)
        x = Block(self.rate, name="block11")(x, train)
        x = nn.BatchNorm(not train, name="last")(x)
        return x.mean((1, 2))


NET = Network(features=Body(), head=Linear(4))
# Not what a network begins with: zeros and ones would hide what goes where.
VARIABLES = jax.tree.map(
    lambda leaf: leaf + np.random.default_rng(leaf.size).uniform(0.1, 1, leaf.shape),
    NET.init(jax.random.key(0), IMAGES),
)
RNGS = {"dropout": jax.random.key(1)}


def names(variables):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree.leaves_with_path(variables)
    }


@pytest.mark.parametrize(
    ("trained", "wanted"),
    [
        (("block1", "head"), ("/block1/", "/head/")),
        (("block11",), ("/block11/",)),
        (("block11/bn1", "last"), ("/block11/bn1/", "/last/")),
        (("bias",), ("/bias",)),
        (("head",), ("/head/",)),
    ],
)
def test_a_leaf_is_in_one_of_both(trained, wanted):
    own, fixed = partition.split(VARIABLES, trained)
    everything = names(VARIABLES)
    assert names(own) == {
        name for name in everything if any(part in name for part in wanted)
    }
    assert names(own) | names(fixed) == everything
    assert names(own).isdisjoint(names(fixed))
    both = partition.merged(own, fixed)
    jax.tree.map(np.testing.assert_array_equal, both, VARIABLES)
    assert own["params"].keys() == {"features", "head"}


def test_without_words_all_trains_and_the_network_is_itself():
    own, fixed = partition.split(VARIABLES, ())
    assert own is VARIABLES
    assert fixed == {}
    assert partition.bound(NET, fixed) is NET


@pytest.mark.parametrize("word", ["block", "block1_", "conv", "onv1", ""])
def test_a_word_that_names_nothing(word):
    with pytest.raises(Mistake) as told:
        partition.check(("head", word), VARIABLES)
    assert str(told.value) == (
        f"model.trained has {word!r}, which is in no name of the network; its parts "
        "are block1, block11, head, last"
    )


@pytest.mark.parametrize("trained", [("block11", "head"), ("head",), ("bias", "bn1")])
def test_tested_it_is_the_whole_network(trained):
    own, fixed = partition.split(VARIABLES, trained)
    net = partition.bound(NET, fixed)
    np.testing.assert_array_equal(net.apply(own, IMAGES), NET.apply(VARIABLES, IMAGES))
    of_features, of_head = (
        {kind: tree[part] for kind, tree in own.items() if part in tree}
        for part in ("features", "head")
    )
    features = net.features.apply(of_features, IMAGES)
    logits = net.head.apply(of_head, features)
    np.testing.assert_array_equal(logits, NET.apply(VARIABLES, IMAGES))
    assert net.takes == NET.takes


def in_training(net, variables):
    return net.apply(variables, IMAGES, train=True, rngs=RNGS, mutable=["batch_stats"])


def test_what_does_not_train_is_in_evaluation_mode():
    own, fixed = partition.split(VARIABLES, ("block11", "head"))
    got, updated = in_training(partition.bound(NET, fixed), own)

    def run(module, name, x, *how, **kind):
        tree = {of: VARIABLES[of]["features"][name] for of in VARIABLES}
        return module.apply(tree, x, *how, **kind)

    # By hand: the first block and the last norm as tested, the second as trained.
    x = run(Block(), "block1", IMAGES)
    x, wanted = run(Block(), "block11", x, True, mutable=["batch_stats"])
    x = run(nn.BatchNorm(True), "last", x).mean((1, 2))
    logits = NET.head.apply({"params": VARIABLES["params"]["head"]}, x)
    np.testing.assert_allclose(got, logits, rtol=1e-5)
    assert updated["batch_stats"].keys() == {"features"}
    assert updated["batch_stats"]["features"].keys() == {"block11"}
    jax.tree.map(
        np.testing.assert_array_equal,
        updated["batch_stats"]["features"]["block11"],
        wanted["batch_stats"],
    )
    assert not np.allclose(got, NET.apply(VARIABLES, IMAGES))  # the mode tells


@pytest.mark.parametrize("trained", [("head",), ("bias", "head")])
def test_fixed_statistics_are_those_of_training_too(trained):
    own, fixed = partition.split(VARIABLES, trained)
    got, updated = in_training(partition.bound(NET, fixed), own)
    np.testing.assert_allclose(got, NET.apply(VARIABLES, IMAGES), rtol=1e-5)
    assert jax.tree.leaves(updated) == []


def test_nothing_is_dropped_where_nothing_trains():
    dropping = NET.copy(features=Body(0.5))
    for trained, same in ((("head",), True), (("block11", "head"), False)):
        own, fixed = partition.split(VARIABLES, trained)
        bound, other = (partition.bound(net, fixed) for net in (dropping, NET))
        (got, _), (wanted, _) = in_training(bound, own), in_training(other, own)
        assert np.allclose(got, wanted, rtol=1e-5) == same


def test_the_gradient_is_of_what_trains():
    own, fixed = partition.split(VARIABLES, ("block11", "head"))
    net = partition.bound(NET, fixed)

    def loss(params, variables, network):
        variables = {**variables, "params": params}
        return jnp.sum(network.apply(variables, IMAGES) ** 2)

    of_all = jax.grad(loss)(VARIABLES["params"], VARIABLES, NET)
    got = jax.grad(loss)(own["params"], own, net)
    wanted, _ = partition.split({"params": of_all}, ("block11", "head"))
    assert names(got) == names(own["params"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, wanted["params"]
    )


def test_a_head_of_which_a_part_is_given():
    head = Cosine(4)
    net = NET.copy(head=head)
    variables = net.init(jax.random.key(0), IMAGES)
    own, fixed = partition.split(variables, ("block1",))
    bound = partition.bound(net, fixed)
    assert own["params"]["head"] == {}
    wanted = head.linear(variables["params"]["head"])
    jax.tree.map(
        np.testing.assert_array_equal, bound.head.linear(own["params"]["head"]), wanted
    )
    features = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(bound.head.inputs(features), head.inputs(features))


class Wrapped(nn.Module):
    """Layers under transforms that call them by other names than their own."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.WeightNorm(nn.Dense(3, name="dense1"), name="norm1")(x.mean((1, 2)))
        x = nn.remat(lambda layer, x: layer(x))(nn.Dense(3, name="dense2"), x)
        return nn.Dense(3, name="dense3")(x)


def test_layers_under_transforms_may_be_given_too():
    net = Network(features=Wrapped(), head=Linear(4))
    variables = net.init(jax.random.key(0), IMAGES)
    own, fixed = partition.split(variables, ("dense3", "head"))
    got, _ = partition.bound(net, fixed).apply(
        own, IMAGES, train=True, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(got, net.apply(variables, IMAGES), rtol=1e-6)
