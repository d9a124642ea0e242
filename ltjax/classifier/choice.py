"""Which of several candidates is taken, by what each is worth on held-out images."""

import numpy as np


def best(nll, accuracy, bar):
    """The place of the candidate that is taken, of their NLL [K] and accuracy [K].

    That of the lowest NLL among those whose accuracy is at least `bar`; where none is,
    the most accurate of all, and of equal ones that of the lowest NLL. The first of
    what is equal in both. A candidate whose NLL is not finite is never taken; raises
    `ValueError` where there is no other. In a run, a loss that is not finite ends it.

    >>> from ltjax.classifier.choice import best
    >>> best(nll=[2.0, 1.0, 0.5], accuracy=[0.6, 0.5, 0.4], bar=0.5)
    1
    """
    nll, accuracy = (np.asarray(values, np.float64) for values in (nll, accuracy))
    known = np.isfinite(nll)
    if not known.any():
        raise ValueError(f"the NLL of all candidates is {nll}; one has to be finite")
    least = min(bar, accuracy[known].max())
    places = np.flatnonzero(known & (accuracy >= least))
    # Sorted by NLL, then by accuracy: lexsort takes the last key first, and is stable.
    order = np.lexsort((-accuracy[places], nll[places]))
    return int(places[order[0]])
