"""What a run is: the settings that decide its numbers, and where two differ."""

import hashlib
import itertools
import json
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np

from ltjax.config import Data
from ltjax.config import record as records
from ltjax.config.kind import told
from ltjax.mistake import Mistake
from ltjax.workdir import files

# Weights that a run takes from elsewhere, and how it is told that two runs took others.
_WEIGHTS = {
    "pretrained": "its pretrained weights were others",
    "teacher": "its teacher was another, or none",
}


def of_config(config):
    """What decides a run's numbers besides its data, as JSON-ready data.

    Left out is what is marked `PLACE`: where and how a thing is read or kept. What the
    data, the pretrained weights and the teacher are is told by their own fingerprints.
    """
    fields = records.to_json(config, places=False)
    fields["data"]["stream"] = bool(config.data.stream)
    trained = told(config.model, "trained")
    if trained:  # of a user's own it may be no field
        fields["model"].setdefault("trained", list(trained))
    # What comes as arrays has no background, unless one was asked for.
    files = config.data.source in ("folder", "csv")
    if not files and config.data.background == Data.background:
        fields["data"]["background"] = None
    return fields


def config_of(out):
    """The config of the run in `out`. Raises `Mistake` if it is of another version."""
    return _read(files.read_json(Path(out) / "config.json"), out)


def _read(whole, out):
    """The config in what a `config.json` holds."""
    try:
        return records.of_json(whole["config"])
    except Mistake as mistake:
        version = whole.get("versions", {}).get("ltjax", "of an unknown version")
        raise Mistake(
            f"{out} was made by ltjax {version}, in another form than this version's "
            f"({mistake}); make that run again, in another folder"
        ) from mistake


def of_run(config, data, weights=None, takes=("image",)):
    """What decides a run's numbers, as JSON-ready data.

    `weights` are the digests of those that it takes from elsewhere, or None, by name:
    "pretrained" and "teacher". A run that is only opened again takes none: they are not
    compared. `takes` are the columns of a batch that its network takes.
    """
    return {
        "config": of_config(config),
        "data": fingerprint(data, takes),
        "classes": names(data.classes, data.class_names),
        **(weights or {}),
    }


def names(classes, class_names=None):
    """The name of every class, or its number where it has none, as a list [C]."""
    return list(class_names or map(str, range(classes)))


def fingerprint(data, takes=("image",)):
    """A hash of all images and labels of a data set, in their order.

    Of what a network `takes` beside them, too; what it does not read decides nothing.
    Of images that are streamed, the hashes of their files stand for the pixels.
    """
    seen = hashlib.sha256()
    columns = "image", "label", *sorted({*takes} - {"image", "label"})
    splits = filter(None, (data.train, data.test, data.validation))
    for split, column in itertools.product(splits, columns):
        array = getattr(split, column)
        array = getattr(array, "digests", array)
        seen.update(f"{array.dtype} {array.shape} ".encode())
        seen.update(np.ascontiguousarray(array).data)
    return seen.hexdigest()[:16]


def stage_one(identity):
    """The part of an identity that decides the backbones."""
    names = "seed", "data", "augment", "model", "frozen", "objective", "optim", "swa"
    return {name: identity[name] for name in names}


def differences(old, new, path=""):
    """Names the fields in which two identities differ, with both values."""
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            # Kinds have other fields.
            other = before.get("kind") != now.get("kind")
            pair = ({"kind": of.get("kind")} for of in (before, now))
            both = pair if other else (before, now)
            yield from differences(*both, f"{path}{name}.")
        elif before != now:
            yield f"{path}{name} was {before!r}, now {now!r}"


def class_difference(old, new):
    """The first difference of two lists of class names in words, or None.

    Names are compared as they are read: in any Unicode form.
    """
    before, now = (
        [unicodedata.normalize("NFC", name) for name in classes]
        for classes in (old, new)
    )
    if len(before) != len(now):
        new, gone = Counter(now) - Counter(before), Counter(before) - Counter(now)
        name, side = (*new, *gone)[0], "new" if new else "gone"
        return f"classes were {len(before)}, are {len(now)}: {name!r} is {side}"
    for number, (was, is_now) in enumerate(zip(before, now)):
        if was != is_now:
            return f"class {number} was {was!r}, is {is_now!r}"
    return None


def recorded_differences(record, run, part=lambda settings: settings):
    """In what the run of the file `record` differs from `run`, an `of_run`, in words.

    `part` picks those settings that matter. None if the file is no run's record; raises
    `Mistake` if it is that of another version.
    """
    try:
        whole = json.loads(record.read_text(encoding="utf-8"))
        found = whole["run"]
        _read(whole, record.parent)
        told = list(differences(part(found["config"]), part(run["config"])))
        same_data = found["data"] == run["data"]
        taken = run.keys() & _WEIGHTS.keys()
        others = [name for name in taken if found.get(name) != run[name]]
        renamed = class_difference(found["classes"], run["classes"])
    except Mistake:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    told += [_WEIGHTS[name] for name in sorted(others)]
    if renamed:
        told.append(renamed)
    if not same_data:
        told.append("its images or labels were others")
    return told
