"""The class prior behind a classifier's probabilities, and another in its place.

A classifier fitted to images whose classes come in shares a(y) gives the posterior
p(y | x), proportional to p(x | y) a(y). Where a deployment has the classes in shares
b(y), and images of a class look the same, Bayes' rule gives

    q(y | x)  proportional to  p(y | x) b(y) / a(y)

(Saerens, Latinne and Decaestecker, Neural Computation 14, 2002). The a of a row follows
from the loss whose minimum it is, with pi the shares of the training images:

    plain, on batches of all images       pi
    plain, on batches of even classes     uniform (cRT, LWS), `optim.sampling class`
    ... of even roots                     pi^(1/2), `optim.sampling square_root`
    logit-adjusted by tau log pi          the logits are without it: pi^(1 - tau),
                                          uniform at tau = 1 (LA, SRepr)
    lowered by tau log pi (LA post-hoc)   that of the plain classifier over pi^tau
    weighted by pi^-rho (DisAlign)        pi^(1 - rho)

NCM and tau-normalisation minimise no such loss, and sampling that changes while it
trains (`progressive`) has no one prior: None. Nor is one known of a plain classifier
that learned by a loss of several experts. A mixture of draws has that of each.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.losses.adjusted import ABSENT


def assumed(
    method, counts, tau=1.0, rho=1.2, sampling="instance", loss="cross_entropy"
):
    """The prior of a row's probabilities, float64 [C], or None where there is none.

    `method` is a classifier of `results.json`, "none" too; `counts` [C] are training
    images, `tau` and `rho` those of the `classifier` config, `sampling` and `loss`
    those of stage one. A class without training images has 0.
    """
    powers = {"instance": 1.0, "square_root": 0.5, "class": 0.0}
    plain = powers.get(sampling) if loss == "cross_entropy" else None
    powers = {
        "none": plain,
        "crt": 0.0,
        "lws": 0.0,
        "la_posthoc": None if plain is None else plain - tau,
        "la": 1.0 - tau,
        "srepr": 1.0 - tau,
        "disalign": 1.0 - rho,
        "tau_norm": None,
        "ncm": None,
    }
    power, counts = powers[method], np.asarray(counts, np.float64)
    if power is None:
        return None
    present = counts > 0
    shares = np.where(present, np.where(present, counts, 1) ** power, 0)
    return shares / shares.sum()


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


def in_words(shares, counts):
    """What an `assumed` prior is, of training images `counts` [C]."""
    if shares is None:
        return "no known shares of the classes"
    counts = np.asarray(counts)
    if np.allclose(shares * counts.sum(), counts):
        return "the training images' shares of the classes"
    if np.ptp(shares[counts > 0]) < 1e-9:
        return "equal shares of the classes"
    return "shares of the classes that its settings give"
