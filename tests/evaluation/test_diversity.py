"""Angles and ranks of features, against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from ltjax.evaluation import diversity

RNG = np.random.default_rng(0)


def test_cosines_are_those_of_scikit_learn():
    first, second = RNG.normal(size=(2, 7, 5))
    wanted = np.diag(cosine_similarity(first, second))
    np.testing.assert_allclose(diversity.cosine(first, second), wanted, rtol=1e-12)
    np.testing.assert_array_equal(diversity.cosine(0 * first, second), 0)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_ranks_are_those_of_scikit_learn(share):
    features = RNG.normal(size=(60, 12)) * np.geomspace(1, 0.01, 12)[None] + 3
    wanted = PCA(n_components=share, svd_solver="full").fit(features).n_components_
    assert diversity.rank(features, share) == wanted


def test_ranks_of_what_has_none():
    assert diversity.rank(np.ones((5, 3))) == 0
    line = np.arange(5)[:, None] * np.array([[1.0, 2.0]])
    assert diversity.rank(line) == 1
    assert diversity.rank(RNG.normal(size=(9, 4)), share=1.0) == 4
