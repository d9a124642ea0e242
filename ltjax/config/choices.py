"""The kinds that each choice of a config has, by their words."""

from ltjax.config import (
    activation,
    adamw,
    adapters,
    adjusted,
    clusters,
    deit_lt,
    efficientnet,
    gate,
    head,
    join,
    ldam,
    metaformer,
    model,
    objective,
    optim,
    paco,
    sam,
    vit,
)

KINDS = {
    model.Model: {
        **model.KINDS,
        **efficientnet.KINDS,
        **vit.KINDS,
        **metaformer.KINDS,
        **join.KINDS,
        **paco.MODELS,
        **clusters.MODELS,
    },
    activation.Activation: activation.KINDS,
    gate.Gate: gate.KINDS,
    head.Head: {**head.KINDS, **clusters.HEADS},
    adapters.Adapters: adapters.KINDS,
    objective.Objective: {
        **objective.KINDS,
        **adjusted.KINDS,
        **deit_lt.KINDS,
        **ldam.KINDS,
        **paco.OBJECTIVES,
        **clusters.KINDS,
    },
    optim.Optim: {**optim.KINDS, **adamw.KINDS, **sam.KINDS},
    optim.Schedule: {**optim.SCHEDULES, **adamw.SCHEDULES},
}


def begun(choice, word):
    """The record that a word of the command line begins with, or None."""
    found = KINDS[choice].get(word)
    return found() if isinstance(found, type) else found


def word(record):
    """The word of a record's kind; of a user's own kind, its class."""
    for kinds in KINDS.values():
        for name, kind in kinds.items():
            if kind is type(record):
                return name
    return type(record).__name__


def is_own(record):
    """Whether a record is of a kind that is none of ltjax's."""
    return not any(type(record) in kinds.values() for kinds in KINDS.values())
