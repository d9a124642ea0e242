"""What fields of a config may hold together."""

from ltjax import config as configs
from ltjax.mistake import Mistake

# The sources of encoded images.
_FILES = ("folder", "csv", "tfds")

# What is told to these sources only; to the others it would mean nothing.
_PLACES = {
    "train": ("npz",),
    "test": ("npz",),
    "path": ("folder", "csv"),
    "nested": ("folder",),
    "size": _FILES,
    "background": (*_FILES, "npz"),
    "range": _FILES,
    "stream": _FILES,
    "workers": _FILES,
    "crop_area": _FILES,
    "jitter": _FILES,
    "strict": ("folder", "csv"),
    "test_per_class": ("folder", "csv", "npz"),
    "directory": ("tfds",),
    "download": ("tfds",),
}

_PATHS = {"folder": "folder of images", "csv": ".csv file"}


def check(config):
    """Raises `Mistake` for the first of them that does not go with another."""
    start, optim = configs.swa_start(config), config.optim
    if not optim.warmup_epochs < start < optim.epochs:
        raise Mistake(
            f"swa.start is {start}; it must lie between optim.warmup_epochs "
            f"({optim.warmup_epochs}) and optim.epochs ({optim.epochs})"
        )
    _data(config.data)
    _model(config.model)
    _schedule(config.optim)
    _head(config.model)
    _experts(config.model)
    _together(config)
    _bank(config.classifier)
    _loss(config)


def _data(data):
    kind = "tfds" if data.source.startswith("tfds:") else data.source
    known = ("digits", "folder", "csv", "npz", "tfds")
    if kind not in known or data.source in ("tfds", "tfds:"):
        raise Mistake(
            f"data.source is {data.source!r}; it must be digits, folder, csv, npz or "
            "tfds:NAME"
        )
    for place, owners in _PLACES.items():
        value = getattr(data, place)
        asked = value and value != getattr(configs.Data, place)
        if asked and kind not in owners:
            raise Mistake(
                f"data.{place} is {value!r}, which only --data.source "
                f"{' or '.join(owners)} reads; data.source is {data.source}"
            )
    _stream(kind, data)
    if kind in ("folder", "csv") and not data.path:
        raise Mistake(f"data.path is {data.path!r}; it must name a {_PATHS[kind]}")
    if kind == "npz":
        for place in ("train", "test"):
            # A file without a test file may be split, if it is asked for.
            splits = place == "test" and data.test is None and data.test_per_class
            if not getattr(data, place) and not splits:
                value = getattr(data, place)
                raise Mistake(f"data.{place} is {value!r}; it must name an npz file")
    if data.largest is not None and data.imbalance_factor is None:
        raise Mistake(
            f"data.largest is {data.largest} without data.imbalance_factor; "
            "the profile needs both"
        )


def _stream(kind, data):
    streamed = (
        "workers",
        "crop_area",
        "jitter",
        *(("size", "background", "range") if kind == "tfds" else ()),
    )
    for name in streamed:
        value = getattr(data, name)
        asked = value and value != getattr(configs.Data, name)
        if asked and data.stream is False:
            raise Mistake(
                f"data.{name} is {value!r}, which only a streamed set reads; "
                "data.stream is False"
            )
    if data.pad and data.crop_area:
        raise Mistake(
            f"data.pad is {data.pad} and data.crop_area is {data.crop_area}; images "
            "are cropped in one of these ways"
        )


def _model(model):
    small = model.name == "cifar_resnet"
    only_small = "depth", "width", "shortcut", "init"
    for field in ("pretrained", "frozen") if small else only_small:
        value = getattr(model, field)
        if value != getattr(configs.Model, field):
            readers = "no CIFAR ResNet reads" if small else "only a CIFAR ResNet reads"
            raise Mistake(
                f"model.{field} is {value!r}, which {readers}; "
                f"model.name is {model.name}"
            )
    if model.frozen and model.pretrained is None:
        raise Mistake(
            f"model.frozen is {model.frozen} without model.pretrained; only weights "
            "that were trained before can be frozen"
        )


