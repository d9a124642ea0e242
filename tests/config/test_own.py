"""Kinds of a user's own: trained, and told where they are wrong or missing."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
import tiny
from flax import linen as nn

from ltjax import config as configs
from ltjax.classifier import METHODS
from ltjax.config import (
    Classifier,
    Config,
    Head,
    Model,
    Objective,
    Optim,
    Sgd,
    file,
    limits,
    own,
)
from ltjax.config import record as records
from ltjax.mistake import Mistake
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.predict import __main__ as predict
from ltjax.report import __main__ as report
from ltjax.representation import objective as objectives
from ltjax.representation.objective import Objective as Seen
from ltjax.representation.objective import Task
from ltjax.run import run
from ltjax.stages import trained

TASK = Task(np.array([6, 3]), 2, 4)

# No kind of it derives from one of ltjax but the optimizer, whose fields others read.
FILE = """
import dataclasses
import optax
from flax import linen as nn
from ltjax.config import Config, Experts, Optim
from ltjax.losses import focal
from ltjax.models.heads import Linear
from ltjax.models.network import Network
from ltjax.representation import objective as objectives


class Pooled(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(5)(x.mean((1, 2)))


@dataclasses.dataclass(frozen=True)
class Smallest:
    def make(self, classes):
        return Network(features=Pooled(), head=Linear(classes))


@dataclasses.dataclass(frozen=True)
class Focal:
    gamma: float = 2.0
    near: tuple = (1, ("a", None))

    def make(self, task):
        assert task.epochs == 4
        loss = lambda logits, labels: focal(logits, labels, gamma=self.gamma)
        return objectives.per_example(loss)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(Optim):
    lr: float = 0.01

    def make(self, steps, rate=None):
        rate = rate or optax.constant_schedule(self.lr)
        return rate, optax.adam(rate)


config = Config(model=Smallest(), objective=Focal(gamma=1.0), optim=Adam())
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory, compiled_once):
    """The folder of a run whose network, objective and optimizer are its user's."""
    path = tmp_path_factory.mktemp("own")
    (path / "mine.py").write_text(FILE)
    words = "--optim.epochs 4 --optim.warmup-epochs 1 --optim.batch-size 16"
    mine = file.configured(path / "mine.py", [*words.split(), "--objective.gamma", "3"])
    kinds = {name: getattr(mine, name) for name in ("model", "objective", "optim")}
    few = Classifier(methods=("la", "srepr"), epochs=1, batch_size=16, views=1)
    return tiny.Place(path, classifier=few, **kinds)


def test_they_are_trained(done):
    config = done.config
    assert (config.objective.gamma, config.optim.lr) == (3.0, 0.01)
    rows = {(row["backbone"], row["classifier"]) for row in done.results["rows"]}
    assert ("swa", "srepr") in rows
    record = done.read("config.json")["config"]
    wanted = {"kind": "Focal", "gamma": 3.0, "near": [1, ["a", None]]}
    assert record["objective"] == wanted
    # Once more: it is that run, finished.
    assert run(config, done.out, tiny.quiet()) == done.results
    other = dataclasses.replace(config.objective, gamma=1.0)
    other = dataclasses.replace(config, objective=other)
    with pytest.raises(Mistake, match=r"objective\.gamma was 3\.0, now 1\.0"):
        run(other, done.out, tiny.quiet())


def test_what_needs_their_code_refuses_the_folder(done, tmp_path, capsys):
    wanted = f"{done.out} has a model of its own kind, Smallest, whose code its folder"
    with pytest.raises(Mistake, match=wanted):
        trained.read(done.out)
    done_ = str(done.out)
    code = predict.main([done_, str(tmp_path), "--out", str(tmp_path / "p.csv")])
    assert code == 2
    assert wanted in capsys.readouterr().err
    # A page needs none.
    assert report.main([done_, "--out", str(tmp_path / "page.html")]) == 0
    assert "Focal" in (tmp_path / "page.html").read_text()


def test_a_folder_of_another_form_names_its_version(done, tmp_path):
    whole = json.loads((done.out / "config.json").read_text())
    whole["config"]["data"]["pad"] = 1
    whole["versions"]["ltjax"] = "0.1.7"
    (tmp_path / "config.json").write_text(json.dumps(whole))
    Path(tmp_path / "results.json").write_text((done.out / "results.json").read_text())
    told = r"was made by ltjax 0\.1\.7, in another form than this version's \(Data has"
    with pytest.raises(Mistake, match=told):
        run(done.config, tmp_path, tiny.quiet())
    with pytest.raises(Mistake, match=told):
        trained.read(tmp_path)


