"""Settings of schedule, head, experts and loss that do not go together."""

import pytest

from ltjax.config import Classifier, Config, Experts, Mdcs, Model, Optim, Ride, limits
from ltjax.mistake import Mistake

COSINE = Model(head="cosine", experts=Experts(count=3))


@pytest.mark.parametrize(
    "config",
    [
        Config(model=Model(experts=Experts(count=1))),
        Config(classifier=Classifier(bank="file", bank_dtype="bfloat16")),
        Config(classifier=Classifier(views=None)),
        Config(model=Model(experts=Experts(count=2, branch=1))),
        Config(model=Model(experts=Experts(count=2, width=8))),
        Config(model=Model(shortcut="B", experts=Experts(count=2, width=4))),
        Config(model=Model(name="resnet50", experts=Experts(count=2, branch=4))),
        Config(model=COSINE, optim=Optim(loss="ride", ride=Ride(reweight_epoch=None))),
        Config(model=COSINE, optim=Optim(loss="ride", ride=Ride(teacher="x"))),
        Config(
            model=COSINE,
            optim=Optim(loss="ride", ride=Ride(teacher="x", repeated=False)),
        ),
        Config(model=COSINE, optim=Optim(loss="mdcs")),
        Config(model=Model(experts=Experts(count=3)), optim=Optim(loss="mdcs")),
        Config(optim=Optim(schedule="steps", milestones=(5, 199))),
        Config(optim=Optim(schedule="steps")),
        Config(optim=Optim(schedule="cosine_by_epoch", warmup_epochs=2)),
    ],
)
def test_settings_that_go_together(config):
    limits.check(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            Config(model=Model(experts=Experts(count=0))),
            "model.experts.count is 0; it must be at least 1",
        ),
        (
            Config(model=Model(experts=Experts(width=12))),
            "model.experts.width is 12 without model.experts.count; give how many "
            "experts",
        ),
        (
            Config(classifier=Classifier(experts="together")),
            "classifier.experts is 'together' without model.experts.count; give how "
            "many experts",
        ),
        (
            Config(classifier=Classifier(bank="file", views=None)),
            "classifier.bank is 'file', which only kept views have; classifier.views "
            "is None",
        ),
        (
            Config(classifier=Classifier(bank_dtype="bfloat16", views=None)),
            "classifier.bank_dtype is 'bfloat16', which only kept views have; "
            "classifier.views is None",
        ),
        (
            Config(model=Model(experts=Experts(count=2, branch=4))),
            "model.experts.branch is 4; it must be in 1..3, some of the 4 parts of "
            "cifar_resnet",
        ),
        (
            Config(model=Model(experts=Experts(count=2, branch=1, fused=True))),
            "model.experts.branch is 1; it must be in 2..3, some of the 4 parts of "
            "cifar_resnet",
        ),
        (
            Config(model=Model(experts=Experts(count=2, width=7))),
            "model.experts.width is 7; shortcuts A only add channels, so it must be "
            "at least 8",
        ),
        (
            Config(
                model=Model(
                    name="resnet50", pretrained="a.npz", experts=Experts(count=2)
                )
            ),
            "model.pretrained is a.npz and model.experts.count is 2; experts begin "
            "with new weights",
        ),
        (
            Config(model=Model(scale=16.0)),
            "model.scale is 16, which only a cosine head reads; model.head is 'linear'",
        ),
        (
            Config(model=Model(name="resnet50", shortcut="B")),
            "model.shortcut is 'B', which only a CIFAR ResNet reads; "
            "model.name is resnet50",
        ),
        (
            Config(optim=Optim(loss="shike")),
            "optim.loss is 'shike', a loss of several experts; model.experts.count is "
            "None, give how many",
        ),
        (
            Config(model=Model(experts=Experts(count=3)), optim=Optim(loss="ride")),
            "optim.loss is 'ride', whose constants are those of a cosine head of "
            "scale 30; model.head is 'linear', model.scale 30",
        ),
        (
            Config(
                model=COSINE, optim=Optim(loss="mdcs", mdcs=Mdcs(scales=(0.0, 1.0)))
            ),
            "optim.mdcs.scales is (0.0, 1.0); it must have one number for each of the "
            "3 experts of model.experts.count",
        ),
        (
            Config(optim=Optim(mdcs=Mdcs(scales=()))),
            "optim.mdcs.scales is (); it must be some finite numbers",
        ),
        (
            Config(model=COSINE, optim=Optim(loss="shike", ride=Ride(teacher="x"))),
            "optim.ride.teacher is 'x', which only the loss 'ride' reads; optim.loss "
            "is 'shike'",
        ),
        (
            Config(optim=Optim(ride=Ride(teacher="x"))),
            "optim.ride.teacher is 'x', which only the loss 'ride' reads; optim.loss "
            "is 'cross_entropy'",
        ),
        (
            Config(model=COSINE, optim=Optim(loss="ride", ride=Ride(repeated=False))),
            "optim.ride.repeated is False without optim.ride.teacher; only a distilled "
            "loss is repeated",
        ),
        (
            Config(optim=Optim(milestones=(160,))),
            "optim.milestones is (160,), which only the schedule 'steps' reads; "
            "optim.schedule is 'cosine'",
        ),
        (
            Config(optim=Optim(schedule="steps", milestones=(180, 160))),
            "optim.milestones is (180, 160); they must rise from "
            "optim.warmup_epochs (5) to below optim.epochs (200)",
        ),
        (
            Config(optim=Optim(schedule="steps", milestones=(4,))),
            "optim.milestones is (4,); they must rise from "
            "optim.warmup_epochs (5) to below optim.epochs (200)",
        ),
        (
            Config(optim=Optim(schedule="cosine_by_epoch", warmup_epochs=1)),
            "optim.warmup_epochs is 1; the schedule 'cosine_by_epoch' needs at least "
            "2, a line through optim.start_lr",
        ),
    ],
)
def test_settings_that_do_not_go_together(config, message):
    with pytest.raises(Mistake) as caught:
        limits.check(config)
    assert str(caught.value) == message
