"""A run as frozen data: one dataclass per stage.

Field docstrings are the help texts of the command line.
"""

import dataclasses
from typing import Literal

Method = Literal[
    "crt", "lws", "tau_norm", "ncm", "la_posthoc", "la", "disalign", "srepr"
]

Architecture = Literal[
    "cifar_resnet",
    "resnet10",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50",
    "resnext101",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Images, labels and the long tail."""

    source: str = "digits"
    """`digits` (embedded), `folder` or `csv` (see path), `npz` (see train and test) or
    `tfds:NAME`."""
    train: str | None = None
    """Training file of an npz source: `image` uint8 [N, H, W, C], `label` [N]."""
    test: str | None = None
    """Test file of an npz source."""
    path: str | None = None
    """Image folder, train/CLASS/*.jpg or CLASS/*.jpg, or CSV with the columns path,
    label and, optionally, split."""
    nested: bool = False
    """Take the last folder of an image as its class, not the first one."""
    size: int | None = None
    """Pixels a side of images from files: the shorter side scaled to it, the longer
    one cut. None: a TFDS set's own, or 64."""
    background: str | None = "white"
    """Colour behind what is transparent in images from files: a name, or "#rrggbb".
    None: alpha is left out."""
    range: tuple[float, float] | None = None
    """Values that become black and white in grey files of more than 8 bits. None: the
    upper 8 of 16 bits."""
    test_per_class: int | None = None
    """Test images of each class that keeps as many, where a folder, CSV or npz has no
    test split. None: 10."""
    strict: bool = False
    """Refuse a folder or CSV with files that cannot be read; False: skip, list them."""
    directory: str | None = None
    """Data directory of a tfds source; None: TFDS's own default."""
    download: bool = False
    """Let TFDS download and prepare a set that is not there yet."""
    classes: int | None = None
    """Number of classes; None: the largest label plus one."""
    imbalance_factor: float | None = None
    """Largest class over smallest, exponential in between; None: use all images."""
    largest: int | None = None
    """Images of the largest class; None: as many as every class has."""
    holdout: int = 0
    """Training images a class held out, balanced, and tested on instead of the test
    set: for choosing. The profile is drawn from the rest."""
    subset_seed: int = 0
    """Seed of the long-tailed draw and of a test split; not the run's seed."""
    subset: Literal["draw", "first"] = "draw"
    """Which images the tail keeps: the draw of Cao et al., or the first in the file."""
    pad: int = 0
    """Random crops after padding by so many pixels on each side."""
    flip: bool = False
    """Random horizontal flips."""
    stream: bool | None = None
    """Decode a folder, CSV or TFDS set as it is trained on; None: if it does not fit in
    a quarter of the memory."""
    workers: int = 0
    """Processes that decode streamed images; 0: threads of this one."""
    crop_area: float | None = None
    """Random resized crops of at least this share of a streamed image: 0.08 for
    ImageNet. Tests then see the middle, 224 of 256 pixels."""
    rotate: float = 0.0
    """Random rotations by up to so many degrees."""
    policy: Literal["autoaugment", "randaugment"] | None = None
    """Random operations on colours and shapes: AutoAugment's for CIFAR, RandAugment."""
    cutout: int = 0
    """Blackens a random square of so many pixels a side."""
    jitter: float = 0.0
    """Random brightness, contrast and saturation of streamed images: up to so much
    more or less; 0.4 for ImageNet-LT."""
    manifest: str | None = None
    """Known set that the data must be, such as `cifar100_lt`; None: any."""
    allow_mismatch: bool = False
    """Go on, and say so in the results, where the data are not what `manifest` says."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experts:
    """Several experts in one network, which share its first parts."""

    count: int | None = None
    """How many; None: an ordinary network."""
    branch: int = 2
    """Parts that they share: 2 are the stem and the first stage."""
    width: int | None = None
    """Channels that a first stage of theirs would have; None: the network's own."""
    fused: bool = False
    """Multiply each one's last map by a shared one of another depth (SHIKE)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """The network, and where its weights begin."""

    name: Architecture = "cifar_resnet"
    """For images of 8 to 64 pixels `cifar_resnet`; the others are for larger ones."""
    depth: int = 32
    """Of a CIFAR ResNet: 6n + 2 layers, 8, 20, 32, 44, 56."""
    width: int = 16
    """Of a CIFAR ResNet: channels of the first stage, doubled in each of the next."""
    shortcut: Literal["A", "B"] = "A"
    """Of a CIFAR ResNet: zeros for new channels, or a projection."""
    init: Literal["fan_out", "fan_in"] = "fan_out"
    """Of a CIFAR ResNet: which fan decides how large its first weights are."""
    head: Literal["linear", "cosine"] = "linear"
    """Classifier of stage one."""
    scale: float = 30.0
    """Of a cosine head: logits are so many times a cosine."""
    experts: Experts = Experts()
    pretrained: str | None = None
    """Weights to begin with, .safetensors or .npz (torchvision names); new head."""
    frozen: int = 0
    """Pretrained parts that stay as they are: 1 the stem, 4 also three of 4 stages."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute type; statistics and losses are float32 either way."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ride:
    """RIDE's loss; the defaults are those of CIFAR-100-LT."""

    diversity: float = -0.45
    """Weight of the divergence from the experts' mean; -0.2 for ImageNet-LT."""
    reweight_factor: float = 0.05
    """How far the tail's temperature falls; 0.02 for ImageNet-LT."""
    reweight_epoch: int | None = 160
    """Epochs before class weights and temperatures; None: never."""
    teacher: str | None = None
    """Folder of a finished run of experts, whose SGD network is distilled too."""
    repeated: bool = True
    """Of a distilled loss: count it once for each expert, as released."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shike:
    """SHIKE's loss of its first stage."""

    detached: bool = False
    """Keep the gradient out of the teachers; as released it flows into them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mdcs:
    """MDCS's loss; images are seen in a weak and in a strong view."""

    scales: tuple[float, ...] = (-0.5, 1.0, 2.5)
    """Strength of the log prior, for each expert."""
    consistency: float = 0.6
    """Weight of the distillation from the weak view to the strong one."""
    ramp_epochs: int = 20
    """Epochs in which that weight grows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optim:
    """Stage one: SGD with momentum and coupled weight decay."""

    loss: Literal["cross_entropy", "ride", "shike", "mdcs"] = "cross_entropy"
    """Of one network or, summed, of each expert; the others are of experts."""
    ride: Ride = Ride()
    shike: Shike = Shike()
    mdcs: Mdcs = Mdcs()
    schedule: Literal["cosine", "steps", "cosine_by_epoch"] = "cosine"
    """Of the SGD backbone: half a cosine to zero by step or by epoch, or in steps."""
    milestones: tuple[int, ...] = ()
    """Epochs from which on a rate in steps is lower, at each by the factor."""
    factor: float = 0.1
    """What a rate in steps is multiplied by at each milestone."""
    start_lr: float = 0.05
    """Of a cosine by epoch: the learning rate of the second epoch."""
    nesterov: bool = True
    """Nesterov's momentum, or the plain one."""

    lr: float = 0.1
    """Peak learning rate."""
    epochs: int = 200
    """Epochs of each backbone, SGD and SWA alike."""
    warmup_epochs: int = 5
    """Epochs of linear warm-up."""
    momentum: float = 0.9
    """Momentum."""
    weight_decay: float = 5e-4
    """Coupled L2 on all parameters."""
    batch_size: int = 128
    """Images per step."""
    drop_last: bool = True
    """Leave out the incomplete last batch; otherwise it is filled from the first."""
    sampling: Literal["instance", "class", "square_root", "progressive"] = "instance"
    """Who is in a batch: images, classes, or in between."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Swa:
    """Weight averaging of the SWA backbone, and its Gaussian."""

    start: int | None = None
    """Epochs before the constant rate and its snapshots; None: three in four."""
    lr: float = 0.02
    """Constant learning rate from the start on."""
    every_steps: int | None = None
    """Steps between snapshots; None: one at each epoch's end."""
    rank: int = 20
    """Deviations kept for the low-rank part (K)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the deviations; mean and scatter are float32 either way."""
    place: Literal["device", "sharded", "host"] = "device"
    """Where the deviations lie: whole on every device, cut over the devices, or in the
    memory of the host."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Posterior:
    """Draws of the feature extractor and their batch-norm statistics."""

    samples: int = 10
    """Draws (M)."""
    scale: float = 1.0
    """Scale of the covariance; 1 is the SWAG paper's posterior."""
    chunk: int = 1
    """Draws evaluated at once; on CPU one is fastest."""
    batch_size: int = 1000
    """Images per batch of the batch-norm pass, whose statistics depend on it a little,
    and at most of the features' pass."""
    images: int | None = None
    """Training images of the batch-norm pass, evenly spaced; None: all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Srepr:
    """Self-distillation of the draws into the mean."""

    alpha: float = 0.5
    """Weight of the distillation; the logit-adjusted loss has 1 - alpha."""
    temperature: float = 2.0
    """Temperature of the mean form."""
    form: Literal["mean", "dirichlet"] = "mean"
    """Distillation of the headline row; the other form is a variant beside it."""
    on: Literal["members", "mean", "both"] = "members"
    """Where the logit-adjusted loss is taken."""
    head: Literal["new", "stage_one"] = "new"
    """What re-training starts from: a new head, or that of stage one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classifier:
    """Stage two: classifiers re-trained on frozen features."""

    methods: tuple[Method, ...] = (
        "crt",
        "lws",
        "tau_norm",
        "ncm",
        "la_posthoc",
        "la",
        "disalign",
        "srepr",
    )
    """Rows of the table besides no re-training."""
    epochs: int = 20
    """Epochs of each trained head."""
    batch_size: int = 128
    """Images per step; all of them if there are fewer."""
    lr: float = 0.1
    """Peak learning rate, cosine to zero."""
    momentum: float = 0.9
    """Nesterov momentum."""
    weight_decay: float = 5e-4
    """Coupled L2 on the trained parameters."""
    views: int | None = 4
    """Augmented views kept as a bank of features; None: fresh ones each epoch."""
    bank: Literal["memory", "file"] = "memory"
    """Features that a device has no room for: held in memory, or read from their files
    as they are used."""
    bank_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the kept views; heads learn in float32 either way."""
    tau: float = 1.0
    """Strength of logit adjustment."""
    tau_norm: float = 1.0
    """Exponent of tau-normalisation."""
    rho: float = 1.2
    """Exponent of DisAlign's class weights."""
    experts: Literal["alone", "together"] = "alone"
    """Linear classifiers of experts: each learns from its own loss, or all from that of
    their mean logits, and none stands alone."""
    srepr: Srepr = Srepr()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is kept on disk; not part of what a run is."""

    keep: int = 2
    """Newest checkpoints kept per backbone."""
    every_seconds: float | None = None
    """Seconds between checkpoints, within an epoch too. None: at epochs' ends, as often
    as 2 % of the time allows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """One run: both backbones, every classifier, one table."""

    name: str | None = None
    """Names the run's folder; None: as the config file."""
    seed: int = 0
    """Initial weights, order, augmentation, draws and heads; never the subset."""
    data: Data = Data()
    model: Model = Model()
    optim: Optim = Optim()
    swa: Swa = Swa()
    posterior: Posterior = Posterior()
    classifier: Classifier = Classifier()
    checkpoint: Checkpoint = Checkpoint()


def swa_start(config):
    """Epochs of the SWA backbone before its constant rate."""
    start = config.swa.start
    return 3 * config.optim.epochs // 4 if start is None else start


# What a record means by the fields that it does not know, as it is older than they.
UNTOLD = Config(data=Data(background=None))


def of_record(record, untold=UNTOLD):
    """The config that `dataclasses.asdict` made a JSON record of."""
    values = {}
    for name, value in record.items():
        if isinstance(value, dict):
            value = of_record(value, getattr(untold, name))
        values[name] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(untold, **values)
