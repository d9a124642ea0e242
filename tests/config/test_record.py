"""Configs as JSON, and back."""

import json

import pytest

from ltjax.config import (
    CifarResNet,
    Config,
    Cosine,
    Data,
    Experts,
    Mdcs,
    Sgd,
    StepDecay,
    file,
    record,
)
from ltjax.mistake import Mistake

CONFIGS = [
    Config(),
    Config(
        data=Data(source="folder", path="x", range=(0.5, 4095)),
        model=Experts(of=CifarResNet(head=Cosine(scale=16.0)), width=12),
        objective=Mdcs(scales=(0.0, 1.0)),
        optim=Sgd(schedule=StepDecay(milestones=(160, 180))),
    ),
    file.read("imagenet_lt"),
    file.read("cifar100_lt_ride:srepr_cpu"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_config_survives_json(config):
    assert record.of_json(json.loads(json.dumps(record.to_json(config)))) == config


def test_a_choice_names_its_kind_and_nothing_else_does():
    fields = record.to_json(CONFIGS[1])
    assert fields["model"]["kind"] == "experts"
    assert fields["model"]["of"]["kind"] == "cifar_resnet"
    head = {"kind": "cosine", "scale": 16.0, "norm": "unit", "learnt": False}
    head["start"] = "random"
    assert fields["model"]["of"]["head"] == head
    assert fields["model"]["of"]["gate"] == {"kind": "open"}
    assert fields["optim"]["schedule"]["kind"] == "step_decay"
    assert "kind" not in fields["data"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda fields: fields.pop("augment"), "Config has another form"),
        (lambda fields: fields["swa"].pop("rank"), "Swa has another form"),
        (lambda fields: fields["data"].update(pad=1), "Data has another form"),
        (lambda fields: fields["model"].pop("kind"), "Model has another form"),
        (lambda fields: fields.update(optim=3), "Optim has another form"),
        (lambda fields: fields.update(swa=None), "Swa has another form"),
    ],
)
def test_what_another_version_wrote_is_refused(change, what):
    fields = record.to_json(Config())
    change(fields)
    with pytest.raises(Mistake, match=what):
        record.of_json(fields)
