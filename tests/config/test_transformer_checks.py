"""Settings of transformers and their teachers that do not go together."""

import dataclasses

import pytest

from ltjax.config import (
    AdamW,
    Augment,
    CifarResNet,
    Config,
    Cosine,
    CrossEntropy,
    DeitLt,
    Experts,
    Gelu,
    Ldam,
    Paco,
    Projected,
    QuickGelu,
    ResNet,
    Ride,
    Sgd,
    Swa,
    Vit,
    limits,
)
from ltjax.mistake import Mistake
from ltjax.models import layouts, pretrained
from ltjax.stages import start as starts

TWO = Vit(tokens=2, image=32, patch=4)


@pytest.mark.parametrize(
    "config",
    [
        Config(model=Vit()),
        Config(model=TWO, objective=DeitLt(teacher="runs/x")),
        Config(model=TWO, objective=Ride(), optim=AdamW(), swa=Swa(lr=1e-4)),
        Config(model=Projected(), objective=Paco()),
        Config(model=CifarResNet(head=Cosine(scale=30.0)), objective=Ldam()),
        Config(model=TWO, objective=CrossEntropy(mixup=0.8)),
        Config(augment=Augment(zoom=0.08, erase=0.25)),
    ],
)
def test_these_go_together(config):
    if not isinstance(config.objective, Ride):  # whose head is another
        limits.check(config)
    else:
        with pytest.raises(Mistake, match=r"objective is Ride, whose constants"):
            limits.check(config)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            Config(model=Vit(dim=100)),
            "model.heads is 12; it must divide model.dim, which is 100",
        ),
        (
            Config(model=Vit(patch=5, image=32)),
            "model.patch is 5; it must divide model.image, which is 32",
        ),
        (Config(model=Vit(tokens=3)), "model.tokens is 3; it must be 1 or 2"),
        (Config(model=Vit(depth=0)), "model.depth is 0; it must be at least 1"),
        (
            Config(model=Vit(trained=("head",))),
            "model.trained is ('head',) without model.pretrained; only weights that "
            "were trained before can stay as they are",
        ),
        (
            Config(model=Vit(), objective=DeitLt()),
            "objective is DeitLt, of a CLS and a DIST token, and the model has not "
            "two; give --model vit --model.tokens 2",
        ),
        (
            Config(model=TWO, objective=DeitLt(), optim=Sgd(batch_size=33)),
            "optim.batch_size is 33; objective.mixup and objective.cutmix pair the "
            "images of a batch, it must be even",
        ),
        (
            Config(objective=Paco()),
            "objective is Paco, which compares projections, and the model has none; "
            "give --model projected",
        ),
        (
            Config(model=Projected(), objective=Paco(queue=100)),
            "objective.queue is 100; it must be at least optim.batch_size, which is "
            "128",
        ),
        (
            Config(model=Projected(of=Experts())),
            "model.of.experts is 3, and the model is Projected; it is of an ordinary "
            "network that begins with new weights",
        ),
        (
            Config(model=Projected(of=ResNet(pretrained="a.npz"))),
            "model.of.pretrained is a.npz, and the model is Projected; it is of an "
            "ordinary network that begins with new weights",
        ),
        (
            Config(objective=Ldam()),
            "objective is Ldam, whose constants are those of the head "
            "Cosine(scale=30.0); the model's is Linear()",
        ),
        (
            Config(augment=Augment(pad=4, zoom=0.3)),
            "augment.pad is 4 and augment.zoom is 0.3; images are cropped in one of "
            "these ways",
        ),
        (
            Config(augment=Augment(zoom_size=64)),
            "augment.zoom_size is 64 without augment.zoom; give both",
        ),
        (
            Config(augment=Augment(erase=1.5)),
            "augment.erase is 1.5; it must be in 0..1",
        ),
    ],
)
def test_mistakes(config, words):
    with pytest.raises(Mistake) as caught:
        limits.check(config)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("visual.class_embedding", "a CLIP of OpenAI or open_clip"),
        ("vision_model.embeddings.class_embedding", "a CLIP of Hugging Face"),
    ],
)
def test_weights_of_clip_want_an_activation(name, title, monkeypatch):
    known = pretrained.none()._replace(layout=layouts.of({name: ()}))
    monkeypatch.setattr(pretrained, "read", lambda *args: known)
    model = Vit(size="tiny", pre_norm=True, pretrained="a.npz")
    with pytest.raises(Mistake) as caught:
        starts.of(model, 10, 3)
    assert str(caught.value) == (
        f"a.npz has the names of {title}, and model.activation is not stated; give "
        "--model.activation quick_gelu for weights that OpenAI trained, gelu for "
        "others, such as LAION's"
    )
    for activation in (Gelu(), QuickGelu()):
        stated = dataclasses.replace(model, activation=activation)
        assert starts.of(stated, 10, 3).pretrained.layout == known.layout
    plain = pretrained.none()._replace(layout=layouts.of({"dist_token": ()}))
    monkeypatch.setattr(pretrained, "read", lambda *args: plain)
    assert starts.of(model, 10, 3).pretrained.layout.title == "a distilled DeiT"
