"""Images that are most worth a label, beside a search by hand."""

import numpy as np
import pytest

from ltjax.predict import worth


def by_hand(doubt, places, count):
    """One after another, in plain loops."""
    unit = [p / (np.linalg.norm(p) or 1) for p in np.asarray(places, float)]
    order = [max(range(len(doubt)), key=lambda i: doubt[i])]
    while len(order) < min(count, len(doubt)):
        left = [i for i in range(len(doubt)) if i not in order]
        order.append(
            max(
                left,
                key=lambda i: (
                    doubt[i] * min(1 - unit[i] @ unit[j] for j in order),
                    doubt[i],
                ),
            )
        )
    return order


@pytest.mark.parametrize("seed", range(3))
def test_the_order_is_that_of_plain_loops(seed):
    rng = np.random.default_rng(seed)
    doubt, places = rng.random(30), rng.normal(size=(30, 5))
    found = worth.spread(doubt, places, 12)
    assert found.tolist() == by_hand(doubt, places, 12)


def test_copies_of_one_image_of_doubt_are_asked_for_once():
    doubt = np.array([1.0, 0.99, 0.98, 0.2, 0.1])
    places = np.array([[1, 0, 0]] * 3 + [[0, 1, 0], [0, 0, 1]], float)
    assert worth.spread(doubt, places, 3).tolist() == [0, 3, 4]
    # When nothing else is left, they come by their doubt.
    assert worth.spread(doubt, places, 9).tolist() == [0, 3, 4, 1, 2]


def test_batches_do_not_matter():
    rng = np.random.default_rng(1)
    doubt, places = rng.random(200), rng.normal(size=(200, 4))
    whole, parts = worth.Candidates(5), worth.Candidates(5)
    whole.add(doubt, places, list(range(200)))
    for first in range(0, 200, 33):
        at = slice(first, first + 33)
        parts.add(doubt[at], places[at], list(range(200))[at])
    assert parts.taken() == whole.taken()
    assert len(whole.taken()) == 5
    assert worth.Candidates(3).taken() == []
