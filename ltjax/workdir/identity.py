"""What a run is: the settings that decide its numbers, and where two differ."""

import dataclasses
import hashlib
import json
import unicodedata
from collections import Counter

import numpy as np

from ltjax.config import UNTOLD, Data

# Weights that a run takes from elsewhere, and how it is told that two runs took others.
_WEIGHTS = {
    "pretrained": "its pretrained weights were others",
    "teacher": "its teacher was another, or none",
}


def of_config(config):
    """What decides a run's numbers besides its data, as JSON-ready data.

    Left out are `checkpoint`, where deviations and features lie, and where and how the
    data, the pretrained weights and the teacher are read: what they are is told by
    their own fingerprints.
    """
    fields = json.loads(json.dumps(dataclasses.asdict(config)))
    del fields["checkpoint"], fields["swa"]["place"], fields["classifier"]["bank"]
    places = ("train", "test", "path", "nested", "strict", "directory", "download")
    for place in (*places, "workers"):
        del fields["data"][place]
    fields["data"]["stream"] = bool(config.data.stream)
    # What comes as arrays has no background, unless one was asked for.
    files = config.data.source in ("folder", "csv")
    if not files and config.data.background == Data.background:
        fields["data"]["background"] = None
    # What the data are checked against does not change them.
    del fields["data"]["manifest"], fields["data"]["allow_mismatch"]
    del fields["model"]["pretrained"], fields["optim"]["ride"]["teacher"]
    return fields


def of_run(config, data, weights=None):
    """What decides a run's numbers, as JSON-ready data.

    `weights` are the digests of those that it takes from elsewhere, or None, by name:
    "pretrained" and "teacher". A run that is only opened again takes none: they are not
    compared.
    """
    return {
        "config": of_config(config),
        "data": fingerprint(data),
        "classes": names(data.classes, data.class_names),
        **(weights or {}),
    }


def names(classes, class_names=None):
    """The name of every class, or its number where it has none, as a list [C]."""
    return list(class_names or map(str, range(classes)))


def fingerprint(data):
    """A hash of all images and labels of a data set, in their order.

    Of what else a batch carries, too.

    Of images that are streamed, the hashes of their files stand for the pixels.
    """
    seen = hashlib.sha256()
    splits = data.train, data.test
    parts = (
        part for split in splits for part in (split.image, split.label, split.meta)
    )
    for array in parts:
        if array is None:
            continue
        array = getattr(array, "digests", array)
        seen.update(f"{array.dtype} {array.shape} ".encode())
        seen.update(np.ascontiguousarray(array).data)
    return seen.hexdigest()[:16]


def stage_one(identity):
    """The part of an identity that decides the backbones."""
    names = ("seed", "data", "model", "optim", "swa")
    return {name: identity[name] for name in names}


def completed(recorded):
    """A recorded identity with what the fields that it does not know were then."""

    def filled(record, defaults):
        return {
            **defaults,
            **{
                name: filled(value, defaults[name])
                if isinstance(value, dict) and isinstance(defaults.get(name), dict)
                else value
                for name, value in record.items()
            },
        }

    return filled(recorded, of_config(UNTOLD))


def differences(old, new, path=""):
    """Names the fields in which two identities differ, with both values."""
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from differences(before, now, f"{path}{name}.")
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

    `part` picks those settings that matter. None if the file is no run's record.
    """
    try:
        found = json.loads(record.read_text(encoding="utf-8"))["run"]
        # A field that came after the record had its default then.
        before = completed(found["config"])
        told = list(differences(part(before), part(run["config"])))
        same_data = found["data"] == run["data"]
        taken = run.keys() & _WEIGHTS.keys()
        others = [name for name in taken if found.get(name) != run[name]]
        # Earlier versions did not keep them.
        renamed = class_difference(found.get("classes", run["classes"]), run["classes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    told += [_WEIGHTS[name] for name in sorted(others)]
    if renamed:
        told.append(renamed)
    if not same_data:
        told.append("its images or labels were others")
    return told
