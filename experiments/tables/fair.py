"""As many choices for every method as SRepr has: 12, of what each leaves to choose.

A method whose strength is one number has 12 of it, one that only learns has 12 pairs of
rate and weight decay. What nothing is trained or adjusted for, no re-training and NCM,
has nothing to choose and is there to compare with.
"""

import dataclasses
import itertools

from ltjax.classifier import NONE, choice, srepr
from ltjax.classifier.logit_adjustment import TAUS
from ltjax.classifier.tau_norm import EXPONENTS
from ltjax.mistake import Mistake

NUMBER = 12
# Of DisAlign's class weights; 0 is equal ones.
RHOS = tuple(round(0.2 * step, 1) for step in range(1, NUMBER + 1))
LEARNED = tuple(itertools.product((0.02, 0.05, 0.1, 0.5), (1e-4, 5e-4, 2e-3)))
LA = "la", ""


def choices(base):
    """(classifier, variant, settings, samples) of every line, from a run's config."""
    settings, samples = base.classifier, base.posterior.samples
    if settings.tau not in TAUS:
        raise Mistake(
            f"classifier.tau is {settings.tau}; it must be of "
            f"{', '.join(map(str, TAUS))}, as LA's accuracy at it is the bar of all"
        )
    found = [(name, "", settings, samples) for name in (NONE, "ncm")]

    def add(name, variant="", **changes):
        changed = dataclasses.replace(settings, **changes)
        found.append((name, variant, changed, samples))

    for tau in TAUS:
        add("la_posthoc", tau=tau)
        add("la", tau=tau)
        add("srepr", "b", tau=tau)
    for tau_norm in EXPONENTS:
        add("tau_norm", tau_norm=tau_norm)
    for rho in RHOS:
        add("disalign", rho=rho)
    for lr, decay in LEARNED:
        add("crt", lr=lr, weight_decay=decay)
        add("lws", lr=lr, weight_decay=decay)
    for alpha, temperature in srepr.grid("mean"):
        distilled = dataclasses.replace(
            settings.srepr, alpha=alpha, temperature=temperature, form="mean"
        )
        add("srepr", srepr=distilled)
    return found


def marked(lines, usual):
    """The lines, each with whether it is `chosen` of its method's, by one rule for all.

    It is that of `choice.best`: the lowest NLL among those whose accuracy is not below
    LA's at the `usual` tau.
    """
    of_row = {}
    for at, line in enumerate(lines):
        of_row.setdefault((line["classifier"], line["variant"]), []).append(at)
    [bar] = (lines[at]["acc"]["all"] for at in of_row[LA] if lines[at]["tau"] == usual)
    chosen = set()
    for places in of_row.values():
        nll = [lines[at]["nll"] for at in places]
        accuracy = [lines[at]["acc"]["all"] for at in places]
        chosen.add(places[choice.best(nll, accuracy, bar)])
    return [{**line, "chosen": at in chosen} for at, line in enumerate(lines)]
