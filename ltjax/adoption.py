"""Backbones of one run, taken over by another."""

import json
import shutil

from ltjax import checkpoint, folder
from ltjax import config as configs
from ltjax.mistake import Mistake


def check(other, config, data, names, pretrained=None):
    """Refuses to take over the backbones `names` of the run in `other`.

    `pretrained` is the digest of the weights that the config's run begins with. Raises
    `Mistake` unless `other` has finished stage one on these data under the same
    settings of it.
    """
    difference = backbone_difference(other, config, data, pretrained)
    if difference:
        raise Mistake(f"--stage-one {other} was trained otherwise: {difference}")
    last = config.optim.epochs
    for name in names:
        steps = checkpoint.steps(other / "checkpoints" / name)
        done = checkpoint.position(steps[0])[0] if steps else None
        if done != last:
            raise Mistake(
                f"--stage-one {other} has {done} epochs of {name}; it must have "
                f"finished the {last} of optim.epochs"
            )
        wrong = checkpoint.damage(steps[0])
        if wrong:
            raise Mistake(f"--stage-one {steps[0]} cannot be used: {wrong}")


def adopt(path, other, config, names):
    """Copies the trained backbones `names` of the run in `other` into the run's folder.

    Their features too, if those would be the same. What the run has begun itself is
    left as it is. `check` has said that they fit.
    """
    last = str(config.optim.epochs)
    theirs = configs.completed(folder.read_json(other / "config.json")["run"]["config"])
    finished = (other / "results.json").exists()
    same_looks = _looks(theirs) == _looks(configs.identity(config))
    for name in names:
        if checkpoint.steps(path / "checkpoints" / name):
            continue
        # Before the backbone, whose folder says that both are there.
        if finished and same_looks:
            shutil.rmtree(path / "checkpoints" / "features" / name, ignore_errors=True)
            _copy(other, path, f"checkpoints/features/{name}")
        _copy(other, path, f"checkpoints/{name}/{last}")


def backbone_difference(path, config, data, pretrained=None):
    """In what the backbones of the run in `path` differ from the config's, or None.

    Raises `Mistake` if `path` holds no run.
    """
    record = path / "config.json"
    try:
        found = json.loads(record.read_text(encoding="utf-8"))["run"]
        theirs = configs.stage_one(configs.completed(found["config"]))
        ours = configs.stage_one(configs.identity(config))
        difference = configs.first_difference(theirs, ours)
        same_data = found["data"] == folder.fingerprint(data)
        same_weights = found.get("pretrained") == pretrained
        changed = folder.changes(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Mistake(f"{path} holds no run; give the folder of one") from None
    if not same_data:
        difference = difference or "its images or labels were others"
    if not same_weights:
        difference = difference or "its pretrained weights were others"
    if changed:
        difference = difference or f"it went on with {changed[0]['differences'][0]}"
    return difference


def _looks(identity):
    """What decides the features besides the backbones."""
    return identity["posterior"], identity["classifier"]["views"]


def _copy(source, target, name):
    """Copies a folder of one run into another; it is there whole or not at all."""
    part = target / "checkpoints" / ".adopting"
    shutil.rmtree(part, ignore_errors=True)
    with folder.writable(target):
        shutil.copytree(source / name, part)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        part.rename(target / name)
