"""The type of every field, and that it is told."""

import pytest

from ltjax.config import (
    CifarResNet,
    Classifier,
    Config,
    Data,
    Optim,
    Posterior,
    Sgd,
    Srepr,
    limits,
)
from ltjax.mistake import Mistake


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(seed=1.0), "seed is 1.0; it must be an integer"),
        (Config(seed=True), "seed is True; it must be an integer"),
        (Config(seed=None), "seed is None; it must be an integer"),
        (Config(name=3), "name is 3; it must be str or None"),
        (Config(swa=None), "swa is None; it must be Swa"),
        (
            Config(optim=Sgd),
            "optim is <class 'ltjax.config.optim.Sgd'>; it must be a kind of Optim, a "
            f"frozen dataclass with {Optim.wanted}",
        ),
        (Config(swa=Data()), f"swa is {Data()!r}; it must be Swa"),
        (Config(optim=Sgd(lr="0.1")), "optim.lr is '0.1'; it must be a number"),
        (Config(optim=Sgd(lr=False)), "optim.lr is False; it must be a number"),
        (Config(optim=Sgd(lr=None)), "optim.lr is None; it must be a number"),
        (
            Config(optim=Sgd(drop_last=1)),
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
            Config(model=CifarResNet(dtype="float16")),
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
