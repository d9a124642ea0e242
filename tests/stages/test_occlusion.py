"""Where predictions come from: what is covered, and what falls."""

import re

import numpy as np
import pytest
from tiny import Place

from ltjax.classifier import heads
from ltjax.config import Classifier
from ltjax.report import markup
from ltjax.run import run
from ltjax.stages import occlusion, trained
from ltjax.stages.loading import load
from ltjax.workdir import examples, results

PAGES = True  # of this module are made


def test_squares_of_two_places_go_over_the_whole_image():
    image = np.full((16, 24, 3), 200, np.uint8)
    found = occlusion.covered(image, np.array([1, 2, 3], np.uint8), places=4)
    assert found.shape == (16, 16, 24, 3)
    assert (image == 200).all()
    hidden = (found == [1, 2, 3]).all(-1)
    assert hidden.any(0).all()
    # In the middle 8 x 12 pixels, in a corner the part that is inside.
    assert hidden[5].sum() == 8 * 12
    assert hidden[5, 2:10, 3:15].all()
    assert hidden[0].sum() == 6 * 9
    assert hidden[0, :6, :9].all()
    assert (found[~hidden] == 200).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 1), (224, 100, 3)])
def test_every_shape_is_covered(shape):
    found = occlusion.covered(np.zeros(shape, np.uint8), np.full(shape[-1], 9))
    hidden = (found == 9).all(-1)
    assert hidden.any(0).all()
    assert hidden.reshape(64, -1).any(1).all() or min(shape[:2]) < 8


def test_what_speaks_for_a_class_is_found_and_what_speaks_against_it():
    image = np.zeros((16, 16, 1), np.uint8)
    image[4:6, 4:6], image[12, 12] = 255, 255

    def probability(batch):
        one = 0.5 + 0.4 * (batch[:, 5, 5, 0] > 0) - 0.1 * (batch[:, 12, 12, 0] > 0)
        return np.stack([1 - one, one], -1)

    found = occlusion.fallen(probability, image, 1, np.zeros(1))
    for place in np.ndindex(8, 8):
        rows = [slice(max(0, 2 * at - 1), 2 * at + 3) for at in place]
        own = np.zeros((16, 16))
        own[tuple(rows)] = 1
        wanted = 0.4 * own[5, 5] - 0.1 * own[12, 12]
        assert found[place] == pytest.approx(wanted, abs=1e-6), place


@pytest.fixture(scope="module")
def place(tmp_path_factory, compiled_once):
    few = Classifier(methods=("la", "srepr"), epochs=1, batch_size=16, views=1)
    return Place(tmp_path_factory.mktemp("place"), classifier=few)


def test_a_finished_run_explains_its_surest_mistakes(place):
    text = (place.out / markup.FILE).read_text()
    assert "what speaks for these mistakes" not in text
    again = run(place.config, place.out, explain=True)
    assert again == place.results
    found = results.read(place.out)
    rows = {
        int(row) for kinds in found.chosen.values() for row in kinds[examples.WRONG]
    }
    assert set(found.maps) == rows
    assert rows
    text = (place.out / markup.FILE).read_text()
    told = re.findall(r"test image (\d+): it falls by (-?\d+) points", text)
    assert {int(row) for row, _ in told} == rows
    # One place of one image, taken again.
    opened, row = trained.read(place.out), min(rows)
    image = load(place.config.data).test.image[row]
    colour = np.round(255 * np.array(found.results["dataset"]["mean"]))
    batch = np.stack([image, occlusion.covered(image, colour)[3 * 8 + 5]])
    one = heads.one_pass(*trained.logits(opened, "srepr"))
    log_probs = np.asarray(one(trained.features(opened)(batch)))
    before, after = np.exp(log_probs[:, found.predicted["swa-srepr"].label[row]])
    assert found.maps[row][3, 5] == pytest.approx(before - after, abs=1e-5)
