"""The networks of stage one as records: which one, and where its weights begin."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.activation import Activation, Relu
from ltjax.config.gate import Gate, Open
from ltjax.config.head import Head, Linear
from ltjax.config.kind import PLACE, Kind, told
from ltjax.config.limits import COUNT, DEPTH, HUNDRED, INT32, LAYERS
from ltjax.mistake import Mistake

Dtype = Literal["float32", "bfloat16"]
Name = Literal[
    "resnet10", "resnet50", "resnet101", "resnet152", "resnext50", "resnext101"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Kind):
    """The network, and where its weights begin."""

    wanted = "make(classes), which gives an ltjax.models.network.Network"
    experts = None  # how many; None: an ordinary network
    head = None  # None: not known here
    pretrained = None  # the file of the weights that it begins with
    trained = ()  # words of the names of what trains; (): everything
    package = None  # that brings weights of it, which pretrained "auto" finds
    side = None  # pixels that images are scaled to; None: they stay as they are
    only = None  # pixels a side of the only images that it takes; None: any
    parts = None  # that several experts may share; None: they may not
    widens = False  # whether its shortcuts can add channels only
    inner = None  # of a network that is joined with metadata: the network alone

    def computed_in(self, dtype):
        """The same model with another compute type."""
        return dataclasses.replace(self, dtype=dtype)

    def beside(self, widths):
        """The model that takes metadata, too, of pieces of these widths, if it can."""
        from ltjax.config.join import Joined

        return Joined(of=self)

    def suits(self, layout, path):
        """Refuses weights of a file `path` for which something is not said.

        `layout` is a `models.layouts.Layout`, or None of names that nobody knows.
        """

    def check_trained(self):
        """Refuses to leave alone what was never trained."""
        if not self.trained:
            return
        if self.pretrained is None:
            raise Mistake(
                f"model.trained is {self.trained} without model.pretrained; only "
                "weights that were trained before can stay as they are"
            )
        if "head" not in self.trained:
            raise Mistake(
                f"model.trained is {self.trained}; it must have 'head', which begins "
                "with new weights"
            )

    def card(self):
        """What a card holds of it, and its name as it is read there."""
        about = {"trained": self.trained} if self.trained else {}
        for part in ("gate", "activation"):
            own = getattr(self, part, None)
            # Those of an ordinary network are not told.
            if part in self.__dict__ and own != getattr(type(self), part):
                about[part] = dataclasses.asdict(own) | {"kind": type(own).__name__}
        return {"name": self.name, **about}, self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class CifarResNet(Model):
    """A ResNet for images of 8 to 64 pixels."""

    parts = 4  # the stem and three stages

    depth: Annotated[int, DEPTH, LAYERS] = 32
    """6n + 2 layers, 8, 20, 32, 44, 56."""
    width: Annotated[int, COUNT, INT32] = 16
    """Channels of the first stage, doubled in each of the next."""
    shortcut: Literal["A", "B"] = "A"
    """Zeros for new channels, or a projection."""
    init: Literal["fan_out", "fan_in", "pytorch"] = "fan_out"
    """First weights: normal by either fan (He), or uniform as PyTorch's by default."""
    activation: Activation = Relu()
    """That of every layer."""
    gate: Gate = Open()
    """What the residual of each block goes through."""
    head: Head = Linear()
    dtype: Dtype = "float32"
    """Compute type; statistics and losses are float32 either way."""

    @property
    def name(self):
        """Its name in cards and mistakes."""
        return "cifar_resnet"

    @property
    def widens(self):
        """Shortcuts A do nothing else."""
        return self.shortcut == "A"

    def card(self):
        """With what decides its size."""
        about, _ = super().card()
        sizes = {"depth": self.depth, "width": self.width}
        return about | sizes, f"CIFAR ResNet-{self.depth}"

    def check(self, config):
        """Refuses a gate that leaves no channels inside."""
        _check_gate(self, config, self.width)

    def make(self, classes):
        """The network: its features, and a head with logits [B, classes]."""
        from ltjax.models.network import Network

        return Network(features=self.body(), head=self.head.make(classes))

    def body(self):
        """The whole feature extractor."""
        from ltjax.models.cifar_resnet import CifarResNet as Body
        from ltjax.models.convolution import HE_FAN_IN, HE_FAN_OUT, PYTORCH

        inits = {"fan_out": HE_FAN_OUT, "fan_in": HE_FAN_IN, "pytorch": PYTORCH}
        return Body(
            self.depth,
            self.width,
            dtype_of(self.dtype),
            projection=self.shortcut == "B",
            kernel_init=inits[self.init],
            activation=self.activation.make(),
            gate=self.gate.make(HE_FAN_IN, HE_FAN_IN),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNet(Model):
    """A ResNet for larger images, in torchvision's layout."""

    parts = 5  # the stem and four stages

    name: Name = "resnet50"
    """Which one."""
    activation: Activation = Relu()
    """That of every layer."""
    gate: Gate = Open()
    """What the residual of each block goes through."""
    head: Head = Linear()
    pretrained: Annotated[str | None, PLACE] = None
    """Weights to begin with, a .safetensors, .npz or .pth file; new head."""
    trained: tuple[str, ...] = ()
    """Parts that train, by name, such as layer4 head; all if none is named."""
    dtype: Dtype = "float32"
    """Compute type; statistics and losses are float32 either way."""

    def check(self, config):
        """Refuses to leave alone what was never trained, and too narrow a gate."""
        _check_gate(self, config, 64 if self.name == "resnet10" else 256)
        self.check_trained()

    def make(self, classes):
        """The network: its features, and a head with logits [B, classes]."""
        from ltjax.models.network import Network

        return Network(features=self.body(), head=self.head.make(classes))

    def body(self):
        """The whole feature extractor."""
        from ltjax.models import resnet
        from ltjax.models.convolution import HE_FAN_OUT, PYTORCH

        return getattr(resnet, self.name)(
            dtype=dtype_of(self.dtype),
            activation=self.activation.make(),
            gate=self.gate.make(PYTORCH, HE_FAN_OUT),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experts(Model):
    """Several experts in one network, which share its first parts."""

    of: Model = CifarResNet()
    count: Annotated[int, COUNT, HUNDRED] = 3
    """How many."""
    branch: Annotated[int, COUNT] = 2
    """Parts that they share: 2 are the stem and the first stage."""
    width: Annotated[int | None, COUNT, INT32] = None
    """Channels that a first stage of theirs would have; None: the network's own."""
    fused: bool = False
    """Multiply each one's last map by a shared one of another depth (SHIKE)."""

    @property
    def experts(self):
        """How many, as every model tells."""
        return self.count

    @property
    def head(self):
        """The head of each expert."""
        return self.of.head

    @property
    def dtype(self):
        """The compute type of each."""
        return self.of.dtype

    def computed_in(self, dtype):
        """The same experts with another compute type."""
        return dataclasses.replace(self, of=self.of.computed_in(dtype))

    def card(self):
        """What one of them is, and how they come together."""
        about, name = self.of.card()
        fields = "count", "branch", "width", "fused"
        about["experts"] = {field: getattr(self, field) for field in fields}
        return about, f"{name} of {self.count} experts"

    def check(self, config):
        """Refuses a network that cannot be branched so."""
        body = self.of
        if told(body, "parts") is None:
            raise Mistake(
                f"model.of is {body!r}; it must be a CifarResNet or a ResNet, whose "
                "parts experts share"
            )
        least = 2 if self.fused else 1
        if not least <= self.branch < body.parts:
            raise Mistake(
                f"model.branch is {self.branch}; it must be in "
                f"{least}..{body.parts - 1}, some of the {body.parts} parts of "
                f"{body.name}"
            )
        if body.pretrained is not None or body.trained:
            value = body.pretrained or body.trained
            field = "trained" if body.pretrained is None else "pretrained"
            raise Mistake(
                f"model.of.{field} is {value}, and the model is Experts; experts begin "
                "with new weights"
            )
        # The first stage has no new channels, all others twice as many as the one
        # before.
        growth = 2 if self.branch > 1 else 1
        if self.width and body.widens:
            narrowest = -(-body.width // growth)
            if self.width < narrowest:
                raise Mistake(
                    f"model.width is {self.width}; shortcuts A only add channels, so "
                    f"it must be at least {narrowest}"
                )
        if self.width and told(body, "width"):
            # The gates of a branch have its width.
            first = self.width * 2 ** (self.branch - 1)
            dataclasses.replace(body, width=first).check(config)

    def make(self, classes):
        """The network of E experts: logits [B, E, classes]."""
        from ltjax.models import experts, heads
        from ltjax.models.network import Network

        body = self.of.body()
        widths = (self.width or body.width,) * self.count
        return Network(
            features=experts.branched(body, self.branch, widths, self.fused),
            head=heads.for_experts(self.of.head.make(classes)),
        )


# A word of the command line, and the kind, or the record of it, that it begins with.
KINDS = {
    "cifar_resnet": CifarResNet,
    "resnet": ResNet,
    "experts": Experts,
    **{name: ResNet(name=name) for name in Name.__args__},
}


def _check_gate(model, config, channels):
    reduction = told(model.gate, "reduction")
    if reduction is not None and reduction > channels:
        path = "model" if config.model is model else "model.of"
        raise Mistake(
            f"{path}.gate.reduction is {reduction}; it must be at most {channels}, the "
            f"channels of the first blocks of {model.name}"
        )


def dtype_of(name):
    """The compute type of that name."""
    import jax.numpy as jnp

    return jnp.dtype(name)
