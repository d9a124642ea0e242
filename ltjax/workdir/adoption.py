"""Backbones of one run, taken over by another."""

import shutil

from ltjax.mistake import Mistake
from ltjax.workdir import checkpoint, claim, files, identity, versions


def check(other, run, names):
    """Refuses to take over the backbones `names` of the run in `other`.

    `run` is the `identity.of_run` of the one that takes them. Raises `Mistake` unless
    `other` has finished stage one on its data under the same settings of it.
    """
    difference = backbone_difference(other, run)
    if difference:
        raise Mistake(f"--stage-one {other} was trained otherwise: {difference}")
    last = run["config"]["optim"]["epochs"]
    for name in names:
        steps = checkpoint.steps(other / "checkpoints" / name)
        done = checkpoint.position(steps[0])[0] if steps else None
        if done != last:
            raise Mistake(
                f"--stage-one {other} has {done or 'no'} epochs of {name}; it must "
                f"have finished the {last} of optim.epochs"
            )
        wrong = checkpoint.damage(steps[0])
        if wrong:
            raise Mistake(f"--stage-one {steps[0]} cannot be used: {wrong}")


def adopt(path, other, config, names):
    """Copies the trained backbones `names` of the run in `other` into the run's folder.

    Their features too, if those would be the same: another version may make others.
    What the run has begun itself is left as it is. `check` has said that they fit.
    """
    last = str(config.optim.epochs)
    record = files.read_json(other / "config.json")
    theirs = record["run"]["config"]
    finished = (other / "results.json").exists()
    same_looks = (
        _looks(theirs) == _looks(identity.of_config(config))
        and record.get("versions") == versions.versions()
    )
    for name in names:
        if checkpoint.steps(path / "checkpoints" / name):
            continue
        # Before the backbone, whose folder says that both are there.
        if finished and same_looks:
            shutil.rmtree(path / "checkpoints" / "features" / name, ignore_errors=True)
            _copy(other, path, f"checkpoints/features/{name}")
        _copy(other, path, f"checkpoints/{name}/{last}")


def backbone_difference(path, run):
    """In what the backbones of the run in `path` differ from those of `run`, or None.

    `run` is an `identity.of_run`. Raises `Mistake` if `path` holds no run.
    """
    found = identity.recorded_differences(path / "config.json", run, identity.stage_one)
    if found is None:
        raise Mistake(f"{path} holds no run; give the folder of one")
    found += [
        f"it went on with {change['differences'][0]}" for change in claim.changes(path)
    ]
    return found[0] if found else None


def _looks(settings):
    """What decides the features besides the backbones."""
    classifier = settings["classifier"]
    return settings["posterior"], classifier["views"], classifier["bank_dtype"]


def _copy(source, target, name):
    """Copies a folder of one run into another; it is there whole or not at all."""
    part = target / "checkpoints" / ".adopting"
    shutil.rmtree(part, ignore_errors=True)
    with files.writable(target):
        shutil.copytree(source / name, part)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        part.rename(target / name)
