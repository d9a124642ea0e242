import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ltjax.config import Classifier, Config, Optim, Posterior, ResNet, Sgd, Swa
from ltjax.mistake import Mistake
from ltjax.representation.objective import Objective, Task
from ltjax.stages import memory
from ltjax.stages.memory import Sizes

MIB = 2**20
# One MiB of weights, all of which two devices can share.
PARAMS = {"kernel": jax.ShapeDtypeStruct((512, 512), jnp.float32)}
TASK = Task(counts=(), steps=100, epochs=200)
SIZES = Sizes({"params": PARAMS}, Objective(None), TASK)
# Images of 1 KiB; features of 4 KiB, 10 draws and the mean.
SET = SIZES._replace(image=(16, 16, 4), train=1024, test=512, dims=(1024,), views=2)


@pytest.fixture(autouse=True)
def no_constants(monkeypatch):
    """Without what does not grow with the run, the numbers are round."""
    monkeypatch.setattr(memory, "_PART", 0)
    monkeypatch.setattr(memory, "_BATCHES", 3 * MIB)


# The numbers of steps of the rate and of snapshots, int32 each; a save copies them, and
# the state's number of steps, twice.
COUNTS, SAVED = 2 * 4, 2 * 3 * 4


def on(monkeypatch, device, host):
    """A machine with so many MiB, and room for what is counted on each device."""
    device = None if device is None else device * MIB + COUNTS
    monkeypatch.setattr(memory, "device_memory", lambda: device)
    shared = 2 * COUNTS * (device is None)
    monkeypatch.setattr(memory, "host_memory", lambda: host * MIB + SAVED + shared)


def in_mib(terms):
    return {name: count / MIB for name, count in terms.items()}


def check(sizes=SIZES, classifier=None, **settings):
    config = Config(swa=Swa(**settings), classifier=classifier or Classifier())
    return memory.check(config, sizes)


@pytest.mark.parametrize(
    ("settings", "device", "host"),
    [
        # Parameters, momentum, mean, scatter; then the deviations. A save copies all
        # of them twice.
        ({}, 4 + 20, 2 * 24),
        ({"rank": 7}, 4 + 7, 2 * 11),
        ({"dtype": "bfloat16"}, 4 + 10, 2 * 14),
        ({"place": "sharded"}, 4 + 10, 2 * 24),
        ({"place": "sharded", "dtype": "bfloat16"}, 4 + 5, 2 * 14),
        # One snapshot an epoch, two slots; the low-rank parts of eleven members.
        ({"place": "host"}, 4 + 2, 20 + 11 + 2 * 24),
        ({"place": "host", "dtype": "bfloat16"}, 4 + 1, 10 + 11 + 2 * 14),
        ({"place": "host", "every_steps": 10}, 4 + 10, 20 + 11 + 2 * 24),
        ({"place": "host", "every_steps": 1}, 4 + 20, 20 + 11 + 2 * 24),
    ],
)
def test_the_arithmetic_of_the_posterior(settings, device, host):
    found = memory.need(Config(swa=Swa(**settings)), SIZES)
    assert sum(found.device.values()) == device * MIB + COUNTS
    assert sum(found.host.values()) == host * MIB + SAVED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(Optim):
    def make(self, steps, rate=None):
        rate = rate or optax.constant_schedule(self.lr)
        return rate, optax.adam(rate)


def test_all_that_a_training_carries_is_counted():
    """Two moments of Adam, an objective's memory, and statistics, saved twice."""
    objective = Objective(None, init=lambda key, variables: jnp.zeros((3, 512, 512)))
    stats = {"mean": jax.ShapeDtypeStruct((256, 512), jnp.float32)}
    variables = {"params": PARAMS, "batch_stats": stats}
    found = memory.need(Config(optim=Adam()), Sizes(variables, objective, TASK))
    known = {"parameters": 1, "statistics": 0.5, "objective": 3, "20 deviations": 20}
    assert in_mib(found.device).items() >= known.items()
    counts = 2 * 4  # of steps, by Adam and by its rate
    assert found.device["optimizer"] == 2 * MIB + counts
    saved = sum(found.device.values()) + 4  # the state's own number of steps
    assert found.host["saving"] == 2 * saved


