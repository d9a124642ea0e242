"""Which images are most worth a label: those of doubt, and unlike each other.

Doubt alone asks for the same thing again and again, as near copies of one hard image
are all in doubt. So images are taken one after another, each with the largest product
of its doubt and its distance to what was taken before, in the features: a greedy
k-center (Sener and Savarese, ICLR 2018, arXiv:1708.00489) of those in doubt.
"""

import numpy as np

_CANDIDATES = 20  # in doubt, for each image that is taken


class Candidates:
    """The images in most doubt so far, of a number that is not known."""

    def __init__(self, count):
        """`count` are to be taken at the end."""
        self._count, self._most = count, _CANDIDATES * count
        self._doubt, self._places, self._rows = np.zeros(0), None, []

    def add(self, doubt, places, rows):
        """More images: their `doubt` [B], `places` [B, D], and what is kept of each."""
        places = np.asarray(places, np.float32)
        doubt = np.concatenate([self._doubt, np.asarray(doubt, np.float64)])
        if self._places is not None:
            places = np.concatenate([self._places, places])
        rows = [*self._rows, *rows]
        kept = np.sort(np.argsort(-doubt, kind="stable")[: self._most])
        self._doubt, self._places = doubt[kept], places[kept]
        self._rows = [rows[at] for at in kept]

    def taken(self):
        """What was kept of the images that are taken, the most worth a label first."""
        if not self._rows:
            return []
        chosen = spread(self._doubt, self._places, self._count)
        return [self._rows[at] for at in chosen]


def spread(doubt, places, count):
    """Rows of at most `count` images, of `doubt` [N] or more, and far apart, int [n].

    Distances are those of the directions of `places` [N, D]. The first is that of most
    doubt; what lies where one was taken comes last, by its doubt.

    >>> import numpy as np
    >>> from ltjax.predict.worth import spread
    >>> spread(np.array([0.9, 0.8, 0.1]), [[1, 0], [1, 0], [0, 1]], 2)
    array([0, 2])
    """
    doubt, places = np.asarray(doubt, np.float64), np.asarray(places, np.float64)
    length = np.linalg.norm(places, axis=1, keepdims=True)
    places = places / np.where(length > 0, length, 1)
    order, far = [], np.full(len(doubt), np.inf)
    for _ in range(min(count, len(doubt))):
        # Before the first, all are as far; of equal products the larger doubt counts.
        worth = doubt * np.where(np.isinf(far), 1.0, far)
        worth[order] = -np.inf
        best = np.flatnonzero(worth == worth.max())
        at = best[np.argmax(doubt[best])]
        order.append(int(at))
        far = np.minimum(far, 1 - places @ places[at])
        far[far < 1e-12] = 0.0  # of equal directions, but for rounding
    return np.array(order, int)