def _schedule(optim):
    readers = {"milestones": "steps", "factor": "steps", "start_lr": "cosine_by_epoch"}
    for field, reader in readers.items():
        value = getattr(optim, field)
        if value != getattr(configs.Optim, field) and optim.schedule != reader:
            raise Mistake(
                f"optim.{field} is {value!r}, which only the schedule {reader!r} "
                f"reads; optim.schedule is {optim.schedule!r}"
            )
    stones = optim.milestones
    if list(stones) != sorted(set(stones)) or any(
        not optim.warmup_epochs <= stone < optim.epochs for stone in stones
    ):
        raise Mistake(
            f"optim.milestones is {stones!r}; they must rise from "
            f"optim.warmup_epochs ({optim.warmup_epochs}) to below optim.epochs "
            f"({optim.epochs})"
        )
    if optim.schedule == "cosine_by_epoch" and optim.warmup_epochs < 2:
        raise Mistake(
            f"optim.warmup_epochs is {optim.warmup_epochs}; the schedule "
            "'cosine_by_epoch' needs at least 2, a line through optim.start_lr"
        )


def _head(model):
    if model.scale != configs.Model.scale and model.head != "cosine":
        raise Mistake(
            f"model.scale is {model.scale:g}, which only a cosine head reads; "
            f"model.head is {model.head!r}"
        )


def _experts(model):
    chosen = model.experts
    parts = 4 if model.name == "cifar_resnet" else 5  # the stem included
    if chosen.count is None:
        for field in ("branch", "width", "fused"):
            value = getattr(chosen, field)
            if value != getattr(configs.Experts, field):
                raise Mistake(
                    f"model.experts.{field} is {value!r} without model.experts.count; "
                    "give how many experts"
                )
        return
    least = 2 if chosen.fused else 1
    if not least <= chosen.branch < parts:
        raise Mistake(
            f"model.experts.branch is {chosen.branch}; it must be in "
            f"{least}..{parts - 1}, some of the {parts} parts of {model.name}"
        )
    if model.pretrained is not None:
        raise Mistake(
            f"model.pretrained is {model.pretrained} and model.experts.count is "
            f"{chosen.count}; experts begin with new weights"
        )
    # The first stage has no new channels, all others twice as many as the one before.
    growth = 2 if chosen.branch > 1 else 1
    if chosen.width and parts == 4 and model.shortcut == "A":
        narrowest = -(-model.width // growth)
        if chosen.width < narrowest:
            raise Mistake(
                f"model.experts.width is {chosen.width}; shortcuts A only add "
                f"channels, so it must be at least {narrowest}"
            )


def _together(config):
    if config.classifier.experts == "together" and config.model.experts.count is None:
        raise Mistake(
            "classifier.experts is 'together' without model.experts.count; give how "
            "many experts"
        )


def _bank(classifier):
    for field in ("bank", "bank_dtype"):
        value = getattr(classifier, field)
        known = getattr(configs.Classifier, field)
        if classifier.views is None and value != known:
            raise Mistake(
                f"classifier.{field} is {value!r}, which only kept views have; "
                "classifier.views is None"
            )


def _loss(config):
    loss, model = config.optim.loss, config.model
    _teacher(loss, config.optim.ride)
    if loss == "cross_entropy":
        return
    count = model.experts.count
    if count is None:
        raise Mistake(
            f"optim.loss is {loss!r}, a loss of several experts; model.experts.count "
            "is None, give how many"
        )
    if loss != "mdcs" and (model.head, model.scale) != ("cosine", 30):
        raise Mistake(
            f"optim.loss is {loss!r}, whose constants are those of a cosine head of "
            f"scale 30; model.head is {model.head!r}, model.scale {model.scale:g}"
        )
    scales = config.optim.mdcs.scales
    if loss == "mdcs" and len(scales) != count:
        raise Mistake(
            f"optim.mdcs.scales is {scales!r}; it must have one number for each of the "
            f"{count} experts of model.experts.count"
        )


def _teacher(loss, ride):
    if ride.teacher is not None and loss != "ride":
        raise Mistake(
            f"optim.ride.teacher is {ride.teacher!r}, which only the loss 'ride' "
            f"reads; optim.loss is {loss!r}"
        )
    if ride.teacher is None and not ride.repeated:
        raise Mistake(
            "optim.ride.repeated is False without optim.ride.teacher; only a distilled "
            "loss is repeated"
        )
