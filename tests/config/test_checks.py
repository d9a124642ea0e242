"""Settings that go together, and those that do not."""

import dataclasses

import pytest

from ltjax.config import (
    Augment,
    CifarResNet,
    Classifier,
    Config,
    Cosine,
    CosineByEpoch,
    Data,
    Experts,
    LogitAdjusted,
    Mdcs,
    ResNet,
    Ride,
    Sgd,
    Shike,
    StepDecay,
    Swa,
    limits,
)
from ltjax.mistake import Mistake

NPZ = Data(source="npz", train="a.npz", test="b.npz")
COSINE = Experts(of=CifarResNet(head=Cosine()))


@pytest.mark.parametrize(
    "config",
    [
        Config(data=NPZ),
        Config(data=Data(source="npz", train="a.npz", test_per_class=5)),
        Config(data=Data(source="folder", path="x")),
        Config(
            data=Data(source="csv", path="x", size=8, strict=True, test_per_class=1)
        ),
        Config(data=Data(source="tfds:cifar100", directory="x", download=True)),
        Config(
            data=Data(source="tfds:imagenet_lt", size=224),
            augment=Augment(crop_area=0.08),
        ),
        Config(
            data=Data(source="folder", path="x", stream=False, size=8),
            augment=Augment(pad=4),
        ),
        Config(
            data=Data(source="csv", path="x", stream=True, workers=4),
            augment=Augment(jitter=0.4),
        ),
        Config(data=Data(source="folder", path="x", background="#777", range=(0, 9))),
        Config(data=Data(source="folder", path="x", background=None, range=(-0.5, 1))),
        Config(data=Data(source="npz", train="a", test="b", background="black")),
        Config(data=Data(source="tfds:x", stream=True, range=(0, 4095))),
        Config(data=Data(source="tfds:x", stream=False)),
        Config(data=Data(imbalance_factor=100, largest=500)),
        Config(optim=Sgd(epochs=2, warmup_epochs=0)),
        Config(classifier=Classifier(methods=())),
        Config(model=ResNet(name="resnet50", dtype="bfloat16")),
        Config(
            model=ResNet(
                name="resnet152", pretrained="a.npz", trained=("layer4", "head")
            )
        ),
        Config(model=Experts(count=1)),
        Config(model=Experts(count=2, branch=1)),
        Config(model=Experts(count=2, width=8)),
        Config(model=Experts(of=CifarResNet(shortcut="B"), count=2, width=4)),
        Config(model=Experts(of=ResNet(name="resnet50"), count=2, branch=4)),
        Config(model=COSINE, objective=Ride(reweight_epoch=None)),
        Config(model=COSINE, objective=Ride(teacher="x")),
        Config(model=COSINE, objective=Ride(teacher="x", repeated=False)),
        Config(model=COSINE, objective=Mdcs()),
        Config(model=Experts(), objective=Mdcs()),
        Config(optim=Sgd(schedule=StepDecay(milestones=(5, 199)))),
        Config(optim=Sgd(schedule=StepDecay())),
        Config(optim=Sgd(schedule=CosineByEpoch(), warmup_epochs=2)),
        Config(classifier=Classifier(bank="file", bank_dtype="bfloat16")),
        Config(classifier=Classifier(views=None)),
    ],
)
def test_settings_that_belong_together(config):
    limits.check(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            Config(data=Data(source="npz", train="a.npz")),
            "data.test is None; it must name an npz file",
        ),
        (
            Config(data=Data(source="folder")),
            "data.path is None; it must name a folder of images",
        ),
        (
            Config(data=Data(source="csv", path="")),
            "data.path is ''; it must name a .csv file",
        ),
        (
            Config(data=Data(source="csv", path="x", train="a.npz")),
            "data.train is 'a.npz', which only --data.source npz reads; "
            "data.source is csv",
        ),
        (
            Config(objective=LogitAdjusted()),
            "classifier.methods has 'la_posthoc', which lowers frequent classes after "
            "the training, and objective LogitAdjusted has done so in it; give "
            "--classifier.methods crt lws tau_norm ncm la disalign srepr",
        ),
        (
            Config(data=Data(size=64)),
            "data.size is 64, which only --data.source folder or csv or tfds or "
            "unlabelled reads; data.source is digits",
        ),
        (
            Config(data=Data(source="digits", stream=True)),
            "data.stream is True, which only --data.source folder or csv or tfds "
            "reads; data.source is digits",
        ),
        (
            Config(data=Data(source="tfds:x", stream=False, range=(0, 9))),
            "data.range is (0, 9), which only a streamed set reads; "
            "data.stream is False",
        ),
        (
            Config(data=Data(source="tfds:x", stream=False, background="black")),
            "data.background is 'black', which only a streamed set reads; "
            "data.stream is False",
        ),
        (
            Config(data=Data(source="tfds:cifar10", size=8, stream=False)),
            "data.size is 8, which only a streamed set reads; data.stream is False",
        ),
        (
            Config(
                data=Data(source="folder", path="x", stream=False),
                augment=Augment(crop_area=0.1),
            ),
            "augment.crop_area is 0.1, which only a streamed set reads; "
            "data.stream is False",
        ),
        (
            Config(
                data=Data(source="folder", path="x"),
                augment=Augment(crop_area=0.1, pad=4),
            ),
            "augment.pad is 4 and augment.crop_area is 0.1; images are cropped in "
            "one of these ways",
        ),
        (
            Config(data=Data(source="folder", path="x", size=7)),
            "data.size is 7; it must be in 8..4096",
        ),
        (
            Config(data=Data(source="folder", path="x", test_per_class=0)),
            "data.test_per_class is 0; it must be at least 1",
        ),
        (
            Config(data=Data(source="npz", train="", test="b.npz")),
            "data.train is ''; it must name an npz file",
        ),
        (
            Config(data=dataclasses.replace(NPZ, directory="x")),
            "data.directory is 'x', which only --data.source tfds reads; "
            "data.source is npz",
        ),
        (
            Config(model=ResNet(name="resnet50", trained=("head",))),
            "model.trained is ('head',) without model.pretrained; only weights that "
            "were trained before can stay as they are",
        ),
        (
            Config(model=ResNet(pretrained="a.npz", trained=("layer4",))),
            "model.trained is ('layer4',); it must have 'head', which begins with new "
            "weights",
        ),
        (
            Config(data=Data(largest=500)),
            "data.largest is 500 without data.imbalance_factor; the profile needs both",
        ),
        (
            Config(data=Data(imbalance_factor=100, largest=0)),
            "data.largest is 0; it must be at least 1",
        ),
        (
            Config(optim=Sgd(epochs=20), swa=Swa(start=40)),
            "swa.start is 40; it must lie between optim.warmup_epochs (5) and "
            "optim.epochs (20)",
        ),
        (
            Config(optim=Sgd(epochs=1, warmup_epochs=0)),
            "swa.start is 0; it must lie between optim.warmup_epochs (0) and "
            "optim.epochs (1)",
        ),
        (
            Config(model=Experts(count=0)),
            "model.count is 0; it must be at least 1",
        ),
        (
            Config(classifier=Classifier(experts="together")),
            "classifier.experts is 'together' and the model is an ordinary network; "
            "give --model experts",
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
            Config(model=Experts(branch=4)),
            "model.branch is 4; it must be in 1..3, some of the 4 parts of "
            "cifar_resnet",
        ),
        (
            Config(model=Experts(branch=1, fused=True)),
            "model.branch is 1; it must be in 2..3, some of the 4 parts of "
            "cifar_resnet",
        ),
        (
            Config(model=Experts(of=ResNet(), branch=5)),
            "model.branch is 5; it must be in 1..4, some of the 5 parts of resnet50",
        ),
        (
            Config(model=Experts(width=7)),
            "model.width is 7; shortcuts A only add channels, so it must be at least 8",
        ),
        (
            Config(model=Experts(of=ResNet(pretrained="a.npz"))),
            "model.of.pretrained is a.npz, and the model is Experts; experts begin "
            "with new weights",
        ),
        (
            Config(model=Experts(of=ResNet(trained=("head",)))),
            "model.of.trained is ('head',), and the model is Experts; experts begin "
            "with new weights",
        ),
        (
            Config(model=Experts(of=COSINE)),
            f"model.of is {COSINE!r}; it must be a CifarResNet or a ResNet, whose "
            "parts experts share",
        ),
        (
            Config(objective=Shike()),
            "objective is Shike, of several experts, and the model is an ordinary "
            "network; give --model experts",
        ),
        (
            Config(model=Experts(), objective=Ride()),
            "objective is Ride, whose constants are those of the head "
            "Cosine(scale=30.0); the model's is Linear()",
        ),
        (
            Config(model=COSINE, objective=Mdcs(scales=(0.0, 1.0))),
            "objective.scales is (0.0, 1.0); it must have one number for each of the 3 "
            "experts of the model",
        ),
        (
            Config(model=COSINE, objective=Mdcs(scales=())),
            "objective.scales is (); it must be some finite numbers",
        ),
        (
            Config(model=COSINE, objective=Ride(repeated=False)),
            "objective.repeated is False without objective.teacher; only a distilled "
            "loss is repeated",
        ),
        (
            Config(optim=Sgd(schedule=StepDecay(milestones=(180, 160)))),
            "optim.schedule.milestones is (180, 160); they must rise from "
            "optim.warmup_epochs (5) to below optim.epochs (200)",
        ),
        (
            Config(optim=Sgd(schedule=StepDecay(milestones=(4,)))),
            "optim.schedule.milestones is (4,); they must rise from "
            "optim.warmup_epochs (5) to below optim.epochs (200)",
        ),
        (
            Config(optim=Sgd(schedule=CosineByEpoch(), warmup_epochs=1)),
            "optim.warmup_epochs is 1; the schedule CosineByEpoch needs at least 2, a "
            "line through optim.schedule.start_lr",
        ),
    ],
)
def test_settings_that_do_not(config, message):
    with pytest.raises(Mistake) as caught:
        limits.check(config)
    assert str(caught.value) == message
