"""Vision transformers as records."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.activation import Activation, Usual
from ltjax.config.adapters import Adapters, NoAdapters
from ltjax.config.head import Head, Linear
from ltjax.config.kind import PLACE, told
from ltjax.config.limits import BELOW_ONE, COUNT, FROM_ZERO, HUNDRED, INT32
from ltjax.config.model import Dtype, Model
from ltjax.mistake import Mistake

_SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vit(Model):
    """A vision transformer; two tokens, CLS and DIST, are two experts of one body."""

    size: Literal["tiny", "small", "base"] = "base"
    """What it is where nothing else is said: 192, 384 or 768 wide, 12 blocks."""
    dim: Annotated[int | None, COUNT, INT32] = None
    """Width of a token; None: as the size has it."""
    depth: Annotated[int | None, COUNT, HUNDRED] = None
    """Blocks; None: as the size has it."""
    heads: Annotated[int | None, COUNT, INT32] = None
    """Heads of attention, which divide the width; None: as the size has it."""
    patch: Annotated[int, COUNT, INT32] = 16
    """Pixels of a side of a patch, which divide those of the images."""
    tokens: Literal[1, 2] = 1
    """CLS, or CLS and DIST."""
    image: Annotated[int, COUNT, INT32] = 224
    """Pixels of a side that positions are learnt for; those of other images are
    resized."""
    pixels: Annotated[int | None, COUNT, INT32] = None
    """Pixels a side that images are scaled to before it; None: `image` where it begins
    with weights of a file, else as they are."""
    registers: Annotated[int, FROM_ZERO, HUNDRED] = 0
    """Tokens that nobody reads (arXiv:2309.16588)."""
    layer_scale: bool = False
    """Multiply what a block adds by a learnt vector, as DINOv2 and DeiT-III do."""
    pre_norm: bool = False
    """A layer norm ahead of the blocks, and epsilons of 1e-5, as CLIP has them."""
    activation: Activation = Usual()
    """That of every block."""
    drop_path: Annotated[float, BELOW_ONE] = 0.0
    """Chance that the last block is left out of an image in training; it rises to it
    from 0 in the first."""
    recomputed: bool = False
    """Work out what is within a block again for its gradient: slower, less memory."""
    adapters: Adapters = NoAdapters()
    head: Head = Linear()
    moments: Literal["layout", "imagenet", "half", "clip"] = "layout"
    """Mean and deviation of the pixels that weights of a file know: those of its
    layout (of timm's ViTs half, which for DeiT's is imagenet)."""
    pretrained: Annotated[str | None, PLACE] = None
    """Weights to begin with: of timm, DINO, DeiT, CLIP or Hugging Face; new head."""
    trained: tuple[str, ...] = ()
    """Parts that train, by name, such as blocks_11 head; all if none is named."""
    dtype: Dtype = "float32"
    """Compute type; statistics and losses are float32 either way."""

    @property
    def name(self):
        """Its name in cards and mistakes."""
        return "vit"

    @property
    def side(self):
        """Pixels a side of what it takes; None: those of the images."""
        return self.pixels or (self.image if self.pretrained else None)

    @property
    def experts(self):
        """Two tokens are two experts."""
        return self.tokens if self.tokens > 1 else None

    @property
    def shape(self):
        """Width, blocks and heads."""
        own = self.dim, self.depth, self.heads
        return tuple(x or usual for x, usual in zip(own, _SIZES[self.size]))

    def card(self):
        """With what decides its size."""
        about, _ = super().card()
        dim, depth, heads = self.shape
        about |= {"dim": dim, "depth": depth, "heads": heads, "patch": self.patch}
        about |= {"tokens": self.tokens}
        tokens = " of two tokens" if self.tokens > 1 else ""
        return about, f"ViT of {depth} blocks, {dim} wide{tokens}"

    def check(self, config):
        """Refuses heads and patches that do not come out even."""
        dim, _, heads = self.shape
        if dim % heads:
            raise Mistake(
                f"model.heads is {heads}; it must divide model.dim, which is {dim}"
            )
        for name in ("image", "pixels"):
            value = getattr(self, name)
            if value and value % self.patch:
                raise Mistake(
                    f"model.patch is {self.patch}; it must divide model.{name}, which "
                    f"is {value}"
                )
        self.check_trained()
        adapted = any("adapter" in word.split("/") for word in self.trained)
        if self.trained and self.adapters != NoAdapters() and not adapted:
            raise Mistake(
                f"model.adapters is {self.adapters!r}, and model.trained, "
                f"{self.trained}, has no 'adapter'; it must, as they begin with new "
                "weights"
            )

    def suits(self, layout, path):
        """Refuses weights whose names do not tell of which activation they are."""
        if layout and layout.quick and self.activation == Usual():
            raise Mistake(
                f"{path} has the names of {layout.title}, and model.activation is not "
                "stated; give --model.activation quick_gelu for weights that OpenAI "
                "trained, gelu for others, such as LAION's"
            )

    def make(self, classes):
        """The network: logits [B, classes], or [B, 2, classes] of two tokens."""
        from ltjax.models import heads
        from ltjax.models.network import Network

        head = self.head.make(classes)
        if self.experts:
            head = heads.for_experts(head)
        return Network(features=self.body(), head=head)

    def body(self):
        """The whole feature extractor."""
        import jax.numpy as jnp

        from ltjax.models.vit import VisionTransformer

        dim, depth, heads = self.shape
        return VisionTransformer(
            dim,
            depth,
            heads,
            patch=self.patch,
            tokens=self.tokens,
            image=self.image,
            registers=self.registers,
            layer_scale=self.layer_scale,
            pre_norm=self.pre_norm,
            epsilon=1e-5 if self.pre_norm else 1e-6,
            activation=self.activation.make(),
            drop_path=self.drop_path,
            adapters=self.adapters.make(),
            adapted=told(self.adapters, "blocks"),
            recomputed=self.recomputed,
            dtype=jnp.dtype(self.dtype),
        )


# A word of the command line, and the kind, or the record of it, that it begins with.
KINDS = {"vit": Vit}
