"""Proposed configs: what they cost, and that their files say the same."""

import dataclasses

import pytest

from ltjax.config import Augment, Config, Data, Srepr, limits
from ltjax.config import file as config_file
from ltjax.inspect import proposal

FOLDER = Data(source="folder", path="x")


@pytest.mark.parametrize("side", [1, 9, 28, 32, 50, 64, 300])
@pytest.mark.parametrize("images", [4, 20, 100, 600, 1999, 2000, 20_000, 10**6])
@pytest.mark.parametrize("accelerator", [False, True])
def test_a_proposal_can_be_run(images, side, accelerator):
    train = images - images // 5
    config = proposal.propose(FOLDER, images, train, side, accelerator)
    limits.check(config)
    assert config.data.size <= max(8, side)
    assert config.data.size % 4 == 0
    steps = train // config.optim.batch_size
    assert steps >= 4
    first = 3 * config.optim.epochs // 4
    snapshots = (config.optim.epochs - first) * steps // config.swa.every_steps
    assert 10 <= snapshots <= 41


@pytest.mark.parametrize("images", range(10, 2000, 150))
@pytest.mark.parametrize("side", [16, 32, 48, 64, 300])
def test_small_sets_stay_small(images, side):
    """Pixels seen in training, and in the features' passes, are bounded."""
    config = proposal.propose(FOLDER, images, images, side)
    pixels = images * config.data.size**2
    assert config.optim.epochs * pixels <= 6e7
    assert config.model.depth == 8
    assert pixels * (1 + config.posterior.samples) * config.classifier.views <= 6e7


def test_a_size_that_is_asked_for_is_kept():
    assert proposal.propose(FOLDER, 10**6, 10**6, 300, size=96).data.size == 96


def test_arrays_keep_their_size_and_are_not_mirrored():
    place = Data(source="npz", train="a.npz", test="b.npz")
    config = proposal.propose(place, 1000, 1000, 28)
    assert config.data == place
    assert config.augment == Augment(pad=3)


@pytest.mark.parametrize(
    "path", ["images", "a b/ä", "x\"y'z", "back\\slash", "new\nline", "{x}", "\udcff"]
)
@pytest.mark.parametrize("images", [100, 50_000])
def test_the_file_assigns_the_config(tmp_path, path, images):
    place = dataclasses.replace(FOLDER, path=path, test_per_class=7)
    config = proposal.propose(place, images, images, 64)
    text = proposal.text(config, ('A "first" line.', "", 'C:\\new """ ä'))
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    assert config_file.read(file) == config
    assert text.startswith('"""A \\"first\\" line.\n\n')
    if path.isascii() and len(path) < 9:
        assert max(map(len, text.splitlines())) <= 88


def test_only_what_is_no_default_is_written():
    assert proposal.text(Config(), ["x"]) == (
        '"""x\n"""\n\nfrom ltjax.config import Config\n\nconfig = Config(\n)\n'
    )
    base = Config()
    classifier = dataclasses.replace(base.classifier, srepr=Srepr(alpha=0.25))
    text = proposal.text(
        dataclasses.replace(base, seed=3, classifier=classifier), ["x"]
    )
    assert text.endswith(
        "import Classifier, Config, Srepr\n\nconfig = Config(\n    seed=3,\n"
        "    classifier=Classifier(srepr=Srepr(alpha=0.25)),\n)\n"
    )
