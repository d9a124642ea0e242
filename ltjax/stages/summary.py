"""What a run came to: its results, put together and written."""

from ltjax.config.kind import told
from ltjax.models import activations
from ltjax.runtime import hosts
from ltjax.stages import system as systems
from ltjax.workdir import claim, events, predictions
from ltjax.workdir.files import write_arrays, write_json


def conclude(config, data, system, outcomes, loader, folder):
    """Writes what the backbones came to, `classifier.Outcome`s; returns the results."""
    counts = loader.index.counts.tolist()
    per_class = {"counts": counts, "accuracy": {}}
    for each in outcomes:
        per_class["accuracy"] |= each.accuracy
    last = outcomes[-1]  # the one with draws
    if last.dispersion:
        per_class["dispersion"] = last.dispersion
    if last.coverage:
        per_class["coverage"] = last.coverage
    learnt = {each.rows[0]["backbone"]: each.shapes for each in outcomes if each.shapes}
    if learnt:
        per_class["activations"] = learnt
    apart = {each.rows[0]["backbone"]: each.tokens for each in outcomes if each.tokens}
    if apart:
        per_class["tokens"] = apart
    accepted = claim.changes(folder.path)
    results = {
        "dataset": _dataset(config, data, counts, system.moments),
        "seed": config.seed,
        "rows": [row for each in outcomes for row in each.rows],
        "seconds": events.seconds_per_stage(folder.path),
        **_cost(config, data, system),
        **({"changes": accepted} if accepted else {}),
    }

    def write():
        write_json(folder.path / "classes.json", per_class)
        units = {} if data.test.group is None else {"group": data.test.group}
        labels = {"test": data.test.label, **units}
        write_arrays(folder.path / "labels.npz", labels)
        predictions.write(folder.path, last.predicted or {})
        write_json(folder.path / "results.json", results)

    hosts.by_first(write)
    return results


def shapes(params):
    """The shapes of the activations of a network that learnt them, by place.

    {place: {"kappa": [...], "lam": [...]}}, one number, or one for each channel.
    """
    return {
        place: {"kappa": kappa.tolist(), "lam": lam.tolist()}
        for place, (kappa, lam) in activations.learnt(params).items()
    }


def _dataset(config, data, counts, moments):
    (mean, std), held = moments, data.validation
    return {
        "name": data.name,
        "classes": data.classes,
        "train": len(data.train.label),
        "test": len(data.test.label),
        "counts": counts,
        "imbalance_factor": config.data.imbalance_factor,
        "image": list(data.train.image.shape[1:]),
        "mean": list(map(float, mean)),
        "std": list(map(float, std)),
        **({"validation": len(held.label)} if held else {}),
        **({"manifest": data.manifest} if data.manifest else {}),
        **({"shared": data.shared} if data.shared else {}),
        **({"class_names": list(data.class_names)} if data.class_names else {}),
    }


def _cost(config, data, system):
    """What an image costs a network of several experts: {"cost": ...}, or nothing.

    Parts that do not move are not counted.
    """
    experts = told(config.model, "experts")
    if experts is None:
        return {}
    found = systems.cost(system.net, *systems.shapes(system, data))
    return {"cost": {"experts": experts, **found}}
