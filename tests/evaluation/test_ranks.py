import numpy as np
import pytest
from scipy import stats

from ltjax.evaluation import ranks


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(2)
    for _ in range(5):
        counts, values = rng.integers(0, 9, 30), rng.normal(size=30)
        wanted = stats.spearmanr(counts, values).statistic
        assert ranks.correlation(counts, values) == pytest.approx(wanted, abs=1e-12)
    assert ranks.correlation(counts, counts**3) == pytest.approx(1)
    assert np.isnan(ranks.correlation([1, 1, 1], [1, 2, 3]))
    assert np.isnan(ranks.correlation([1], [2]))
