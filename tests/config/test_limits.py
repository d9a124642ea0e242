import dataclasses
import functools

import pytest

from ltjax.config import (
    Classifier,
    Config,
    Data,
    Model,
    Optim,
    Posterior,
    Srepr,
    Swa,
    limits,
)
from ltjax.mistake import Mistake

INF, NAN = float("inf"), float("nan")
NPZ = Data(source="npz", train="a.npz", test="b.npz")


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
        ("data.pad", (-1,), (0, 4)),
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
        ("model.frozen", (-1, 5), (0,)),
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
        ("data.crop_area", (0, -0.1, 1.01, NAN, 0.08), (None,)),
        ("data.jitter", (-0.1, 1, NAN, 0.4), (0, 0.0)),
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


@pytest.mark.parametrize(
    "config",
    [
        Config(data=NPZ),
        Config(data=Data(source="npz", train="a.npz", test_per_class=5)),
        Config(data=Data(source="folder", path="x")),
        Config(
            data=Data(source="csv", path="x", size=8, strict=True, test_per_class=1)
        ),
        Config(data=Data(source="tfds:cifar100", directory="x", download=True)),
        Config(data=Data(source="tfds:imagenet_lt", size=224, crop_area=0.08)),
        Config(data=Data(source="folder", path="x", stream=False, size=8, pad=4)),
        Config(data=Data(source="csv", path="x", stream=True, workers=4, jitter=0.4)),
        Config(data=Data(source="folder", path="x", background="#777", range=(0, 9))),
        Config(data=Data(source="folder", path="x", background=None, range=(-0.5, 1))),
        Config(data=Data(source="npz", train="a", test="b", background="black")),
        Config(data=Data(source="tfds:x", stream=True, range=(0, 4095))),
        Config(data=Data(source="tfds:x", stream=False)),
        Config(data=Data(imbalance_factor=100, largest=500)),
        Config(optim=Optim(epochs=2, warmup_epochs=0)),
        Config(classifier=Classifier(methods=())),
        Config(model=Model(name="resnet50", dtype="bfloat16")),
        Config(model=Model(name="resnet152", pretrained="a.npz", frozen=4)),
    ],
)
def test_settings_that_belong_together(config):
    limits.check(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            Config(data=Data(source="npz", train="a.npz")),
            "data.test is None; it must name an npz file",
        ),
        (
            Config(data=Data(source="folder")),
            "data.path is None; it must name a folder of images",
        ),
        (
            Config(data=Data(source="csv", path="")),
            "data.path is ''; it must name a .csv file",
        ),
        (
            Config(data=Data(source="csv", path="x", train="a.npz")),
            "data.train is 'a.npz', which only --data.source npz reads; "
            "data.source is csv",
        ),
        (
            Config(data=Data(size=64)),
            "data.size is 64, which only --data.source folder or csv or tfds reads; "
            "data.source is digits",
        ),
        (
            Config(data=Data(source="digits", stream=True)),
            "data.stream is True, which only --data.source folder or csv or tfds "
            "reads; data.source is digits",
        ),
        (
            Config(data=Data(source="tfds:x", stream=False, range=(0, 9))),
            "data.range is (0, 9), which only a streamed set reads; "
            "data.stream is False",
        ),
        (
            Config(data=Data(source="tfds:x", stream=False, background="black")),
            "data.background is 'black', which only a streamed set reads; "
            "data.stream is False",
        ),
        (
            Config(data=Data(source="tfds:cifar10", size=8, stream=False)),
            "data.size is 8, which only a streamed set reads; data.stream is False",
        ),
        (
            Config(data=Data(source="folder", path="x", crop_area=0.1, stream=False)),
            "data.crop_area is 0.1, which only a streamed set reads; "
            "data.stream is False",
        ),
        (
            Config(data=Data(source="folder", path="x", crop_area=0.1, pad=4)),
            "data.pad is 4 and data.crop_area is 0.1; images are cropped in one of "
            "these ways",
        ),
        (
            Config(data=Data(source="folder", path="x", size=7)),
            "data.size is 7; it must be in 8..4096",
        ),
        (
            Config(data=Data(source="folder", path="x", test_per_class=0)),
            "data.test_per_class is 0; it must be at least 1",
        ),
        (
            Config(data=Data(source="npz", train="", test="b.npz")),
            "data.train is ''; it must name an npz file",
        ),
        (
            Config(data=dataclasses.replace(NPZ, directory="x")),
            "data.directory is 'x', which only --data.source tfds reads; "
            "data.source is npz",
        ),
        (
            Config(model=Model(name="resnet50", depth=56)),
            "model.depth is 56, which only a CIFAR ResNet reads; "
            "model.name is resnet50",
        ),
        (
            Config(model=Model(pretrained="a.npz")),
            "model.pretrained is 'a.npz', which no CIFAR ResNet reads; "
            "model.name is cifar_resnet",
        ),
        (
            Config(model=Model(name="resnet50", frozen=2)),
            "model.frozen is 2 without model.pretrained; only weights that were "
            "trained before can be frozen",
        ),
        (
            Config(data=Data(largest=500)),
            "data.largest is 500 without data.imbalance_factor; the profile needs both",
        ),
        (
            Config(data=Data(imbalance_factor=100, largest=0)),
            "data.largest is 0; it must be at least 1",
        ),
        (
            Config(optim=Optim(epochs=20), swa=Swa(start=40)),
            "swa.start is 40; it must lie between optim.warmup_epochs (5) and "
            "optim.epochs (20)",
        ),
        (
            Config(optim=Optim(epochs=1, warmup_epochs=0)),
            "swa.start is 0; it must lie between optim.warmup_epochs (0) and "
            "optim.epochs (1)",
        ),
    ],
)
def test_settings_that_do_not(config, message):
    with pytest.raises(Mistake) as caught:
        limits.check(config)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(seed=1.0), "seed is 1.0; it must be an integer"),
        (Config(seed=True), "seed is True; it must be an integer"),
        (Config(seed=None), "seed is None; it must be an integer"),
        (Config(name=3), "name is 3; it must be str or None"),
        (Config(optim=None), "optim is None; it must be Optim"),
        (
            Config(optim=Optim),
            "optim is <class 'ltjax.config.config.Optim'>; it must be Optim",
        ),
        (Config(optim=Swa()), f"optim is {Swa()!r}; it must be Optim"),
        (Config(optim=Optim(lr="0.1")), "optim.lr is '0.1'; it must be a number"),
        (Config(optim=Optim(lr=False)), "optim.lr is False; it must be a number"),
        (Config(optim=Optim(lr=None)), "optim.lr is None; it must be a number"),
        (
            Config(optim=Optim(drop_last=1)),
            "optim.drop_last is 1; it must be bool",
        ),
        (
            Config(posterior=Posterior(samples=[3])),
            "posterior.samples is [3]; it must be an integer",
        ),
        (
            Config(data=Data(classes=2.5)),
            "data.classes is 2.5; it must be an integer or None",
        ),
        (
            Config(data=Data(imbalance_factor="100")),
            "data.imbalance_factor is '100'; it must be a number or None",
        ),
        (
            Config(model=Model(dtype="float16")),
            "model.dtype is 'float16'; it must be 'float32' or 'bfloat16'",
        ),
        (
            Config(classifier=Classifier(srepr=Srepr(form=["mean"]))),
            "classifier.srepr.form is ['mean']; it must be 'mean' or 'dirichlet'",
        ),
    ],
)
def test_types(config, message):
    for check in (limits.check, limits.check_types):
        with pytest.raises(Mistake) as caught:
            check(config)
        assert str(caught.value) == message


@pytest.mark.parametrize("methods", [["la"], ("la", "LA"), "la", ("la", 3), None])
def test_methods_are_a_tuple_of_known_names(methods):
    with pytest.raises(Mistake, match=r"^classifier\.methods is .*a tuple of 'crt' or"):
        limits.check(Config(classifier=Classifier(methods=methods)))


def test_every_number_of_the_config_has_a_limit():
    limited = {name for names, _, _ in limits._LIMITS for name in names}

    def numbers(record, path=""):
        for field in dataclasses.fields(record):
            name = f"{path}{field.name}"
            if dataclasses.is_dataclass(field.type):
                yield from numbers(field.type, f"{name}.")
            elif {"int", "float"} & set(str(field.type).replace("'", " ").split()):
                yield name

    found = set(numbers(Config))
    assert found >= {"seed", "optim.lr", "data.classes"}
    # The start of SWA has a limit in other fields.
    assert found - limited == {"swa.start"}


def test_every_limit_names_a_field():
    for names, _, _ in limits._LIMITS:
        for name in names:
            functools.reduce(getattr, name.split("."), Config())
