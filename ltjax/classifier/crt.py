"""cRT: a new linear head, cross entropy on class-balanced batches.

Kang et al., ICLR 2020 (arXiv 1910.09217). The balance is in the order of the samples,
not in the loss.
"""

from ltjax.classifier.linear import init, logits
from ltjax.losses import cross_entropy

__all__ = ["init", "logits", "loss"]


def loss(params, features, labels):
    """Cross entropy per example [B] of features [B, D]."""
    return cross_entropy(logits(params, features), labels)
