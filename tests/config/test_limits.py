"""What a single field may hold."""

import dataclasses
import re
import typing

import pytest

from ltjax import config as configs
from ltjax.config import (
    CifarResNet,
    Config,
    Cosine,
    CosineByEpoch,
    Experts,
    Mdcs,
    ResNet,
    Ride,
    Sgd,
    StepDecay,
    file,
    kind,
    limits,
)
from ltjax.mistake import Mistake

INF, NAN = float("inf"), float("nan")


def with_value(name, value, base=None):
    """The default config with the field of a dotted name set."""
    base = base or Config()
    head, _, rest = name.partition(".")
    inner = with_value(rest, value, getattr(base, head)) if rest else value
    return dataclasses.replace(base, **{head: inner})


def test_the_defaults_are_right():
    limits.check(Config())


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        *(
            (name, (0, -1), (1,))
            for name in (
                "model.width",
                "optim.batch_size",
                "swa.every_steps",
                "posterior.samples",
                "posterior.chunk",
                "posterior.batch_size",
                "classifier.epochs",
                "classifier.batch_size",
                "classifier.views",
                "checkpoint.keep",
                "posterior.images",
            )
        ),
        ("optim.epochs", (0, -3), (300,)),
        ("data.classes", (1, 0, -1), (2,)),
        ("swa.rank", (1, 0), (2,)),
        ("optim.warmup_epochs", (-1, 150, 200), (0, 149)),
        ("augment.pad", (-1,), (0, 4)),
        *(
            (name, (-0.1, NAN, INF), (0, 0.0, 2.5))
            for name in (
                "optim.weight_decay",
                "posterior.scale",
                "classifier.weight_decay",
                "classifier.tau",
            )
        ),
        *(
            (name, (0, -1.0, NAN, INF), (1e-9, 3))
            for name in (
                "optim.lr",
                "swa.lr",
                "classifier.lr",
                "classifier.srepr.temperature",
            )
        ),
        ("classifier.rho", (-0.1, 5.1, NAN, INF), (0, 1.2, 5)),
        ("classifier.tau_norm", (NAN, INF, -INF), (0, 0.5)),
        ("data.imbalance_factor", (0.99, 0, -100, NAN, INF), (1, 100.0)),
        ("optim.momentum", (-0.1, 1, 1.5, NAN), (0, 0.99)),
        ("classifier.momentum", (-0.1, 1, NAN), (0,)),
        ("classifier.srepr.alpha", (-0.01, 1.01, NAN), (0, 1, 0.5)),
        ("model.depth", (2, 7, 9, 18, 54, -4), (8, 14, 20, 32, 56)),
        ("seed", (-1, 2**32), (0, 2**32 - 1)),
        ("data.subset_seed", (-1, 2**32), (0, 5)),
        ("swa.start", (5, 200, 201, -1), (6, 199, None)),
        ("name", ("", ".", "..", "a/b", "a\\b", "/"), ("a b", "a.b", "ä")),
        ("data.source", ("", "cifar", "tfds", "tfds:", "Digits"), ("tfds:cifar10",)),
        ("data.train", ("a.npz",), (None,)),
        ("data.test", ("a.npz",), (None,)),
        ("data.directory", ("x",), (None,)),
        ("data.download", (True,), (False,)),
        ("data.largest", (500,), (None,)),
        ("data.path", ("x",), (None,)),
        ("data.size", (64,), (None,)),
        ("data.strict", (True,), (False,)),
        ("data.test_per_class", (5,), (None,)),
        ("data.stream", (True,), (None, False)),
        ("data.workers", (-1, 2), (0,)),
        ("augment.crop_area", (0, -0.1, 1.01, NAN, 0.08), (None,)),
        ("augment.jitter", (-0.1, 1, NAN, 0.4), (0, 0.0)),
        ("data.background", ("nocolour", "", "#12345678", "rgb(300,0,0)"), ("white",)),
        ("data.range", ((1, 0), (2, 2), (0, NAN), (0, 10**400), (0, 9)), (None,)),
        ("data.range", ((0,), (0, 1, 2), [0, 1], ("a", 1), (0, None)), (None,)),
        # What would fill the memory, or take for ever.
        ("classifier.epochs", (10**6 + 1, 10**20), (10**6,)),
        ("data.classes", (10**6 + 1,), (10**6,)),
        ("posterior.samples", (1001, 2**31), (1000,)),
        ("model.depth", (1208, 6 * 10**9 + 2), (1202,)),
        ("swa.rank", (2**31, 10**30), (2**31 - 1,)),
        ("name", (201 * "x", 101 * "ä"), (200 * "x", 100 * "ä")),
    ],
)
def test_limits(name, wrong, right):
    for value in right:
        limits.check(with_value(name, value))
    for value in wrong:
        with pytest.raises(Mistake) as caught:
            limits.check(with_value(name, value))
        message = str(caught.value)
        assert "\n" not in message
        assert repr(value) in message or str(value) in message
        assert name in message