def kind(base, made=None, fails=None, **fields):
    """A frozen dataclass whose `make` gives `made`, or fails."""

    def make(self, *args):
        if fails:
            raise fails
        return made

    bases = (base,) if base else ()
    names = [(name, type(value), value) for name, value in fields.items()]
    methods = {"make": make}
    return dataclasses.make_dataclass(
        "Mine", names, bases=bases, namespace=methods, frozen=True
    )()


@dataclasses.dataclass(frozen=True)
class Empty:
    rate: float = 1.0


@dataclasses.dataclass
class Loose:
    def make(self, task):
        return None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            Config(objective=Empty()),
            "objective is Empty(rate=1.0), which has no make; it must be a kind of "
            "Objective, a frozen dataclass with make(task), which gives an "
            "ltjax.representation.objective.Objective",
        ),
        (Config(objective=Loose()), "objective is Loose(); it must be a kind of Obj"),
        (Config(objective="ride"), "objective is 'ride'; it must be a kind of Object"),
        (
            Config(optim=kind(None)),
            "optim is Mine(), which has no lr, epochs, warmup_e",
        ),
        (
            Config(objective=kind(None, at=frozenset({1}))),
            "objective.at is frozenset({1}); it must be a number, a word, a record",
        ),
    ],
)
def test_a_record_that_is_no_kind_is_told(config, message):
    with pytest.raises(Mistake) as caught:
        limits.check(config)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


class NoHead(nn.Module):
    """A module, but not a network."""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            Config(objective=kind(Objective, made=lambda *args: 0.0)),
            "objective is Mine, whose make gives function; it must have make(task), "
            "which gives an ltjax.representation.objective.Objective",
        ),
        (
            Config(objective=kind(None, made=Seen(None, views=("full", "left")))),
            "objective is Mine, whose make gives Objective; it must have make(task), "
            "which gives an ltjax.representation.objective.Objective of the views",
        ),
        (
            Config(model=kind(None, made=NoHead())),
            "model is Mine, whose make gives NoHead; it must have make(classes), which",
        ),
        (
            Config(optim=kind(Optim, made=optax.sgd(0.1))),
            "optim is Mine, whose make gives GradientTransformationExtraArgs; it must",
        ),
        (
            Config(optim=Sgd(schedule=kind(None, made=0.1))),
            "optim.schedule is Mine, whose make gives float; it must have make(",
        ),
        (
            Config(objective=kind(Objective, fails=KeyError("x\ny"))),
            "objective is Mine, whose make raises KeyError: 'x",
        ),
    ],
)
def test_a_make_that_gives_something_else_is_told(config, message):
    limits.check(config)
    with pytest.raises(Mistake) as caught:
        own.check_made(config, 2, TASK)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_what_is_right_is_not_refused():
    network = Network(features=NoHead(), head=Linear(2))
    head = kind(Head, made=Linear(2))
    rate = optax.constant_schedule(0.1)
    own.check_made(
        Config(
            model=dataclasses.replace(Config().model, head=head),
            optim=Sgd(schedule=kind(None, made=rate)),
        ),
        2,
        TASK,
    )
    optim = kind(Optim, made=(rate, optax.sgd(rate)))
    own.check_made(Config(model=kind(None, made=network), optim=optim), 2, TASK)


class Failing(nn.Module):
    """Features that fail at one of the calls that a run makes of them."""

    at: str = ""

    @nn.compact
    def __call__(self, x, train=False):
        begins = self.is_initializing()
        if self.at == ("init" if begins else "train" if train else "test"):
            raise IndexError(f"no {self.at}\nhere")
        return nn.Dense(5)(x.mean((1, 2)))


class Unlike(nn.Module):
    """A head without what re-training asks for."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(4)(x)

    def linear(self, params):
        return params["kernel"]

    def inputs(self, features):
        return features


class Flat(nn.Module):
    """A head with one logit."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(4, name="dense")(x)[:, 0]

    def linear(self, params):
        return params["dense"]

    def inputs(self, features):
        return features


def network(at="", head=None, base=None, **fields):
    made = Network(features=Failing(at), head=head or Linear(4))
    return kind(base, made=made, **fields)


def objective(**parts):
    made = objectives.per_example(lambda logits, labels: logits.sum(-1))
    return kind(None, made=made._replace(**parts))


def fails(*args):
    raise ZeroDivisionError("by nothing")


