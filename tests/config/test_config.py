import dataclasses
import json
import subprocess
import sys

import pytest

from ltjax import config as configs
from ltjax.config import (
    Augment,
    Checkpoint,
    CifarResNet,
    Classifier,
    Config,
    Cosine,
    Data,
    Model,
    ResNet,
    Ride,
    Sgd,
    Srepr,
    Swa,
    choices,
)
from ltjax.config.kind import parts
from ltjax.runtime import command
from ltjax.workdir import identity


def difference_of(old, new):
    return next(identity.differences(old, new), None)


BASE = identity.of_config(Config())


def changed(**more):
    return identity.of_config(dataclasses.replace(Config(), **more))


@pytest.mark.parametrize(
    "config",
    [
        Config(checkpoint=Checkpoint(keep=7)),
        Config(swa=Swa(place="host")),
        Config(data=Data(train="a.npz", test="b.npz")),
        Config(data=Data(directory="elsewhere", download=True)),
        Config(data=Data(path="elsewhere", nested=True, strict=True)),
        Config(data=Data(workers=4, stream=False)),
        Config(data=Data(manifest="cifar100_lt", allow_mismatch=True)),
    ],
)
def test_what_does_not_change_the_numbers_is_no_part_of_the_identity(config):
    assert identity.of_config(config) == BASE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ResNet(), ResNet(pretrained="a.npz")),
        (Ride(), Ride(teacher="elsewhere")),
    ],
)
def test_nor_is_where_weights_are_read(one, other):
    name = "model" if isinstance(one, ResNet) else "objective"
    assert changed(**{name: one}) == changed(**{name: other})


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        (Config(seed=1), "seed was 0, now 1"),
        (Config(name="x"), "name was None, now 'x'"),
        (Config(optim=Sgd(lr=0.2)), "optim.lr was 0.1, now 0.2"),
        (
            Config(data=Data(imbalance_factor=100)),
            "data.imbalance_factor was None, now 100",
        ),
        (
            Config(classifier=Classifier(srepr=Srepr(form="dirichlet"))),
            "classifier.srepr.form was 'mean', now 'dirichlet'",
        ),
        (
            Config(classifier=Classifier(views=None)),
            "classifier.views was 4, now None",
        ),
        (
            Config(objective=Ride()),
            "objective.kind was 'cross_entropy', now 'ride'",
        ),
        (
            Config(model=CifarResNet(head=Cosine())),
            "model.head.kind was 'linear', now 'cosine'",
        ),
        (Config(augment=Augment(pad=4)), "augment.pad was 0, now 4"),
        (Config(data=Data(stream=True)), "data.stream was False, now True"),
        # Two differ: the first in the order of names is told.
        (
            Config(seed=1, optim=Sgd(lr=0.2, epochs=3)),
            "optim.epochs was 200, now 3",
        ),
    ],
)
def test_all_else_is_and_the_first_difference_is_named(config, difference):
    now = identity.of_config(config)
    assert difference_of(BASE, now) == difference


def test_equal_identities_have_no_difference():
    assert difference_of(BASE, identity.of_config(Config())) is None


def test_the_identity_survives_json():
    fields = changed(classifier=Classifier(methods=("la",)))
    read = json.loads(json.dumps(fields))
    assert read == fields
    assert difference_of(read, fields) is None


def test_what_comes_as_arrays_has_no_background_unless_it_is_asked_for():
    files = Data(source="folder", path="x")
    for data, known in (
        (files, "white"),
        (Data(), None),
        (Data(source="tfds:cifar100"), None),
        (Data(source="npz", background="black"), "black"),
    ):
        assert identity.of_config(Config(data=data))["data"]["background"] == known


@pytest.mark.parametrize(
    ("start", "epochs", "expected"), [(None, 200, 150), (None, 3, 2), (7, 10, 7)]
)
def test_without_a_start_three_epochs_in_four_come_before_the_constant_rate(
    start, epochs, expected
):
    config = Config(optim=Sgd(epochs=epochs), swa=Swa(start=start))
    assert configs.swa_start(config) == expected


def records():
    """Every record class of the room, the kinds of all choices too."""
    found = {
        value for value in vars(configs).values() if dataclasses.is_dataclass(value)
    }
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", records(), ids=lambda kind: kind.__name__)
def test_every_setting_has_a_short_help_text(kind):
    command.documented(kind)
    assert 0 < len(kind.__doc__.split()) < 25
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(parts(field)[0]):  # a group; its class has the text
            continue
        text = field.metadata["help"]
        assert len(text.split()) < 27, field.name
        assert text.endswith(".")


@pytest.mark.parametrize("kind", records(), ids=lambda kind: kind.__name__)
def test_records_are_frozen_and_named_by_the_room(kind):
    assert kind.__dataclass_params__.frozen
    assert kind.__name__ in configs.__all__


def test_every_choice_knows_its_kinds():
    for choice, kinds in choices.KINDS.items():
        assert choice.__name__ in configs.__all__
        for word in kinds:
            record = choices.begun(choice, word)
            assert isinstance(record, choice)
            assert choices.word(record) in kinds
            assert callable(record.make)
            assert not choices.is_own(record)


def test_records_need_no_jax():
    program = """
import sys
from ltjax.config import *
from ltjax.config import choices, file, limits, own, record, words
limits.check(Config())
print({"jax", "flax", "optax"} & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_which_parts_train_decides_the_run_of_a_network_of_ones_own():
    made = []
    for words in ("head",), ("block", "head"):
        named = {"trained": words, "make": lambda self, classes: None}
        kind = type("Mine", (Model,), named)
        kind = dataclasses.dataclass(frozen=True)(kind)
        made.append(identity.of_config(Config(model=kind()))["model"])
    assert [each["trained"] for each in made] == [["head"], ["block", "head"]]
    assert "trained" not in BASE["model"]
