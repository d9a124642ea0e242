"""Settings that are wrong, or do not go together: one line, nothing changed."""

import pytest
from desk import LONG, Row, judge, judge_parser, named

FLAGS = (
    (
        "lr not a number",
        "--optim.lr nan",
        "optim.lr is nan; it must be above 0, and finite",
    ),
    ("rank", "--swa.rank 1", "swa.rank is 1; it must be at least 2"),
    (
        "rank beyond the memory",
        "--swa.rank 2147483647",
        "2147483647 deviations",
    ),
    (
        "warm-up to the end",
        "--optim.warmup-epochs 4",
        "it must lie between optim.warmup_epochs (4) and optim.epochs (4)",
    ),
    (
        "start at the end",
        "--swa.start 4",
        "swa.start is 4; it must lie between optim.warmup_epochs (1) and "
        "optim.epochs (4)",
    ),
    (
        "one snapshot",
        "--swa.every-steps 4",
        "snapshots after swa.start are 1, in 2 epochs of 3 steps; a posterior "
        "needs 2: lower swa.start or swa.every_steps",
    ),
    (
        "odd batch that is mixed",
        "--objective.mixup 0.2 --optim.batch-size 7",
        "optim.batch_size is 7; objective.mixup and objective.cutmix pair the images "
        "of a batch, it must be even",
    ),
    (
        "gate without channels inside",
        "--model.gate se --model.gate.reduction 5",
        "model.gate.reduction is 5; it must be at most 4, the channels of the first "
        "blocks of cifar_resnet",
    ),
    (
        "gate of experts",
        "--model experts --model.gate se",
        "--model.gate is --model.of.gate of experts",
    ),
    (
        "gate of narrower experts",
        "--model experts --model.branch 1 --model.width 2 --model.of.shortcut B "
        "--model.of.gate se --model.of.gate.reduction 4",
        "model.of.gate.reduction is 4; it must be at most 2, the channels of the first "
        "blocks of cifar_resnet",
    ),
    (
        "reduction without a gate",
        "--model.gate.reduction 4",
        "--model.gate.reduction is for --model.gate se or cbam; here it is open",
    ),
    (
        "lam not finite",
        "--model.activation aglu --model.activation.lam 0 nan",
        "model.activation.lam is (0.0, nan); it must be two finite numbers from 0 on",
    ),
    (
        "kappa not finite",
        "--model.gate cbam --model.gate.activation apa "
        "--model.gate.activation.kappa 0 inf",
        "model.gate.activation.kappa is (0.0, inf); it must be two finite numbers",
    ),
    (
        "an unknown activation",
        "--model.activation gumbel",
        "--model.activation is 'gumbel'; it must be relu or sigmoid or gelu or "
        "quick_gelu or usual or apa or aglu",
    ),
    ("half a batch a device", "--optim.batch-size 7", "batch"),
    (
        "batch beyond the data",
        "--optim.batch-size 28",
        "optim.batch_size is 28; it must be at most the 27 training images",
    ),
    (
        "filled batch beyond the data",
        "--optim.batch-size 28 --optim.drop-last False",
        "optim.batch_size is 28; it must be at most the 27 training images",
    ),
    ("width beyond the memory", "--model.width 1000000", "memory in MiB: parameters"),
    (
        "another model's depth",
        "--model resnet10 --model.depth 8",
        "--model.depth is for --model cifar_resnet or vit; here it is resnet",
    ),
    (
        "another model's weights",
        "--model.pretrained w.npz",
        "--model.pretrained is for --model resnet or efficientnet_lite",
    ),
    ("an unknown model", "--model resnet18", "--model is 'resnet18'; it must be cifar"),
    (
        "a flag that moved",
        "--data.pad 4",
        "--data.pad is called --augment.pad now",
    ),
    (
        "factor beyond the classes",
        "--data.imbalance-factor 10",
        "data.imbalance_factor is 10; it must be at most 9, or class 2 has no "
        "training image",
    ),
    (
        "largest class beyond the data",
        "--data.imbalance-factor 3 --data.largest 10",
        "class 0 has 9 training images, imbalance factor 3 from 10 needs 10",
    ),
    (
        "largest without a factor",
        "--data.largest 5",
        "data.largest is 5 without data.imbalance_factor; the profile needs both",
    ),
    (
        "labels beyond the classes",
        "--data.classes 2",
        "train.npz: 'label' is 2 in row 18, wanted 0..1",
    ),
    (
        "all held out",
        "--data.holdout 9",
        "class 0 has 9 training images, of which 9 cannot be held out",
    ),
    (
        "padding beyond the image",
        "--augment.pad 9",
        "augment.pad is 9; it must be at most 8, the shorter side of the images",
    ),
    (
        "a typo in a path",
        "--data.train trian.npz",
        "trian.npz does not exist; did you mean train.npz?",
    ),
    (
        "no folder",
        "--data.train no/a.npz",
        "no/a.npz does not exist, nor does the folder no",
    ),
    ("a long path", f"--data.train {LONG}", f"{LONG} does not exist"),
    ("a folder as data", "--data.train .", ". is a folder, wanted an .npz file"),
    (
        "no data",
        "--data.train None",
        "data.train is None; it must name an npz file",
    ),
    (
        "no test data",
        "--data.test None",
        "data.test is None; it must name an npz file",
    ),
    ("too few to split", "--data.test None --data.test-per-class 1", "no test images"),
    (
        "another source's path",
        "--data.source digits",
        "data.train is 'train.npz', which only --data.source npz reads; "
        "data.source is digits",
    ),
    (
        "another number of classes",
        "--data.source digits --data.train None --data.test None --data.classes 9",
        "data.classes is 9; digits has 10",
    ),
    (
        "an unknown source",
        "--data.source cifar",
        "data.source is 'cifar'; it must be digits, folder, csv, npz or tfds:NAME",
    ),
    (
        "what only streams read",
        "--augment.jitter 0.4",
        "augment.jitter is 0.4, which only --data.source folder or csv or tfds reads",
    ),
    (
        "a range of what is no file",
        "--data.range 0 4095",
        "data.range is (0.0, 4095.0), which only --data.source folder or csv or tfds",
    ),
    (
        "a range upside down",
        "--data.range 5 -1",
        "data.range is (5.0, -1.0); it must be two finite numbers, the lower one first",
    ),
    (
        "an unknown colour",
        "--data.background whiteish",
        "data.background is 'whiteish'; it must be a colour, such as black or",
    ),
    (
        "an unknown manifest",
        "--data.manifest cifar101_lt",
        "data.manifest: no cifar101_lt is known, only cifar100_lt_if10, ",
    ),
    ("a manifest's path", "--data.manifest ../mine", "data.manifest: no ../mine is"),
    (
        "another set's manifest",
        "--data.manifest cifar100_lt_if100",
        "there are 3 classes, the manifest says 100; --data.allow-mismatch True goes",
    ),
    (
        "a loss of experts without any",
        "--objective ride",
        "objective is Ride, of several experts, and the model is an ordinary network",
    ),
    (
        "more experts than priors",
        "--model experts --model.count 4 --objective mdcs",
        "objective.scales is (-0.5, 1.0, 2.5); it must have one number for each of",
    ),
)
ROWS = [Row(n, (), f"main --config mine.py {flags}", says) for n, flags, says in FLAGS]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_mistake_is_told_in_one_line(row, tmp_path, capsys, monkeypatch):
    judge(row, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("main", "--config"),
        ("main --config", "--config"),
        ("main --seed 1", "--config"),
        ("main --config mine.py --optim.epoch 3", "--optim.epochs"),
        ("main --config mine.py --epochs 3", "--optim.epochs"),
        ("main --config mine.py --optim.epochs three", "three"),
        ("main --config mine.py --optim.epochs 2.5", "2.5"),
        ("main --config mine.py --model.dtype float16", "bfloat16"),
        ("main --config mine.py --classifier.methods la sreper", "srepr"),
        ("main --config mine.py --data.download", "--data.download"),
        ("main --config mine.py --augment.flip yes", "True"),
        ("main --config mine.py stray", "stray"),
        ("main --config mine.py --log wandb", "tensorboard"),
        ("main --config mine.py --seeds 0,1 --parallel two", "two"),
    ],
)
def test_flags_that_the_parser_refuses(command, says, tmp_path, capsys, monkeypatch):
    judge_parser(command, says, tmp_path, capsys, monkeypatch)
