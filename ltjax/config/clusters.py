"""Clustering without labels: its objectives, its heads, and features that are given."""

import dataclasses
from typing import Annotated

from ltjax.config.data import UNLABELLED
from ltjax.config.head import Head
from ltjax.config.kind import told
from ltjax.config.limits import (
    COUNT,
    HUNDRED,
    INT32,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    THOUSAND,
    Limit,
)
from ltjax.config.model import Model
from ltjax.config.objective import Objective
from ltjax.mistake import Mistake

EACH_SEVERAL = Limit(lambda values: min(values, default=2) >= 2, "of 2 or more each")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Several(Head):
    """Several cosine heads of the same features; one is chosen by its loss."""

    count: Annotated[int, COUNT, HUNDRED] = 1
    """How many."""
    scale: Annotated[float, POSITIVE] = 10.0
    """Logits are so many times a cosine."""

    def make(self, classes):
        """The module of `models.several`."""
        from ltjax.models import several

        return several.Several(classes, self.count, self.scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given(Model):
    """No network: the features that a source holds, and a head."""

    head: Head = Several()
    centred: bool = False
    """Take the mean of all features away: clusters are told by angles, and features
    that come after a ReLU all lie in one direction."""
    name = "given features"
    trained = ("head",)

    def check(self, config):
        """Refuses to take images for features."""
        if config.data.source != "features":
            raise Mistake(
                f"model is Given, of features as they are, and data.source is "
                f"{config.data.source}; give --data.source features, or a network"
            )

    def computed_in(self, dtype):
        """There is nothing to compute."""
        return self

    def make(self, classes):
        """The network: features as they are, and the head."""
        from ltjax.models.given import Given as Body
        from ltjax.models.network import Network

        return Network(features=Body(), head=self.head.make(classes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class P2ot(Objective):
    """P2OT (arXiv:2401.09266): pseudo-labels of clusters by partial transport."""

    labelled = False

    epsilon: Annotated[float, POSITIVE] = 0.1
    """Weight of the entropy."""
    strength: Annotated[float | None, POSITIVE] = 1.0
    """How strongly clusters are held to equal sizes; None: they are equal."""
    start: Annotated[float, SHARE] = 0.1
    """Share of the images' mass that has labels at first; 1: all, at all times."""
    end: Annotated[float, SHARE] = 1.0
    """The same at the end, along a sigmoid."""
    memory: Annotated[int, COUNT, INT32] = 5120
    """Images whose logits are remembered, to find labels among; at most all."""
    sure: Annotated[float, SHARE] = 0.5
    """Share of the mass by which the weights of images are told in the end."""
    scan: Annotated[tuple[int, ...], EACH_SEVERAL] = ()
    """Numbers of clusters to try: that with the largest silhouette of k-means on first
    features is taken. (): data.classes."""

    def check(self, config):
        """Refuses what has no clusters, and what would need labels."""
        name = type(self).__name__
        head, classes = told(config.model, "head"), config.data.classes
        if not isinstance(head, Several):
            raise Mistake(
                f"objective is {name}, and model.head is {head!r}; it must be Several, "
                "the heads of clusters"
            )
        if config.classifier.methods:
            raise Mistake(
                f"objective is {name}, without labels, and classifier.methods is "
                f"{config.classifier.methods}; give ()"
            )
        size = config.optim.batch_size
        if self.memory < size:
            raise Mistake(
                f"objective.memory is {self.memory}; it must be at least "
                f"optim.batch_size, which is {size}"
            )
        unlabelled = config.data.origin in UNLABELLED
        if self.scan and (not unlabelled or classes):
            raise Mistake(
                f"objective.scan is {self.scan}, and data.classes is {classes}, "
                f"data.source {config.data.source}; a number is sought where none is "
                "given, without labels"
            )
        if unlabelled and not (classes or self.scan):
            raise Mistake(
                f"data.classes is {classes}, and data.source {config.data.source} has "
                "no labels to count; give the number of clusters, or several to try by "
                "--objective.scan"
            )
        if classes and classes > self.memory:
            raise Mistake(
                f"data.classes is {classes}; it must be at most objective.memory, "
                f"which is {self.memory}"
            )
        if config.frozen.views:
            raise Mistake(
                f"frozen.views is {config.frozen.views}, and objective is {name}, "
                "which sees two views of an image; give None"
            )
        if self.start > self.end:
            raise Mistake(
                f"objective.start is {self.start}; it must be at most objective.end, "
                f"which is {self.end}"
            )

    def make(self, task):
        """See `representation.objectives.clusters`."""
        from ltjax.representation.objectives import clusters

        return clusters.p2ot(task, self.settings())

    def settings(self):
        """As pure functions take them."""
        from ltjax.representation.objectives import clusters

        strength = float("inf") if self.strength is None else self.strength
        ends = self.start, self.end
        return clusters.Settings(self.epsilon, strength, ends, self.memory)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sp2ot(P2ot):
    """SP2OT (arXiv:2404.03446): the same, and neighbours have like labels."""

    neighbours: Annotated[int, COUNT, THOUSAND] = 20
    """Of each image, by features before the training."""
    width: Annotated[float, POSITIVE] = 2.0
    """Of the kernel by which neighbours are alike, in roots of the dimension."""
    weight: Annotated[float, NOT_NEGATIVE] = 1000 / 5120
    """How much they count, for each image that is remembered; fades as rho grows."""
    rounds: Annotated[int, COUNT, THOUSAND] = 100
    """Rounds at most, each of which solves a problem of P2OT."""

    def make(self, task):
        """See `representation.objectives.clusters`."""
        from ltjax.representation.objectives import clusters

        return clusters.sp2ot(task, self.settings(), self.weight, self.rounds)


# Words of the command line, and the kinds that they begin with.
KINDS = {"p2ot": P2ot, "sp2ot": Sp2ot}
HEADS = {"several": Several}
MODELS = {"given": Given}
