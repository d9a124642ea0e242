"""What was chosen how, before the tables were made: counted, and said."""

import results

CHOSEN = """\
## What was chosen, and on what

- **SRepr's α, temperature, form, start and where its loss is taken**: on held-out
  training images of seed 0, by the rule in [Decisions](decisions.md). {candidates}
- **That rule, and the list, are younger than test figures.** A first table of seed 0 on
  this test set (commit a0ed4ed) had other settings, chosen on other held-out images; in
  it SRepr had less accuracy than LA. After it the list was given the start from the
  head of stage one; then, with the validation table in view, the rule was given its
  bound, accuracy not below LA's, where NLL alone had decided. Seeds 1 and 2, of which
  the history has no figures with other settings, are tested on the same images.
- **On Fashion-MNIST-LT** {fashion} candidates were compared because CIFAR's settings
  had a worse NLL and ECE than LA on its test set; held-out images chose among them.
- **On the digits** of the [front page](../README.md) the settings are not to the letter
  of the rule, and test figures of earlier settings were known.
- **For several experts** {experts} choices of SRepr were fitted on held-out images of
  SHIKE; to try lower weight decays was decided after test figures of the choice before
  had been seen. RIDE and MDCS take the same.
- **Not chosen by measurement**: what these tables' batch-norm statistics are taken of
  (later it was: [Decisions](decisions.md)), the SWA rate
  and start, rank and scale of SWAG, more than ten draws or four views, and all settings
  of LA, cRT, LWS, τ-normalisation and DisAlign, which are the usual defaults. No epoch
  was chosen: every figure is of the last one.

So the settings come from held-out images, but who made the lists had seen test figures;
no figure here is of images that nobody had looked at before."""


def counted(name, classifier):
    """The candidates that a sweep's file has for the row of a classifier."""
    lines = results.lines(f"sweep_{name}.jsonl")
    return sum((of["classifier"], of["variant"]) == (classifier, "") for of in lines)


def beside(name):
    """Beside SRepr against LA: how many candidates either had, of a section's name."""
    srepr, la = (counted(name, row) for row in ("srepr", "la"))
    return (
        f"SRepr's settings are the choice among {srepr} candidates on held-out images; "
        f"LA had {la}, the usual defaults."
    )


def section(cifar, fashion, experts):
    """The text about all choices; the arguments are names of sweeps."""
    fashion, experts = (counted(name, "srepr") for name in (fashion, experts))
    return CHOSEN.format(candidates=beside(cifar), fashion=fashion, experts=experts)
