"""The figure of what activations learnt."""

from types import SimpleNamespace

import numpy as np

from ltjax.report import shapes

PLACES = {
    "features/act": {"kappa": [1.0], "lam": [0.5]},
    "features/stage1_block10/act1": {"kappa": [3.0], "lam": [0.5]},
    "features/stage1_block9/act1": {"kappa": [2.0], "lam": [0.1]},
    "features/stage1_block9/gate/channels/activation": {"kappa": [0.1], "lam": [0.2]},
    "features/stage1_block9/gate/places/activation": {
        "kappa": [0.0, 0.5],
        "lam": [0.0, 1.0],
    },
}


def test_each_backbone_has_a_figure_of_both():
    run = SimpleNamespace(classes={"activations": {"sgd": PLACES, "swa": PLACES}})
    found = [str(part) for part in shapes.learnt(run)]
    assert len(found) == 2
    for text, name in zip(found, ("SGD", "SWA")):
        assert text.count("<svg") == 2
        assert f"{name}: what activations learnt" in text
        assert "layers 1.00 to 3.00; gates of channels 0.10 to 0.10" in text
        assert "gates of places 0.00 to 0.50" in text


def test_without_such_activations_there_is_none():
    assert not list(shapes.learnt(SimpleNamespace(classes={})))


def test_layers_come_in_the_order_of_their_numbers():
    found = shapes._by_kind(PLACES, "kappa")
    np.testing.assert_array_equal(found["layers"], [[1], [2], [3]])
    assert list(found) == ["layers", "gates of channels", "gates of places"]


def test_an_ordinary_network_has_learnt_no_shape(place):
    assert "activations" not in place.read("classes.json")
