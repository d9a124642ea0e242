"""LA post-hoc: stage one's classifier, lowered by the log prior; nothing is trained.

Menon et al., ICLR 2021 (arXiv 2007.07314); `logit_adjustment` has it in the loss.
"""

from ltjax.classifier import linear
from ltjax.classifier.logit_adjustment import TAUS, lowering, posthoc
from ltjax.classifier.method import AUTO, Head, of_tau

TITLE = "LA post-hoc"
AFFINE = True
JOINT = DRAWS = False


def logits(head, features, counts, tau=1.0):
    """`logit_adjustment.posthoc`: [B, C] of features [B, D], `counts` [C]."""
    return posthoc(head, features, counts, tau)


def power(plain, tau):
    """That of the plain classifier, less tau."""
    return None if plain is None else plain - tau


def heads(given):
    """The head of stage one, lowered by the tau that is set, or by one of `TAUS`."""
    tau = given.settings.tau

    def lowered(params, z):
        return logits(params, z, given.counts, tau)

    def moved(tau):
        bias = given.head["bias"] + lowering(given.counts, tau)
        return Head({**given.head, "bias": bias}, linear.logits)

    if tau != AUTO:
        # Finished runs have kept the head of stage one for it, and read it as that.
        return {"": Head(given.head, lowered)}
    return {"": of_tau(tau, TAUS, moved)}
