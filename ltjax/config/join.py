"""Metadata for a network that has no tokens of it."""

import dataclasses
from typing import Annotated

from ltjax.config.around import Around
from ltjax.config.kind import told
from ltjax.config.limits import COUNT, INT32
from ltjax.mistake import Mistake


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined(Around):
    """A network with an embedding of data.meta beside its features.

    Every network without tokens of metadata is joined so.
    """

    width: Annotated[int, COUNT, INT32] = 64
    """Numbers of the embedding."""

    @property
    def inner(self):
        """The network that is joined."""
        return self.of

    @property
    def name(self):
        """Its name in cards and mistakes."""
        return f"joined {told(self.of, 'name')}"

    @property
    def experts(self):
        """As many as those of the network."""
        return told(self.of, "experts")

    @property
    def pretrained(self):
        """The network's own."""
        return told(self.of, "pretrained")

    @property
    def trained(self):
        """The network's own; what is joined trains."""
        words = told(self.of, "trained") or ()
        return (*words, "beside") if words else ()

    def beside(self, widths):
        """It takes all metadata as they come."""
        return self

    def card(self):
        """What the network is, and what it takes besides."""
        about, name = self.of.card()
        return {**about, "joined": self.width}, f"{name} beside metadata"

    def check(self, config):
        """Refuses a network that has metadata itself, and data without."""
        if told(self.of, "meta") or isinstance(self.of, Joined):
            raise Mistake(
                f"model.of is {self.of!r}, which takes metadata itself; give it alone"
            )
        if not config.data.meta:
            raise Mistake(
                "model is Joined, and data.meta is (); give the columns that are known "
                "beside the images"
            )
        self.check_inner(config)

    def make(self, classes):
        """The network: its features beside the embedding, and the head of both."""
        return self.joined(self.of.make(classes))

    def joined(self, net):
        """The same of a network that is made, or of a part of it."""
        from ltjax.models.join import Joined as Features

        features = Features(net.features.copy(), self.width)
        return net.copy(features=features, takes=(*net.takes, "meta"))


# A word of the command line, and the kind that it begins with.
KINDS = {"joined": Joined}


def begun_anew(model):
    """The same model without pretrained weights."""
    if told(model, "inner") is not None:
        return dataclasses.replace(model, of=begun_anew(model.inner))
    if model.pretrained is None:
        return model
    return dataclasses.replace(model, pretrained=None)
