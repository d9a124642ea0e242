"""Kinds as words of a command line, and flags that are called otherwise."""

import pytest

from ltjax.config import (
    CifarResNet,
    Config,
    Cosine,
    CrossEntropy,
    Experts,
    Mdcs,
    ResNet,
    Ride,
    Sgd,
    StepDecay,
    file,
    words,
)
from ltjax.mistake import Mistake

RIDE = Config(
    model=Experts(of=CifarResNet(depth=8, head=Cosine()), count=2),
    objective=Ride(diversity=-0.2),
)


@pytest.mark.parametrize(
    ("base", "line", "config"),
    [
        (Config(), "--objective ride", Config(objective=Ride())),
        (Config(), "--objective=mdcs", Config(objective=Mdcs())),
        (Config(), "--model resnet50", Config(model=ResNet(name="resnet50"))),
        (Config(), "--model resnet", Config(model=ResNet())),
        (Config(), "--model.head cosine", Config(model=CifarResNet(head=Cosine()))),
        (
            Config(),
            "--optim.schedule step_decay",
            Config(optim=Sgd(schedule=StepDecay())),
        ),
        # In any order: what holds another comes first.
        (
            Config(),
            "--model.of.head cosine --model.of resnet10 --model experts",
            Config(model=Experts(of=ResNet(name="resnet10", head=Cosine()))),
        ),
        # Another kind begins with its defaults, the same one with what it says.
        (RIDE, "--objective cross_entropy --model cifar_resnet", Config()),
        (RIDE, "--objective ride --model experts", RIDE),
        (
            Config(model=ResNet(name="resnet50", dtype="bfloat16")),
            "--model resnet101",
            Config(model=ResNet(name="resnet101", dtype="bfloat16")),
        ),
    ],
)
def test_a_word_chooses_a_kind(base, line, config):
    found, rest = words.chosen(base, ["--seed", "3", *line.split(), "--out", "x"])
    assert found == config
    assert rest == ["--seed", "3", "--out", "x"]


def test_its_flags_are_there_and_no_others(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text("from ltjax.config import Config\nconfig = Config()\n")
    line = "--objective ride --objective.diversity -0.2 --model experts --model.count 2"
    line += " --model.of.depth 8 --model.of.head cosine"
    found = file.configured(path, line.split())
    assert (found.objective, found.model) == (RIDE.objective, RIDE.model)
    with pytest.raises(SystemExit):
        file.configured(path, ["--objective", "ride", "--help"])
    text = capsys.readouterr().out
    assert "--objective.diversity" in text
    assert "Weight of the divergence" in text
    assert "--objective.scales" not in text


@pytest.mark.parametrize(
    ("base", "line", "message"),
    [
        (
            Config(),
            "--objective rid",
            "--objective is 'rid'; it must be cross_entropy or iif or ride or shike or "
            "mdcs or logit_adjusted or deit_lt or ldam or paco or p2ot or sp2ot; "
            "did you mean ride?",
        ),
        (
            Config(),
            "--optim.schedule",
            "--optim.schedule is ''; it must be cosine_decay or step_decay or "
            "cosine_by_epoch or cosine_throughout",
        ),
        (Config(), "--data.pad 4", "--data.pad is called --augment.pad now"),
        (
            Config(),
            "--data.crop-area=0.1",
            "--data.crop-area is called --augment.crop-area now",
        ),
        (Config(), "--optim.loss ride", "--optim.loss is called --objective now"),
        (
            RIDE,
            "--optim.ride.reweight-epoch 3",
            "--optim.ride.reweight-epoch is called --objective.reweight-epoch now",
        ),
        (
            Config(),
            "--optim.milestones 3 4",
            "--optim.milestones is called --optim.schedule.milestones now",
        ),
        (
            Config(),
            "--optim.schedule.milestones 3 4",
            "--optim.schedule.milestones is for --optim.schedule step_decay; here it "
            "is cosine_decay",
        ),
        (Config(), "--model.name resnet50", "--model.name is called --model now"),
        (
            Config(),
            "--model.experts.count 3",
            "--model.experts.count is called --model.count now",
        ),
        (
            Config(),
            "--model.scale 16",
            "--model.scale is called --model.head.scale now",
        ),
        (
            Config(),
            "--objective.diversity 1",
            "--objective.diversity is for --objective ride; here it is cross_entropy",
        ),
        (RIDE, "--model.depth 8", "--model.depth is --model.of.depth of experts"),
    ],
)
def test_a_flag_that_is_not_there_is_explained(base, line, message):
    with pytest.raises(Mistake) as caught:
        words.chosen(base, line.split())
    assert str(caught.value) == message


def test_other_flags_are_left_to_the_parser():
    line = ["--optim.lr", "0.3", "--model.depht", "8", "--out", "x", "--data"]
    assert words.chosen(Config(), line) == (Config(), line)


def test_help_tells_every_choice():
    lines = list(words.told(RIDE))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for flag in ("--model ", "--model.of ", "--model.of.gate ", "--optim.schedule "):
        assert flag in text
    assert "--objective ride, of cross_entropy, iif, ride, shike, mdcs" in text
    assert Config().objective == CrossEntropy()
