"""What a page says of two tokens."""

from types import SimpleNamespace

import numpy as np

from ltjax.report import tokens

COUNTS = np.array([200, 50, 3, 4])
GROUPS = {"many": COUNTS > 100, "medium": COUNTS == 50, "few": COUNTS < 20}


def run_of(classes):
    return SimpleNamespace(classes=classes, groups=GROUPS, counts=COUNTS)


def test_cosines_by_group_and_ranks_by_block():
    told = {
        "sgd": {"cosine": [0.5, None, 0.1, 0.3], "ranks": [[3, 5, 7], [2, 4, 4]]},
        "swa": {"cosine": [1.0, 0.0, -0.5, 0.5]},
    }
    text = "\n".join(map(str, tokens.apart(run_of({"tokens": told}))))
    for cells in (
        ("0.500", "-", "0.200", "0.300"),
        ("1.000", "0.000", "0.000", "0.250"),
    ):
        assert "".join(f"<td>{cell}</td>" for cell in cells) in text
    assert text.count("<svg") == 1
    assert "rank by block of SGD: CLS 3, 5, 7; DIST 2, 4, 4" in text


def test_other_networks_have_no_such_section():
    assert not list(tokens.apart(run_of({})))
