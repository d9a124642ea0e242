"""MetaFormer as a record."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.head import Head, Linear
from ltjax.config.kind import PLACE
from ltjax.config.limits import BELOW_ONE, COUNT, Limit
from ltjax.config.model import Dtype, Model
from ltjax.mistake import Mistake

_COUNTS = Limit(lambda values: all(value >= 1 for value in values), "all at least 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetaFormer(Model):
    """MetaFormer (arXiv:2203.02751): convolutions, then attention among patches and a
    token of each piece of metadata."""

    size: Literal[0, 1, 2] = 0
    """How large, as released; what is given below wins over it."""
    conv_dims: Annotated[tuple[int, int, int] | None, _COUNTS] = None
    """Channels of S0, S1 and S2; None: those of `size`."""
    attention_dims: Annotated[tuple[int, int] | None, _COUNTS] = None
    """Dimensions of the tokens of S3 and S4."""
    conv_blocks: Annotated[tuple[int, int] | None, _COUNTS] = None
    """Blocks of S1 and S2."""
    attention_blocks: Annotated[tuple[int, int] | None, _COUNTS] = None
    """Blocks of S3 and S4."""
    heads: Annotated[int | None, COUNT] = None
    """Heads of the attention; None: 8."""
    image: Annotated[int, COUNT] = 224
    """Pixels a side of the images, to which its tables of positions belong."""
    stem: Literal[4, 2, 1] = 4
    """Pixels a side that S1 sees as one: 4 as released, 2 or 1 for small images."""
    meta: Annotated[tuple[int, ...] | None, _COUNTS] = None
    """Numbers of each piece of metadata; (): none. None: what data.meta gives."""
    corrected: bool = False
    """Give extra tokens a bias of their own; as released they share a patch's."""
    both: bool = True
    """Features of the class tokens of S3 and S4; False: of S4 alone."""
    drop_path: Annotated[float, BELOW_ONE] = 0.1
    """Chance of the last block to be left out in training, rising from 0."""
    head: Head = Linear()
    pretrained: Annotated[str | None, PLACE] = None
    """Weights to begin with, .safetensors or .npz (names as released); new head."""
    trained: tuple[str, ...] = ()
    """Parts that train, by name, such as stage4 joint head; all if none is named."""
    dtype: Dtype = "float32"
    """Compute type; statistics and losses are float32 either way."""

    @property
    def only(self):
        """Its tables of positions fit no other images."""
        return self.image

    @property
    def name(self):
        """Its name in cards and mistakes."""
        return "metaformer"

    @property
    def shape(self):
        """What decides its size, in the order of `SIZES` of `models.metaformer`."""
        from ltjax.models.metaformer import SIZES

        fields = "conv_dims", "attention_dims", "conv_blocks", "attention_blocks"
        given = [getattr(self, field) for field in (*fields, "heads")]
        return tuple(own or usual for own, usual in zip(given, SIZES[self.size]))

    def card(self):
        """With what decides its size."""
        about, _ = super().card()
        fields = "conv_dims", "attention_dims", "conv_blocks", "attention_blocks"
        sizes = dict(zip((*fields, "heads"), self.shape))
        own = any(getattr(self, field) is not None for field in sizes)
        return about | sizes, "MetaFormer" if own else f"MetaFormer-{self.size}"

    def check(self, config):
        """Refuses heads that do not divide the tokens, and channels of no stem."""
        self.check_trained()
        if self.trained == ("head",):
            raise Mistake(
                "model.trained is ('head',); of a MetaFormer stage4 and joint must "
                "train, too, such as --model.trained stage4 joint head"
            )
        conv_dims, attention_dims, _, _, heads = self.shape
        for dim in attention_dims:
            if dim % heads:
                raise Mistake(
                    f"model.attention_dims has {dim}; {heads} heads must divide it"
                )
        if conv_dims[0] < 4:
            raise Mistake(
                f"model.conv_dims has {conv_dims[0]} channels of S0; it must be at "
                "least 4"
            )

    def beside(self, widths):
        """With a token of each piece, unless it says itself what it takes."""
        if self.meta == ():
            return self
        if self.meta is not None and sum(self.meta) != sum(widths):
            raise Mistake(
                f"model.meta is {self.meta}, of {sum(self.meta)} numbers; the data "
                f"have {sum(widths)}, in pieces of {tuple(widths)}"
            )
        return dataclasses.replace(self, meta=self.meta or tuple(widths))

    def make(self, classes):
        """The network: its features, and a head with logits [B, classes]."""
        from ltjax.models.network import Network

        takes = ("image", "meta") if self.meta else ("image",)
        head = self.head.make(classes)
        return Network(features=self.body(), head=head, takes=takes)

    def body(self):
        """The whole feature extractor."""
        import jax.numpy as jnp

        from ltjax.models.metaformer import MetaFormer as Body

        return Body(
            *self.shape,
            meta=self.meta or (),
            stem=self.stem,
            corrected=self.corrected,
            drop_path=self.drop_path,
            both=self.both,
            image=self.image,
            dtype=jnp.dtype(self.dtype),
        )


# A word of the command line, and the kind, or the record of it, that it begins with.
KINDS = {
    "metaformer": MetaFormer,
    **{f"metaformer{size}": MetaFormer(size=size) for size in (0, 1, 2)},
}