# Every limit, found by walking the records, meets values beyond it.

CANDIDATES = {
    int: (-1, 0, 1, 5, 7, 101, 1001, 4097, 1208, 10**6 + 1, 2**31, 2**32),
    float: (-0.1, 0.0, 1.0, 1.01, 5.1, 181.0, NAN, INF),
    str: ("", "a/b", 201 * "x", "nocolour"),
    tuple: ((2.0, 1.0), (0.0, NAN), ()),
}


def each_limit():
    """(base config, words that choose its kinds, dotted name, type, limit) of all."""
    kinds = [
        ((), Config()),
        (("--model", "resnet50"), Config(model=ResNet())),
        (("--model", "experts"), Config(model=Experts())),
        (("--model.head", "cosine"), Config(model=CifarResNet(head=Cosine()))),
        (("--objective", "ride"), Config(objective=Ride())),
        (("--objective", "mdcs"), Config(objective=Mdcs())),
        (("--optim.schedule", "step_decay"), Config(optim=Sgd(schedule=StepDecay()))),
        (
            ("--optim.schedule", "cosine_by_epoch"),
            Config(optim=Sgd(schedule=CosineByEpoch())),
        ),
    ]
    seen = set()
    for words, base in kinds:
        for path, _, record in kind.walk(base):
            for field in dataclasses.fields(record):
                name = f"{path}.{field.name}" if path else field.name
                bare, notes = kind.parts(field)
                for number, limit in enumerate(notes):
                    one = type(record), field.name, number
                    if isinstance(limit, limits.Limit) and one not in seen:
                        seen.add(one)
                        yield base, words, name, bare, limit


LIMITS = list(each_limit())


def beyond(bare, limit):
    """Values of the type that are beyond the limit."""
    types = typing.get_args(bare) or (bare,)
    if typing.get_origin(bare) is tuple or any(
        typing.get_origin(each) is tuple for each in types
    ):
        types = (tuple,)
    known = [value for each in types for value in CANDIDATES.get(each, ())]
    return [value for value in known if not right(limit, value)]


def right(limit, value):
    try:
        return limit.right(value)
    except IndexError:  # of a tuple that is too short: its type is wrong
        return True


@pytest.mark.parametrize(
    ("base", "words", "name", "bare", "limit"),
    LIMITS,
    ids=[f"{name} {limit.words}" for _, _, name, _, limit in LIMITS],
)
def test_a_value_beyond_a_limit_is_told(tmp_path, base, words, name, bare, limit):
    told = re.escape(f"{name} is ") + ".*; it must be "
    values = beyond(bare, limit)
    assert values
    for value in values:
        with pytest.raises(Mistake, match=told):
            limits.check(with_value(name, value, base))
    # The last one as a user would give it: the flag is there, and takes it.
    value = values[-1]
    path = tmp_path / "mine.py"
    path.write_text("from ltjax.config import Config\nconfig = Config()\n")
    given = map(str, value if isinstance(value, tuple) else [value])
    config = file.configured(path, [*words, f"--{name.replace('_', '-')}", *given])
    with pytest.raises(Mistake, match=told):
        limits.check(config)


def numbers():
    """The kind and the name of every field that is a number."""
    found = filter(dataclasses.is_dataclass, vars(configs).values())
    for record in found:
        for field in dataclasses.fields(record):
            bare, notes = kind.parts(field)
            if {int, float} & {bare, *typing.get_args(bare)}:
                yield record.__name__, field.name, notes


def test_every_number_of_the_config_has_a_limit():
    found = list(numbers())
    assert {("Config", "seed"), ("Cosine", "scale")} <= {one[:2] for one in found}
    bare = {
        (record, name)
        for record, name, notes in found
        if not any(isinstance(note, limits.Limit) for note in notes)
    }
    # These have their limits in other fields.
    others = {("StepDecay", "milestones"), ("Sam", "rho_epochs")}
    assert bare == {("Swa", "start"), *others}
