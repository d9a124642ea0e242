import jax
import jax.numpy as jnp
import pytest

from ltjax import backbone, memory, pretrained
from ltjax.config import Model, Swa
from ltjax.mistake import Mistake

MIB = 2**20
# One MiB of weights, all of which two devices can share.
PARAMS = {"kernel": jax.ShapeDtypeStruct((512, 512), jnp.float32)}
SAMPLES, STEPS = 10, 100


def need(**settings):
    return memory.need(PARAMS, Swa(**settings), SAMPLES, STEPS)


def on(monkeypatch, device, host):
    """A machine with so many MiB."""
    device = None if device is None else device * MIB
    monkeypatch.setattr(memory, "device_memory", lambda: device)
    monkeypatch.setattr(memory, "host_memory", lambda: host * MIB)


def check(**settings):
    return memory.check(PARAMS, Swa(**settings), SAMPLES, STEPS)


@pytest.mark.parametrize(
    ("settings", "device", "host"),
    [
        # Parameters, momentum, mean, scatter; then the deviations.
        ({}, 4 + 20, 0),
        ({"rank": 7}, 4 + 7, 0),
        ({"dtype": "bfloat16"}, 4 + 10, 0),
        ({"place": "sharded"}, 4 + 10, 0),
        ({"place": "sharded", "dtype": "bfloat16"}, 4 + 5, 0),
        # One snapshot an epoch, two slots; the low-rank parts of eleven members.
        ({"place": "host"}, 4 + 2, 20 + 11),
        ({"place": "host", "dtype": "bfloat16"}, 4 + 1, 10 + 11),
        ({"place": "host", "every_steps": 10}, 4 + 10, 20 + 11),
        ({"place": "host", "every_steps": 1}, 4 + 20, 20 + 11),
    ],
)
def test_the_arithmetic(settings, device, host):
    found = need(**settings)
    assert sum(found.device.values()) == device * MIB
    assert found.host == host * MIB


def test_it_is_told_in_a_line(monkeypatch):
    on(monkeypatch, 24, 8)
    assert check() == (
        "memory in MiB: parameters 1.0 + momentum 1.0 + mean 1.0 + scatter 1.0 + "
        "20 deviations 20.0 = 24.0 MiB a device; images and activations come on top"
    )
    on(monkeypatch, 24, 31)
    assert "2 deviations 2.0 = 6.0 MiB a device, and 31.0 of the host; images" in check(
        place="host"
    )


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
        (8, 30, "--swa.place host --swa.dtype bfloat16 fits"),
        (8, 20, "lower swa.rank or posterior.samples, or take a smaller model"),
        # Two devices that share the host's memory.
        (None, 47, "there are 47.0 for 2 device(s) and the host; --swa.place sharded"),
    ],
)
def test_what_cannot_fit_is_refused_with_what_would(monkeypatch, device, host, hint):
    on(monkeypatch, device, host)
    with pytest.raises(Mistake) as caught:
        check()
    assert "20 deviations 20.0 = 24.0 MiB a device; there are" in str(caught.value)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_asked_for_is_not_proposed_again(monkeypatch):
    on(monkeypatch, 13, 99)
    with pytest.raises(Mistake, match=r"; --swa\.dtype bfloat16 fits"):
        check(place="sharded")


def test_this_machine_has_memory():
    assert memory.host_memory() > 100 * MIB
    assert memory.device_memory() is None or memory.device_memory() > MIB


def test_a_resnet50_has_the_parameters_that_are_known_of_it():
    model = Model(name="resnet50")
    params = backbone.parameters(model, 1000, pretrained.none(), (224, 224, 3))
    # As torchvision's documentation says.
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 25_557_032