STEP = optax.constant_schedule(0.1)
ADDS = optax.GradientTransformation(lambda params: (), fails)
FEW = {"epochs": 4, "warmup_epochs": 1, "batch_size": 16}


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"model": network("init")}, "model is Mine, whose network raises IndexError"),
        ({"model": network("train")}, "model is Mine, whose network raises IndexError"),
        ({"model": network("test")}, "model is Mine, whose network raises IndexError"),
        (
            {"model": network(head=Unlike())},
            "model is Mine, whose network raises KeyError: 'kernel'",
        ),
        (
            {"objective": objective(init=fails)},
            "objective is Mine, whose objective raises ZeroDivisionError: by nothing",
        ),
        (
            {"objective": objective(prepare=fails)},
            "objective is Mine, whose training step raises ZeroDivisionError: by n",
        ),
        (
            {"objective": objective(loss=fails), "model": network()},
            "objective is Mine, whose training step raises ZeroDivisionError: by n",
        ),
        (
            {"model": network("init", base=Model, trained=("head",))},
            "model is Mine, whose network raises IndexError",
        ),
        (
            {"model": network(base=Model, trained="head")},
            "model.trained is 'head'; it must be a tuple of words",
        ),
        (
            {"model": network(head=Flat())},
            "model is Mine, whose training step raises",
        ),
        (
            {"model": network(head=Linear(7))},
            "model is Mine, whose linear classifier is of 7 classes; there are 4",
        ),
        (
            {"optim": Sgd(schedule=kind(None, made=lambda at: 1 if at else 0), **FEW)},
            "optim.schedule is Mine, whose rate raises TracerBoolConversionError",
        ),
        (
            {"optim": kind(Optim, made=(STEP, ADDS), **FEW)},
            "optim is Mine, whose optimizer raises ZeroDivisionError: by nothing",
        ),
    ],
)
def test_what_fails_in_what_was_made_is_told_before_a_run(
    done, tmp_path, kinds, message
):
    usual = tiny.config_of(done.path)
    config = dataclasses.replace(usual, **kinds)
    with pytest.raises(Mistake) as caught:
        run(config, tmp_path / "x", tiny.quiet())
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x").exists()


def test_an_error_of_our_own_is_not_blamed_on_a_user():
    """A traceback is what we need of it."""
    config = Config(objective=objective())
    with pytest.raises(ZeroDivisionError), own.blamed(config, (Model,), "network"):
        fails()


METHOD = "halved"


def test_a_method_that_nobody_has_made_is_told(done, tmp_path, monkeypatch, capsys):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Classifier(configs.Classifier):
        methods: tuple[str, ...] = ("la", METHOD)

    usual = tiny.config_of(done.path)
    config = dataclasses.replace(
        usual, classifier=Classifier(epochs=1, views=1, batch_size=16)
    )
    told = f"classifier.methods has '{METHOD}', which ltjax.classifier.METHODS has not"
    with pytest.raises(Mistake, match=told):
        run(config, tmp_path / "x", tiny.quiet())
    assert not (tmp_path / "x").exists()
    # Where there was one, but is no longer: every door refuses its folder.
    copy = tmp_path / "copy"
    shutil.copytree(done.out, copy)
    whole = json.loads((copy / "config.json").read_text())
    whole["config"] = json.loads(json.dumps(records.to_json(config)))
    (copy / "config.json").write_text(json.dumps(whole))
    told = f"{copy} has a classifier of its own, '{METHOD}', whose code its folder does"
    assert (
        predict.main([str(copy), str(tmp_path), "--out", str(tmp_path / "p.csv")]) == 2
    )
    assert told in capsys.readouterr().err
    with pytest.raises(Mistake, match="has a classifier of its own"):
        trained.read(copy)
    monkeypatch.setitem(METHODS, METHOD, METHODS["la"])
    assert trained.read(copy, "sgd").backbone == "sgd"


@dataclasses.dataclass(frozen=True)
class Tanh:
    def make(self, kappa=None):
        return lambda name: nn.tanh


@dataclasses.dataclass(frozen=True)
class Halved:
    def make(self, linear, convolution):
        return lambda name: lambda x, train: x / 2


@dataclasses.dataclass(frozen=True)
class Nothing:
    def make(self, *asked):
        return 3


def test_gates_and_activations_of_ones_own_are_built_and_looked_at():
    def of(**fields):
        model = configs.CifarResNet(depth=8, width=4, **fields)
        return dataclasses.replace(Config(), model=model)

    right = of(activation=Tanh(), gate=Halved())
    limits.check(right)
    own.check_made(right, 3, TASK)
    net, images = right.model.make(3), np.ones((1, 8, 8, 3), np.float32)
    assert net.init_with_output(jax.random.key(0), images)[0].shape == (1, 3)
    for field, words in (
        ("activation", r"it must have make\(kappa=None\)"),
        ("gate", r"it must have make\(linear, convolution\)"),
    ):
        with pytest.raises(Mistake, match=f"model.{field} is Nothing, .* int; {words}"):
            own.check_made(of(**{field: Nothing()}), 3, TASK)
