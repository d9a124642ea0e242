"""Clusters of a run: which image is in which, how surely, and what that is worth."""

import copy
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.config.kind import told
from ltjax.data import longtail
from ltjax.evaluation import clusters as figures
from ltjax.posterior.members import arguments
from ltjax.representation import graph, transport
from ltjax.representation.objectives import clusters as objectives
from ltjax.runtime import devices
from ltjax.stages import features, kept, representation
from ltjax.stages import system as systems
from ltjax.workdir import checkpoint
from ltjax.workdir.rows import Row

_BATCH = 1000  # bounds the memory of logits


class Sorted(NamedTuple):
    """Where a row puts N images."""

    row: Row
    cluster: np.ndarray  # int [N]
    weight: np.ndarray  # [N], 0 to 1, of a pseudo-label when only some mass has one
    margin: np.ndarray  # [N], of the two most probable clusters
    columns: np.ndarray  # [D, K], of the clusters
    agreement: Any = None  # [N], share of the draws that say the same, or None


def with_graph(config, system, loader):
    """The system with the graph of neighbours that its objective reads, if it does.

    Of images as they are, by the features of the network before its training.
    """
    count = told(config.objective, "neighbours")
    if count is None:
        return system
    found = first_features(config, system, loader)
    near = graph.nearest(found, count, config.objective.width)
    fixed = {**system.fixed, objectives.GRAPH: tuple(map(jnp.asarray, near))}
    return system._replace(fixed=fixed)


def first_features(config, system, loader):
    """Features [N, D] of the images as they are, by the network before its training."""
    variables = system.begin(jax.random.clone(loader.keys.init))
    own = {kind: tree.get("features", {}) for kind, tree in variables.items()}
    takes, size = system.net.takes, config.posterior.batch_size

    @partial(jax.jit, out_shardings=devices.everywhere())
    def of_batch(fixed, own, batch):
        net = systems.network(system, fixed)
        found = systems.inputs(system, fixed, batch)
        return net.features.apply(own, *arguments(found), train=False)

    images = {name: loader.train[name] for name in takes}
    parts = (
        {name: column[first : first + size] for name, column in images.items()}
        for first in range(0, len(loader.labels), size)
    )
    found = [np.asarray(of_batch(system.fixed, own, part)) for part in parts]
    return np.concatenate(found)


def train(backbone, system, loader, folder, config):
    """What a backbone came to: its `Sorted` rows, and their losses."""
    weights = representation.train(backbone, system, loader, folder, config.swa.place)
    losses = head_losses(folder.path, backbone.name)
    weights = first(weights, int(losses.argmin()))
    # Nobody asks for numbers of images who looks at them once.
    plain = copy.copy(loader)
    plain.train, plain.test = (
        {name: column for name, column in split.items() if name != "row"}
        for split in (loader.train, loader.test)
    )
    seen = features.take(backbone, weights, system, plain, folder, config)
    _keep(backbone, seen.head, folder)
    return rows(backbone, seen, config.objective), losses


def head_losses(out, name):
    """The loss over rho of every head, [H], in the last epoch of the run in `out`."""
    state, _ = checkpoint.load_as_saved(kept.newest(out, name))
    return np.asarray(state["memory"]["last"])


def first(weights, best):
    """A posterior in which a head is the first, in place of that one."""

    def of(path, leaf):
        inside = any(getattr(key, "key", None) == "head" for key in path)
        if not (inside and best):
            return leaf
        return jnp.roll(jnp.asarray(leaf), -best, axis=-3)

    return jax.tree_util.tree_map_with_path(of, weights)


def _keep(backbone, head, folder):
    """Keeps the head where `ltjax.predict` looks for that of the row."""
    cache = folder.cache(f"heads/{backbone.name}")
    made = devices.whole(head), {}
    cache.get(Row(backbone.name, "none").key, lambda: made)
    cache.close()


def rows(backbone, seen, objective):
    """The `Sorted` of the mean and, with draws, of what they say on average.

    `seen` are `features.Features` and `objective` the config's.
    """
    mean = _log_probs(seen.head, seen.test[0])
    settings = objectives.of(objective.settings())
    columns = np.asarray(seen.head["kernel"])

    def of(name, log_probs, agreement=None):
        top = np.sort(np.exp(log_probs), 1)[:, -2:]
        plan = transport.p2ot(log_probs, objective.sure, **settings)
        return Sorted(
            Row(name, "none"),
            log_probs.argmax(1),
            np.asarray(plan.sum(1)),
            top[:, 1] - top[:, 0],
            columns,
            agreement,
        )

    if not backbone.draws:
        return [of(backbone.name, mean)]
    each = [
        _log_probs(jax.tree.map(lambda leaf, at=at: leaf[at], seen.heads), z)
        for at, z in enumerate(seen.test)
    ][1:]
    average = np.log(np.mean(np.exp(each), 0))
    agree = [
        np.mean([found.argmax(1) == by.argmax(1) for found in each], 0)
        for by in (mean, average)
    ]
    return [
        of(backbone.name, mean, agree[0]),
        of(backbone.drawn, average, agree[1]),
    ]


@jax.jit
def _of_part(head, z):
    return jax.nn.log_softmax(z @ head["kernel"] + head["bias"][None])


def _log_probs(head, z):
    """Log-probabilities [N, K] of features [N, D], in an array of the host."""
    parts = (z[at : at + _BATCH] for at in range(0, len(z), _BATCH))
    return np.concatenate([np.asarray(_of_part(head, part)) for part in parts])


def worth(found, truth, classes):
    """The scores of a `Sorted` by known classes [N], whole and by group of these."""
    begin = time.monotonic()
    told = figures.scores(truth, found.cluster, classes)
    predicted = figures.match(truth, found.cluster, classes)[found.cluster]
    recalls = figures.recall(truth, predicted, classes)
    groups = longtail.groups(longtail.class_counts(truth, classes))
    known = ~np.isnan(recalls)
    told["groups"] = {
        name: float(recalls[mask & known].mean()) if (mask & known).any() else None
        for name, mask in groups.items()
    }
    if found.agreement is not None:
        told["auroc"] = _auroc(1 - found.agreement, predicted != truth)
    return told, time.monotonic() - begin


def _auroc(values, wrong):
    """How well values tell what is wrong, 0.5 not at all; None where all are alike."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(wrong, values)) if 0 < wrong.sum() < len(wrong) else None


def sizes(found, clusters):
    """Images of each cluster, int [K]."""
    return np.bincount(found.cluster, minlength=clusters)


def near(found, count=3):
    """The clusters whose columns are nearest to each one's, int [K, count]."""
    columns = found.columns / np.linalg.norm(found.columns, axis=0, keepdims=True)
    cosines = columns.T @ columns
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, 1)[:, : min(count, len(cosines) - 1)]
