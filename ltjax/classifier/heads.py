"""The heads of a run's table: of one network, or of several experts, by row."""

import jax
import jax.numpy as jnp

from ltjax.classifier import METHODS, NONE, linear, ncm
from ltjax.classifier.method import Given, Head
from ltjax.posterior import dispersion
from ltjax.posterior.predictive import mean_log_probs


def of_methods(settings, key, head, means, counts, draws):
    """A `Head` for each (classifier, variant) of a backbone, in the table's order.

    `head` is the linear classifier of stage one, `means` what `class_means` makes of
    the plain training images under the mean weights. `settings` is the `classifier`
    part of a config. A method that learns from draws is left out without `draws`. Of E
    experts, where leaves of `head` and `means` have a leading axis E, they are
    `per_expert`, and learn as `settings.experts` says. `counts` [C] are the training
    images per class.
    """
    several = head["kernel"].ndim > 2
    parts = [(key, head, means)]
    if several:
        keys = jax.random.split(jax.random.clone(key), len(head["kernel"]))
        parts = [(key, *_at((head, means), at)) for at, key in enumerate(keys)]
    alone = [
        Given(own, _new(key, own), learned, counts, draws, settings)
        for key, own, learned in parts
    ]
    found = {(NONE, ""): none(head)}
    for name in settings.methods:
        method = METHODS[name]
        joint = settings.experts == "together" and method.JOINT
        make_loss = _loss_of_mean if joint else _sum_of_losses
        every = [method.heads(given) for given in alone]
        for variant, one in every[0].items():
            if several:
                one = per_expert([heads[variant] for heads in every], make_loss)
            found[name, variant] = one
    return found


def _new(key, head):
    return linear.init(jax.random.clone(key), *head["kernel"].shape)


def none(head):
    """The head of no re-training: the linear `head` of stage one, or E of them."""
    if head["kernel"].ndim == 2:
        return Head(head, linear.logits, averaged=True, whole=True)
    experts = range(len(head["kernel"]))
    return per_expert([none(_at(head, expert)) for expert in experts])


def class_means(settings, features, labels, classes):
    """What NCM learns of features [N, D], or of each expert's of features [N, E, D].

    None where it is not among the methods of `settings`, a `classifier` config.
    """
    if ncm not in map(METHODS.get, settings.methods):
        return None
    if features.ndim == 2:
        return ncm.init(features, labels, classes)
    experts = range(features.shape[1])
    every = [ncm.init(features[:, expert], labels, classes) for expert in experts]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *every)


def _sum_of_losses(heads):
    """Each classifier's gradient is then its own: it learns as it would alone."""

    def loss(params, features, labels):
        return sum(
            head.loss(_at(params, expert), features[..., expert, :], labels)
            for expert, head in enumerate(heads)
        )

    return loss


def _loss_of_mean(heads):
    """E times the loss of the mean logits, of linear classifiers.

    Each takes the steps that it would take alone if its error were that of the mean.
    """

    def loss(params, features, labels):
        # Experts side by side are one linear classifier: features and kernels in a row.
        mean = {
            "kernel": jnp.concatenate(params["kernel"]) / len(heads),
            "bias": params["bias"].mean(0),
        }
        features = features.reshape(*features.shape[:-2], -1)
        return len(heads) * heads[0].loss(mean, features, labels)

    return loss


def per_expert(heads, make_loss=_sum_of_losses):
    """The head of E experts, each with a classifier of its own: those of `heads`.

    Features are [..., E, D], leaves of the parameters have a leading axis E. Logits are
    the mean over experts. `make_loss(heads)` gives the loss, where there is one.
    """
    first = heads[0]

    def logits(params, features):
        every = [
            head.logits(_at(params, expert), features[..., expert, :])
            for expert, head in enumerate(heads)
        ]
        return sum(every) / len(every)

    params = [head.params for head in heads]
    return first._replace(
        params=jax.tree.map(lambda *leaves: jnp.stack(leaves), *params),
        logits=logits,
        loss=first.loss and make_loss(heads),
        experts=tuple(heads),
        choice=first.choice and _choice_per_expert(heads, make_loss),
    )


def _choice_per_expert(heads, make_loss):
    """One choice for all experts: each candidate is that of every expert."""
    choices = [head.choice for head in heads]
    every = zip(*(choice.candidates for choice in choices))
    return choices[0]._replace(
        candidates=tuple(
            own[0]._replace(head=per_expert([each.head for each in own], make_loss))
            for own in every
        ),
        bar=per_expert([choice.bar for choice in choices], make_loss),
    )


def _at(tree, expert):
    return jax.tree.map(lambda leaf: leaf[expert], tree)


def one_pass(logits, params):
    """Log probabilities [B, C] of a classifier, of the mean's features [1, B, D]."""
    return lambda z: jax.nn.log_softmax(logits(params, z[0]))


def every_draw(logits, params, heads=None):
    """Log of the mean probability over K draws, of their features [K, B, D].

    The classifier `params` is one for all of them; of whole networks each draw has its
    own of `heads`, leading axis K, instead.
    """

    def own(draw):
        return jax.tree.map(lambda leaf: leaf[draw], heads) if heads else params

    def log_probs(z):
        each = [logits(own(draw), member) for draw, member in enumerate(z)]
        return mean_log_probs(jnp.stack(each))

    return log_probs


def disagreement(log_probs):
    """How far the draws' probabilities disagree on an image, under one classifier.

    `log_probs` is that of `one_pass`. Gives `dispersion.probability` [B] of the draws'
    features [K, B, D].
    """

    def spread(z):
        each = [log_probs(member[None]) for member in z]
        return dispersion.probability(jnp.exp(jnp.stack(each)))

    return spread
