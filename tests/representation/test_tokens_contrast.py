"""The objectives of DeiT-LT and of its teachers, against what they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ltjax import losses
from ltjax.config import DeitLt, Ldam, Paco
from ltjax.models.heads import Linear
from ltjax.models.projected import Projected, Projection
from ltjax.representation import step as steps
from ltjax.representation.objective import Task

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
COUNTS = np.array([60, 20, 5, 2])
LABELS = RNG.integers(0, 4, 6)
STEPS = 3  # of an epoch
TASK = Task(COUNTS, STEPS, 10)
LOGITS = (4 * RNG.normal(size=(6, 2, 4))).astype(np.float32)
TAUGHT = RNG.normal(size=(6, 4)).astype(np.float32)
IMAGES = RNG.integers(0, 256, (6, 4, 4, 3), np.uint8)
WEIGHTS = np.asarray(losses.class_balanced_weights(COUNTS, 0.9999), float)


def test_the_weights_of_the_release():
    def counts(classes, factor, largest):
        return np.array(
            [int(largest * factor ** (-c / (classes - 1))) for c in range(classes)]
        )

    for classes, factor, largest, first, last in (
        (10, 100, 5000, 0.050611, 3.992724),
        (10, 50, 5000, 0.089030, 3.520576),
        (100, 100, 500, 0.044876, 4.378313),
        (100, 50, 500, 0.078889, 3.849388),
    ):
        found = losses.class_balanced_weights(counts(classes, factor, largest), 0.9999)
        np.testing.assert_allclose(found[0], first, rtol=2e-5)
        np.testing.assert_allclose(found[-1], last, rtol=2e-5)


@pytest.mark.parametrize("late", [False, True])
def test_ldam_weighs_classes_late(late):
    made = Ldam(reweight_epoch=2).make(TASK)
    step = 2 * STEPS - (not late)
    value, judged, note = made.loss(LOGITS[:, 0], {"label": LABELS}, (), step)
    cosines = LOGITS[:, 0].astype(float) / 30
    margins = 0.5 * (COUNTS.min() / COUNTS) ** 0.25
    cosines[np.arange(6), LABELS] -= margins[LABELS]
    log_probs = 30 * cosines - np.log(np.exp(30 * cosines).sum(1, keepdims=True))
    own = WEIGHTS[LABELS] if late else np.ones(6)
    wanted = -(own * log_probs[np.arange(6), LABELS]).sum() / own.sum()
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    np.testing.assert_array_equal(judged, LOGITS[:, 0])
    assert note == ()
    both, _, _ = made.loss(LOGITS, {"label": LABELS}, (), step)
    other, _, _ = made.loss(LOGITS[:, 1], {"label": LABELS}, (), step)
    np.testing.assert_allclose(both, value + other, rtol=1e-5)


def mixed(kind, step):
    made = kind.make(TASK)
    batch = {"image": IMAGES, "label": LABELS}
    return made, jax.jit(made.mix)(jax.random.key(1), batch, step)


@pytest.mark.parametrize(
    ("step", "late"), [(0, False), (2 * STEPS - 1, False), (2 * STEPS, True)]
)
@pytest.mark.parametrize("mixed_late", [False, True])
def test_deit_lt_mixes_until_its_weights(step, late, mixed_late):
    kind = DeitLt(reweight_epoch=2, mixed_late=mixed_late)
    made, seen = mixed(kind, step)
    if late and not mixed_late:
        np.testing.assert_array_equal(seen["image"], IMAGES)
        np.testing.assert_array_equal(seen["targets"], np.eye(4)[LABELS])
    else:
        assert (np.asarray(seen["image"]) != IMAGES).any()
        np.testing.assert_allclose(seen["targets"].sum(1), 1, rtol=1e-6)
        assert seen["targets"].min() >= 0.1 / 4 - 1e-6
    batch = {**seen, "teacher": TAUGHT}
    value, judged, _ = made.loss(LOGITS, batch, (), step)
    wanted = losses.deit_lt(
        LOGITS[:, 0],
        LOGITS[:, 1],
        seen["targets"],
        TAUGHT.argmax(1),
        weights=WEIGHTS if late else None,
    )
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    np.testing.assert_allclose(judged, LOGITS.mean(1), rtol=1e-6, atol=1e-6)


def test_deit_never_weighs():
    made, seen = mixed(DeitLt(reweight_epoch=None), 9 * STEPS)
    assert (np.asarray(seen["image"]) != IMAGES).any()
    batch = {**seen, "teacher": TAUGHT}
    value, *_ = made.loss(LOGITS, batch, (), 9 * STEPS)
    wanted = losses.deit_lt(
        LOGITS[:, 0], LOGITS[:, 1], seen["targets"], TAUGHT.argmax(1)
    )
    np.testing.assert_allclose(value, wanted, rtol=1e-6)


def test_without_mixing_labels_are_smoothed_alone():
    _, seen = mixed(DeitLt(mixup=0.0, cutmix=0.0, smoothing=0.2), 0)
    np.testing.assert_array_equal(seen["image"], IMAGES)
    np.testing.assert_allclose(seen["targets"], 0.8 * np.eye(4)[LABELS] + 0.05, 1e-5)


class Features(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        return nn.relu(nn.Dense(5, name="dense")(images.reshape(len(images), -1)))


NET = Projected(Features(), Linear(4), projection=Projection(3))
X = RNG.normal(size=(12, 2, 2, 1)).astype(np.float32)  # both views


def test_queries_are_unit_vectors_that_only_training_asks_for():
    variables = NET.init(jax.random.key(0), X)
    logits = NET.apply(variables, X)
    assert logits.shape == (12, 4)
    outputs, updated = NET.apply(variables, X, train=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(outputs["logits"], logits)
    lengths = np.linalg.norm(outputs["queries"], axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    assert "projection" in updated["batch_stats"]
    # The projection is a function of the features: two layers, batch norm, ReLU.
    own = variables["params"]["projection"]
    features = np.asarray(
        NET.features.apply({"params": variables["params"]["features"]}, X)
    )
    x = features @ own["fc1"]["kernel"] + np.asarray(own["fc1"]["bias"])[None]
    x = (x - x.mean(0, keepdims=True)) / np.sqrt(x.var(0, keepdims=True) + 1e-5)
    x = np.maximum(x, 0) @ own["fc2"]["kernel"] + np.asarray(own["fc2"]["bias"])[None]
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["queries"], x, atol=2e-5)


def test_paco_remembers_keys_of_a_moving_encoder():
    kind = Paco(queue=8, momentum=0.9, temperature=0.2, alpha=0.1)
    made = kind.make(TASK)
    variables = NET.init(jax.random.key(0), X)
    memory = made.init(jax.random.key(1), variables)
    np.testing.assert_allclose(np.linalg.norm(memory["keys"], axis=1), 1, rtol=1e-6)
    moved = jax.tree.map(lambda leaf: leaf + 0.1, variables["params"])
    state = steps.State(
        step=jnp.int32(0),
        params=moved,
        batch_stats=variables["batch_stats"],
        opt_state=(),
        memory=memory,
    )
    batch = made.prepare(
        jax.random.key(2), NET, {}, state, {"image": X, "label": LABELS}
    )
    np.testing.assert_array_equal(batch["image"], X[:6])
    second, _ = NET.apply(variables, X[6:], train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(batch["keys"], second["queries"], atol=1e-6)

    outputs, _ = NET.apply(
        {**variables, "params": moved}, X[:6], train=True, mutable=["batch_stats"]
    )
    value, judged, note = made.loss(outputs, batch, memory, 0)
    wanted = losses.paco(
        outputs["logits"],
        outputs["queries"],
        np.concatenate([batch["keys"], memory["keys"]]),
        LABELS,
        np.concatenate([LABELS, memory["labels"]]),
        COUNTS,
        alpha=0.1,
        temperature=0.2,
    ).mean()
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_array_equal(judged, outputs["logits"])

    after = made.remember(memory, moved, note)
    np.testing.assert_array_equal(after["keys"][:6], batch["keys"])
    np.testing.assert_array_equal(after["keys"][6:], memory["keys"][6:])
    np.testing.assert_array_equal(after["labels"][:6], LABELS)
    assert after["next"] == 6
    again = made.remember(after, moved, note)  # goes around
    np.testing.assert_array_equal(again["keys"][6:], batch["keys"][:2])
    np.testing.assert_array_equal(again["keys"][:4], batch["keys"][2:])
    assert again["next"] == 4
    jax.tree.map(
        lambda new, old: np.testing.assert_allclose(new, old + 0.01, atol=1e-6),
        after["encoder"],
        variables["params"],
    )
    assert made.statistics == ("full",)
