"""Which parts of a network train, chosen by name, and which stay as they are.

A leaf of the variables trains where a word is a part of its path: "layer4" of
`features/layer4_0/conv1/kernel`, but not "layer" or "layer4_" or "conv". The others are
fixed: they are given to the network, and no optimizer or posterior ever sees them.
"""

import inspect
import re
from collections.abc import Callable
from typing import NamedTuple

import jax
from flax import linen as nn

from ltjax.mistake import Mistake

# How modules are told whether they train, and what they are told where they don't.
_EVALUATION = {"train": False, "use_running_average": True, "deterministic": True}


def split(variables, trained):
    """Variables of a `Network` in two: those that train, and the fixed ones.

    Both are {"params": ..., "batch_stats": ...}, without what they have not; but
    parameters of features and of the head are there, if only as {}. `trained` are words
    of paths; without any all train.
    """
    if not trained:
        return variables, {}
    own, fixed = {}, {}
    for path, leaf in _leaves(variables):
        _put(own if _within(path[1:], trained) else fixed, path, leaf)
    params = {"features": {}, "head": {}, **own.get("params", {})}
    return {**own, "params": params}, fixed


def check(trained, *trees):
    """Raises `Mistake` for a word that is in no path of some trees of variables."""
    paths = [path[1:] for tree in trees for path, _ in _leaves(tree)]
    for word in trained:
        if not any(_within(path, (word,)) for path in paths):
            parts = sorted({path[path[0] == "features"] for path in paths})
            raise Mistake(
                f"model.trained has {word!r}, which is in no name of the network; its "
                f"parts are {', '.join(parts)}"
            )


def merged(own, fixed):
    """One tree of two that share no leaf."""
    found = dict(own)
    for name, tree in fixed.items():
        found[name] = merged(found[name], tree) if name in found else tree
    return found


def bound(net, fixed):
    """The `Network` of the variables that train: `fixed` ones are given to it.

    Parts of it in which nothing trains, and batch norm whose statistics are fixed, are
    in evaluation mode at all times, if they are told of the mode in a word of Linen's
    own (`_EVALUATION`).
    """
    kinds = ("params", "batch_stats")
    fixed = {kind: fixed[kind] for kind in kinds if fixed.get(kind)}
    if not fixed:
        return net
    return Bound(
        apply=Part(net, fixed).apply,
        features=Part(net.features, _of(fixed, "features")),
        head=Part(net.head, _of(fixed, "head")),
        takes=net.takes,
    )


class Part(NamedTuple):
    """A module, and those of its variables that are given."""

    module: nn.Module
    fixed: dict

    def apply(self, variables, *inputs, mutable=False, **how):
        """Linen's `apply`, of variables that train; `how` is as there."""
        whole = merged(variables, self.fixed)

        def evaluating(call, args, told, context):
            if _stays(variables, self.fixed, context.module.path):
                args, told = _in_evaluation(context, args, told)
            return call(*args, **told)

        with nn.intercept_methods(evaluating):
            found = self.module.apply(whole, *inputs, mutable=mutable, **how)
        if not mutable:
            return found
        outputs, updated = found
        return outputs, _without(updated, self.fixed)

    def linear(self, params):
        """That of a head, see `models.heads`."""
        return self.module.linear(merged(params, self.fixed.get("params", {})))

    def inputs(self, features):
        """That of a head."""
        return self.module.inputs(features)


class Bound(NamedTuple):
    """What a `Network` is to its callers, of the variables that train."""

    apply: Callable
    features: Part
    head: Part
    takes: tuple


def _stays(own, fixed, path):
    """Whether the module at a path is in evaluation mode whatever it is told."""
    statistics = _at(fixed.get("batch_stats", {}), path)
    if any(not isinstance(leaf, dict) for leaf in (statistics or {}).values()):
        return True
    trees = ("params", "batch_stats")
    trains, given = (
        any(jax.tree.leaves(_at(of.get(tree, {}), path)) for tree in trees)
        for of in (own, fixed)
    )
    return given and not trains


def _in_evaluation(context, args, told):
    """The arguments of a module's call with those of `_EVALUATION` in their place."""
    module = context.module
    # What is called need not be a method of its class: under a lifted transform it is
    # not.
    signature = inspect.signature(context.orig_method)
    call = signature.bind(*args, **told)
    for name, value in _EVALUATION.items():
        if getattr(module, name, None) is not None:
            # Told when it was made, for this one call of the network: no other has it.
            object.__setattr__(module, name, value)
        elif name in signature.parameters:
            call.arguments[name] = value
    return call.args, call.kwargs


def _within(path, words):
    name = "/".join(path)
    return any(re.search(rf"(^|/){re.escape(word)}(/|_|$)", name) for word in words)


def _leaves(tree):
    """Pairs (names of the path, leaf)."""
    for path, leaf in jax.tree.leaves_with_path(tree):
        yield tuple(str(entry.key) for entry in path), leaf


def _put(tree, path, leaf):
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = leaf


def _at(tree, path):
    """The subtree at a path; None where there is none."""
    for name in path:
        if not isinstance(tree, dict) or name not in tree:
            return None
        tree = tree[name]
    return tree


def _of(variables, part):
    return {kind: tree[part] for kind, tree in variables.items() if part in tree}


def _without(tree, other):
    """A tree less the leaves of the other, and less what is empty then."""
    found = {}
    for name, leaf in tree.items():
        if not isinstance(leaf, dict):
            if name not in other:
                found[name] = leaf
        elif rest := _without(leaf, other.get(name, {})):
            found[name] = rest
    return found
