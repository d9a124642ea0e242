"""Outputs of many sets of weights on the same images, and their mixture."""

import math

import jax
import jax.numpy as jnp

from ltjax.posterior import _functions, _loops

CPU_BATCH = 100


def features(keys, draw, apply, images, chunk=1, batch_size=1000):
    """Outputs of M members on N images, [M, N, D].

    `keys` is a pytree with leading axis M, `draw(key)` gives a member's variables and
    `apply(variables, x)` its outputs [n, D]; of a pair of functions it is the first, as
    in `batch_norm.refresh`. Members run `chunk` at a time, images [N,
    ...] in ceil(N / batch_size) batches whose sizes differ by at most one. They are an
    array or, where a network takes more than that, a tree of arrays with a common
    leading axis. On a CPU a batch has at most `CPU_BATCH`, as its caches hold no more
    images' activations.

    >>> import numpy as np
    >>> from ltjax.posterior import predictive
    >>> slopes, images = np.array([1.0, 2.0]), np.ones((3, 4))
    >>> def apply(variables, x):
    ...     return variables["slope"] * x
    >>> z = predictive.features(slopes, lambda s: {"slope": s}, apply, images)
    >>> z.shape, z[:, 0, 0]
    ((2, 3, 4), Array([1., 2.], dtype=float32))
    """
    _loops.members(keys)
    if jax.default_backend() == "cpu":
        batch_size = min(batch_size, CPU_BATCH)
    images, evaluate = jax.tree.map(jnp.asarray, images), _functions.evaluate(apply)

    def one(key):
        variables = draw(key)
        runs = _loops.over_batches(lambda x: evaluate(variables, x), images, batch_size)
        rows = [run.reshape(-1, *run.shape[2:]) for run in runs]
        return jnp.concatenate(rows)

    return _loops.over_members(one, keys, chunk)


def mean_log_probs(logits):
    """Log of the mean over members of the class probabilities.

    logits [M, N, C] -> [N, C], float32; no probability is formed, so none underflows.

    >>> import numpy as np
    >>> from ltjax.posterior.predictive import mean_log_probs
    >>> members = [[[100.0, 0.0]], [[0.0, 100.0]]]  # sure, of different classes
    >>> np.exp(mean_log_probs(members))
    array([[0.5, 0.5]], dtype=float32)
    """
    logits = jnp.asarray(logits, jnp.float32)
    log_probs = jax.nn.log_softmax(logits)
    return jax.nn.logsumexp(log_probs, axis=0) - math.log(len(logits))
