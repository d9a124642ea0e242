"""What fields of schedule, head, experts and loss may hold together."""

from ltjax import config as configs
from ltjax.mistake import Mistake


def check(config):
    """Raises `Mistake` for the first of them that does not go with another."""
    _schedule(config.optim)
    _head(config.model)
    _experts(config.model)
    _loss(config)


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


def _loss(config):
    loss, model = config.optim.loss, config.model
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
