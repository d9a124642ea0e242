"""Stage two as a record."""

import dataclasses
from typing import Annotated, Literal

from ltjax.config.kind import PLACE, told
from ltjax.config.limits import (
    ALPHA,
    BELOW_ONE,
    COUNT,
    EXPONENT,
    INT32,
    MILLION,
    NOT_NEGATIVE,
    POSITIVE,
    TAU,
    THOUSAND,
    within,
)
from ltjax.mistake import Mistake

Method = Literal[
    "crt", "lws", "tau_norm", "ncm", "la_posthoc", "iif", "la", "disalign", "srepr"
]
# Of inverse image frequency: see `losses.inverse`.
Variant = Literal["rel", "raw", "smooth", "normit", "gombit"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Srepr:
    """Self-distillation of the draws into the mean."""

    alpha: Annotated[float | Literal["auto"], ALPHA] = 0.5
    """Weight of the distillation; the logit-adjusted loss has 1 - alpha. auto: it and
    the temperature are chosen on the images of data.validation."""
    temperature: Annotated[float, POSITIVE] = 2.0
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
    epochs: Annotated[int, COUNT, MILLION] = 20
    """Epochs of each trained head."""
    batch_size: Annotated[int, COUNT, INT32] = 128
    """Images per step; all of them if there are fewer."""
    lr: Annotated[float, POSITIVE] = 0.1
    """Peak learning rate, cosine to zero."""
    momentum: Annotated[float, BELOW_ONE] = 0.9
    """Nesterov momentum."""
    weight_decay: Annotated[float, NOT_NEGATIVE] = 5e-4
    """Coupled L2 on the trained parameters."""
    views: Annotated[int | None, COUNT, THOUSAND] = 4
    """Augmented views kept as a bank of features; None: fresh ones each epoch."""
    bank: Annotated[Literal["memory", "file"], PLACE] = "memory"
    """Features that a device has no room for: held in memory, or read from their files
    as they are used."""
    bank_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the kept views; heads learn in float32 either way."""
    tau: Annotated[float | Literal["auto"], TAU] = 1.0
    """Strength of logit adjustment. auto: that of LA and that of LA post-hoc are chosen
    on the images of data.validation; SRepr's is 1 then."""
    iif: Variant = "rel"
    """How inverse image frequency weighs a class."""
    tau_norm: Annotated[float | Literal["auto"], EXPONENT] = 1.0
    """Exponent of tau-normalisation; auto: chosen likewise."""
    # Beyond, the weight of a head class is lost in float32.
    rho: Annotated[float, within(0, 5)] = 1.2
    """Exponent of DisAlign's class weights."""
    experts: Literal["alone", "together"] = "alone"
    """Linear classifiers of experts: each learns from its own loss, or all from that of
    their mean logits, and none stands alone."""
    calibrate: bool = False
    """Fit a temperature of each row, and biases where images allow, on the images of
    data.validation; tables and predictions are with them."""
    srepr: Srepr = Srepr()

    def check(self, config):
        """Refuses experts together where there are none, and a bank without views.

        And a choice without images to choose on.
        """
        if self.calibrate and not config.data.validation:
            raise Mistake(
                "classifier.calibrate is True, which takes images that are held out of "
                "training, and data.validation is 0; give --data.validation 0.1, or "
                "--calibrate alone"
            )
        for name, value in (
            ("tau", self.tau),
            ("tau_norm", self.tau_norm),
            ("srepr.alpha", self.srepr.alpha),
        ):
            if value == "auto" and not config.data.validation:
                raise Mistake(
                    f"classifier.{name} is 'auto', which is chosen on images that are "
                    "held out of training, and data.validation is 0; give "
                    "--data.validation 0.1, or a number"
                )
        if self.experts == "together" and told(config.model, "experts") is None:
            raise Mistake(
                "classifier.experts is 'together' and the model is an ordinary "
                "network; give --model experts"
            )
        for field in ("bank", "bank_dtype"):
            value = getattr(self, field)
            if self.views is None and value != getattr(Classifier, field):
                raise Mistake(
                    f"classifier.{field} is {value!r}, which only kept views have; "
                    "classifier.views is None"
                )
