"""New weights beside those of a transformer's blocks, as records."""

import dataclasses
import functools
from typing import Annotated

from ltjax.config.kind import Kind
from ltjax.config.limits import COUNT, HUNDRED, INT32, POSITIVE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapters(Kind):
    """New weights beside those of the blocks, by the name adapter."""

    wanted = (
        "make(), which gives (what is beside attention, what is beside the layers), "
        "each build(..., name=...) or None"
    )
    blocks = None  # the last so many have them; None: all

    def make(self):
        """`beside(features, name=...)` of attention and `beside(name=...)`."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoAdapters(Adapters):
    """None."""

    def make(self):
        """Neither."""
        return None, None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lora(Adapters):
    """LoRA (arXiv:2106.09685): thin matrices beside queries, keys and values."""

    rank: Annotated[int, COUNT, INT32] = 8
    """Numbers between both matrices."""
    alpha: Annotated[float, POSITIVE] = 8.0
    """Their product counts alpha / rank."""
    blocks: Annotated[int | None, COUNT, HUNDRED] = None
    """The last so many blocks have them; None: all."""

    def make(self):
        """Beside attention."""
        from ltjax.models import adapters

        return functools.partial(adapters.Lora, rank=self.rank, alpha=self.alpha), None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptFormer(Adapters):
    """AdaptFormer (arXiv:2205.13535): a narrow layer beside those of a block."""

    width: Annotated[int, COUNT, INT32] = 64
    """Numbers inside."""
    scale: Annotated[float, POSITIVE] = 0.1
    """What it adds is multiplied by this."""
    blocks: Annotated[int | None, COUNT, HUNDRED] = None
    """The last so many blocks have them; None: all."""

    def make(self):
        """Beside the layers."""
        from ltjax.models import adapters

        beside = functools.partial(
            adapters.AdaptFormer, width=self.width, scale=self.scale
        )
        return None, beside


# A word of the command line, and the kind that it begins with.
KINDS = {"none": NoAdapters, "lora": Lora, "adaptformer": AdaptFormer}
