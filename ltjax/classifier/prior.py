"""The class prior behind a classifier's probabilities, and another in its place.

A classifier fitted to images whose classes come in shares a(y) gives the posterior
p(y | x), proportional to p(x | y) a(y). Where a deployment has the classes in shares
b(y), and images of a class look the same, Bayes' rule gives

    q(y | x)  proportional to  p(y | x) b(y) / a(y)

(Saerens, Latinne and Decaestecker, Neural Computation 14, 2002). The a of a row follows
from the loss whose minimum it is, with pi the shares of the training images; every
method says its own (`power`):

    plain, on batches of all images       pi
    plain, on batches of even classes     uniform (cRT), `optim.sampling class`
    ... of even roots                     pi^(1/2), `optim.sampling square_root`
    logit-adjusted by tau log pi          the logits are without it: pi^(1 - tau),
                                          uniform at tau = 1 (LA, SRepr)
    lowered by tau log pi (LA post-hoc)   that of the plain classifier over pi^tau

What makes it so is an intercept for each class that the loss is free to choose: where
its gradient is zero, the mean probability of a class, under the prior of the batches,
is the share of the class in them, whatever the features. It holds on images like those
that were trained on, and but for weight decay, which holds intercepts back: by the
decay times the intercept. SRepr's intercepts are those of features under draws, and a
mixture of draws has intercepts that are the mean's: for these it holds as far as the
draws agree, and is off by no more than the order of the square of what they differ by.

Without such intercepts there is no one prior, None: LWS learns a scale for each class,
DisAlign's offsets come through a gate of the image and its weights are normalised in
each batch, IIF takes out odds, which are no power of a share, NCM and tau-normalisation
minimise no loss, a cosine head has no intercepts, and no loss has seen the mean of
experts that learned one by one. Nor has sampling that changes while it trains
(`progressive`).
"""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.classifier import METHODS, NONE
from ltjax.losses.adjusted import ABSENT

UNKNOWN = "no known shares of the classes"


def assumed(method, counts, tau=1.0, sampling="instance", plain=True):
    """The prior of a row's probabilities, float64 [C], or None where there is none.

    `method` is a classifier of `results.json`, "none" too; `counts` [C] are training
    images, `tau` is that of the `classifier` config, `sampling` that of stage one, and
    `plain` says whether stage one's classifier minimised the plain cross entropy, with
    an intercept for each class. A class without training images has 0.
    """
    of_batches = {"instance": 1.0, "repeated": 1.0, "square_root": 0.5, "class": 0.0}
    power = of_batches.get(sampling) if plain else None
    if method != NONE:
        power = METHODS[method].power(power, tau)
    if power is None:
        return None
    counts = np.asarray(counts, np.float64)
    present = counts > 0
    powers = np.where(present, np.where(present, counts, 1) ** power, 0)
    return powers / powers.sum()


def adjusted(log_probs, old, new):
    """Log probabilities [..., C] under the prior `new` [C] instead of `old` [C].

    log_softmax(log p + log new - log old). A class of which either is 0 has probability
    0: it never comes, or nobody has seen it.
    """
    log_probs = jnp.asarray(log_probs, jnp.float32)
    old, new = (np.asarray(prior, np.float64) for prior in (old, new))
    known = (old > 0) & (new > 0)
    shift = np.log(np.where(known, new, 1)) - np.log(np.where(known, old, 1))
    shift = jnp.asarray(np.where(known, shift, ABSENT), jnp.float32)
    return jax.nn.log_softmax(log_probs + jnp.broadcast_to(shift, log_probs.shape))


def in_words(shares, counts, drawn=False):
    """What an `assumed` prior is, of training images `counts` [C].

    `drawn` says whether it is one only as far as draws agree.
    """
    if shares is None:
        return UNKNOWN
    counts = np.asarray(counts)
    if np.allclose(shares * counts.sum(), counts):
        words = "the training images' shares of the classes"
    elif np.ptp(shares[counts > 0]) < 1e-9:
        words = "equal shares of the classes"
    else:
        words = "shares of the classes that its settings give"
    return words + ", as far as its draws agree" if drawn else words
