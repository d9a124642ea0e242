"""How far features differ: of two tokens, and in how many directions."""

import numpy as np


def cosine(first, second):
    """The cosine of the angle between features [N, D] and others, [N]; 0 of zeros.

    >>> from ltjax.evaluation import diversity
    >>> diversity.cosine([[1.0, 0.0], [1.0, 1.0]], [[0.0, 2.0], [3.0, 3.0]])
    array([0., 1.])
    """
    first, second = (np.asarray(x, np.float64) for x in (first, second))
    lengths = [np.linalg.norm(x, axis=-1) for x in (first, second)]
    product = lengths[0] * lengths[1]
    products = (first * second).sum(-1)
    return np.where(product > 0, products / np.where(product > 0, product, 1), 0)


def rank(features, share=0.99):
    """How many principal components of features [N, D] hold a `share` of the variance.

    >>> import numpy as np
    >>> from ltjax.evaluation import diversity
    >>> diversity.rank(np.diag([2.0, -2.0, 0.1, -0.1]), share=0.9)
    2
    """
    features = np.asarray(features, np.float64)
    centred = features - features.mean(0, keepdims=True)
    variances = np.linalg.svd(centred, compute_uv=False) ** 2
    total = variances.sum()
    if total == 0:
        return 0
    # What rounding adds to a sum is no component.
    held = variances.cumsum() / total
    return int((held < share - 1e-12).sum()) + 1
