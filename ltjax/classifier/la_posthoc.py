"""LA post-hoc: stage one's classifier, lowered by the log prior; nothing is trained.

Menon et al., ICLR 2021 (arXiv 2007.07314); `logit_adjustment` has it in the loss.
"""

from ltjax.classifier.logit_adjustment import posthoc
from ltjax.classifier.method import Head

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
    """The head of stage one."""

    def lowered(params, z):
        return logits(params, z, given.counts, given.settings.tau)

    return {"": Head(given.head, lowered)}
