"""A user's own kinds in a config: what they make, and where their code is missing."""

import contextlib

from ltjax.config import choices
from ltjax.config.activation import Activation
from ltjax.config.gate import Gate
from ltjax.config.head import Head
from ltjax.config.kind import walk
from ltjax.config.model import Model
from ltjax.config.objective import Objective
from ltjax.config.optim import Optim, Schedule
from ltjax.mistake import Mistake

# The choices that a network is made of, the likeliest first to be wrong.
OF_NETWORK = Model, Head, Gate, Activation


def check_made(config, classes, task):
    """Has the kinds that are none of ltjax's make what they are for, to see it.

    `task` is the `representation.objective.Task` of the run. Raises `Mistake` for one
    that makes something else, or fails, and for a method that nobody has made.
    """
    from jax import nn  # late, as all of JAX

    for name in _unknown_methods(config):
        raise Mistake(
            f"classifier.methods has {name!r}, which ltjax.classifier.METHODS has not; "
            "put its module there before the run"
        )
    for path, choice, record in of_user(config):
        asked = {
            Model: (classes,),
            Head: (classes,),
            Activation: (),
            Gate: (nn.initializers.zeros, nn.initializers.zeros),
            Objective: (task,),
            Optim: (task.steps, None),
            Schedule: (config.optim, task.steps),
        }[choice]
        wanted = f"it must have {choice.wanted}"
        name = f"{path} is {type(record).__name__}"
        try:
            made = record.make(*asked)
        except Exception as error:  # whatever its author's code raises
            what = _in_a_line(error)
            raise Mistake(f"{name}, whose make raises {what}; {wanted}") from error
        if not _right(config, choice, made):
            raise Mistake(f"{name}, whose make gives {type(made).__name__}; {wanted}")


def of_user(config):
    """The kinds of a config that are none of ltjax's: (path, choice, record)."""
    for path, choice, record in walk(config):
        if choice is not None and choices.is_own(record):
            yield path, choice, record


@contextlib.contextmanager
def blamed(config, kinds, what):
    """Has an error of `what` a user's own kind made told in a line that names it.

    `kinds` are the choices that it may be of, the likeliest first; an error of ltjax's
    own stays as it is.
    """
    try:
        yield
    except Mistake:
        raise
    except Exception as error:  # whatever its author's code raises
        suspects = [each for each in of_user(config) if each[1] in kinds]
        for path, _, record in sorted(suspects, key=lambda each: kinds.index(each[1])):
            raise Mistake(
                f"{path} is {type(record).__name__}, whose {what} raises "
                f"{_in_a_line(error)}"
            ) from error
        raise


def _in_a_line(error):
    return " ".join(f"{type(error).__name__}: {error}".split("\n", 1)[0].split())


def _unknown_methods(config):
    """The classifiers of a config whose code is not here."""
    from ltjax.classifier import METHODS  # late: it needs JAX

    return [name for name in config.classifier.methods if name not in METHODS]


def _right(config, choice, made):
    """Whether what a kind of a choice has made is what it is for."""
    # Late: a typo on the command line needs no JAX.
    from ltjax.models import network
    from ltjax.representation import objective

    if choice is Model:
        return isinstance(made, network.Network)
    if choice is Objective:
        known = config.augment.make()
        named = isinstance(made, objective.Objective) and made.views
        return bool(named) and all(view in known for view in made.views)
    if choice is Head:
        return all(callable(getattr(made, name, None)) for name in ("linear", "inputs"))
    if choice in (Schedule, Activation):
        return callable(made)
    if choice is Gate:
        return made is None or callable(made)
    if not isinstance(made, tuple) or len(made) != 2:
        return False
    rate, tx = made
    return callable(rate) and hasattr(tx, "init") and hasattr(tx, "update")


def check_whole(config, out):
    """Refuses the config of a run in `out` that has kinds or methods of its user's."""
    for path, choice, record in walk(config):
        if choice is not None and not hasattr(record, "make"):
            raise Mistake(
                f"{out} has a {path} of its own kind, {type(record).__name__}, whose "
                "code its folder does not hold; only its own command and ltjax.report "
                "read it"
            )
    for name in _unknown_methods(config):
        raise Mistake(
            f"{out} has a classifier of its own, {name!r}, whose code its folder does "
            "not hold; put its module into ltjax.classifier.METHODS, or read it with "
            "ltjax.report"
        )