@pytest.mark.parametrize(
    ("classifier", "changes", "device", "host"),
    [
        # Features: 4 of the plain images, 22 of the tests, 44 of a view.
        ({}, {}, {"images": 2.5, "features": 3}, {"images": 1.5, "features": 117}),
        ({"bank": "file"}, {}, {"features": 3}, {"features": 3}),
        ({"bank_dtype": "bfloat16"}, {}, {"features": 3}, {"features": 3 + 26 + 44}),
        ({}, {"views": None}, {"features": 3}, {"features": 3 + 26 + 44}),
        ({}, {"views": 1}, {"features": 3}, {"features": 3 + 26 + 44}),
        ({}, {"dims": (2, 512)}, {"features": 3}, {"features": 117}),
        # Two batches of 512 on the way to a step.
        ({}, {"streamed": True}, {"images": 1}, {}),
    ],
)
def test_the_arithmetic_of_a_set(monkeypatch, classifier, changes, device, host):
    on(monkeypatch, 4 * 60, 999)
    config = Config(
        classifier=Classifier(**classifier),
        optim=Sgd(batch_size=512),
        posterior=Posterior(batch_size=100),
    )
    found = memory.need(config, SET._replace(**changes))
    assert in_mib(found.device).items() >= device.items()
    assert in_mib(found.host).items() >= host.items()
    assert ("images" in found.host) != changes.get("streamed", False)


def test_features_lie_on_a_device_that_has_room(monkeypatch):
    for device, there in ((4 * 114, True), (4 * 114 - 1, False)):
        on(monkeypatch, device, 999)
        found = memory.need(Config(), SET)
        assert in_mib(found.device)["features"] == (114 if there else 3)
        assert ("features" in found.host) != there
    # A device that shares the memory with another has half of it.
    on(monkeypatch, None, 2 * 4 * 114)
    assert jax.local_device_count() == 2
    assert in_mib(memory.need(Config(), SET).device)["features"] == 114


def test_it_is_told_in_a_line(monkeypatch):
    on(monkeypatch, 24, 48)
    assert check() == (
        "memory in MiB: parameters 1.0 + optimizer 1.0 + posterior 2.0 + 20 deviations "
        "20.0 = 24.0 MiB a device, and saving 48.0 = 48.0 MiB of the host; activations "
        "come on top"
    )
    on(monkeypatch, 30, 300)
    told = check(SET, place="host")
    assert "2 deviations 2.0 + images 2.5 + features 3.0 = 11.5 MiB a device, " in told
    assert "draws 11.0 + images 1.5 + features 117.0 = 197.5 MiB of the host" in told


@pytest.mark.parametrize(
    ("device", "host", "hint"),
    [
        (
            23,
            99,
            "there are 23.0 a device and 99.0 of the host; --swa.place sharded fits",
        ),
        (13, 99, "--swa.place sharded --swa.dtype bfloat16 fits"),
        (8, 99, "--swa.place host fits"),
        (8, 60, "--swa.place host --swa.dtype bfloat16 fits"),
        (8, 20, "lower swa.rank, posterior.samples or classifier.views, or take smal"),
        # Two devices that share the host's memory.
        (None, 95, "there are 95.0 for 2 device(s) and the host; --swa.place sharded"),
    ],
)
def test_what_cannot_fit_is_refused_with_what_would(monkeypatch, device, host, hint):
    on(monkeypatch, device, host)
    with pytest.raises(Mistake) as caught:
        check()
    assert "20 deviations 20.0 = 24.0 MiB a device, and saving" in str(caught.value)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("device", "host", "hint"),
    [
        # Images 1.5, a save 48, and features: 117, or 3 from a file.
        (40, 166, "host; --classifier.bank file fits"),
        (20, 166, "host; --swa.dtype bfloat16 fits"),
        (20, 60, "host; --swa.place sharded --classifier.bank file fits"),
    ],
)
def test_features_that_cannot_fit_are_refused(monkeypatch, device, host, hint):
    on(monkeypatch, device, host)
    with pytest.raises(Mistake, match=hint):
        check(SET)


def test_what_was_asked_for_is_not_proposed_again(monkeypatch):
    on(monkeypatch, 13, 99)
    with pytest.raises(Mistake, match=r"; --swa\.dtype bfloat16 fits"):
        check(place="sharded")
    on(monkeypatch, 15, 60)
    with pytest.raises(Mistake, match=r"; --swa\.dtype bfloat16 fits"):
        check(SET, Classifier(bank="file"), place="sharded")


def test_fresh_views_are_put_in_no_file(monkeypatch):
    on(monkeypatch, 40, 100)
    with pytest.raises(Mistake, match=r"; lower swa\.rank"):
        check(SET._replace(views=None), Classifier(views=None))


def test_this_machine_has_memory():
    assert memory.host_memory() > 100 * MIB
    assert memory.device_memory() is None or memory.device_memory() > MIB


def test_a_resnet50_has_the_parameters_that_are_known_of_it():
    net = ResNet(name="resnet50").make(1000)
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), np.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), image)["params"]
    # As torchvision's documentation says.
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 25_557_032
    head = jax.eval_shape(net.head.linear, params["head"])
    assert head["kernel"].shape == (2048, 1000)
