"""Where the parts of a diagram lie."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ltjax.evaluation.reliability import reliability
from ltjax.report import diagrams, sureness

RISKS = np.linspace(0, 0.3, 2000)
BINS = reliability(np.array([0.05, 0.3, 0.7, 0.99]), np.ones(4, bool))


def texts(svg):
    """The height of every text of a diagram, from above, by the text."""
    found = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return {text.text: float(text.attrib["y"]) for text in found}


def top(svg):
    """The height at which what is drawn into ends: the second white rectangle."""
    paths = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    white = [path for path in paths if path.attrib.get("style") == "fill: #ffffff"]
    corners = white[1].attrib["d"].split("L")
    return float(corners[2].split()[1])


@pytest.mark.parametrize(
    ("svg", "names"),
    [
        (
            sureness.reliability("all", {"SWA + LA": BINS, "SWA + SRepr": BINS}),
            ["SWA + LA", "SWA + SRepr"],
        ),
        (
            diagrams.learning("loss", {"SGD": [2.0, 1.0], "SWA": [2.0, 1.0]}, 1),
            ["SGD", "SWA", "averaging starts"],
        ),
        (sureness.confidence("SWA", BINS), ["right", "wrong"]),
        (
            sureness.risk("all", {"confidence": RISKS, "entropy": RISKS}),
            ["confidence", "entropy"],
        ),
    ],
    ids=["reliability", "learning", "confidence", "risk"],
)
def test_a_legend_hides_nothing(svg, names):
    found = texts(svg)
    assert all(found[name] < top(svg) for name in names)


def test_marks_at_the_edge_are_whole():
    svg = sureness.reliability("all", {"SWA + SRepr": BINS})
    paths = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    marks = [path for path in paths if path.attrib.get("style") == "fill: #0072b2"]
    assert len(marks) == 4
    assert not any("clip-path" in mark.attrib for mark in marks)
