"""Stage two: classifiers on frozen features, one module per method (`method`)."""

from ltjax.classifier import (
    crt,
    disalign,
    iif,
    la_posthoc,
    logit_adjustment,
    lws,
    ncm,
    srepr,
    tau_norm,
)

__all__ = ["METHODS", "NONE", "PREFERRED"]

# In the table's order.
METHODS = {
    "crt": crt,
    "lws": lws,
    "tau_norm": tau_norm,
    "ncm": ncm,
    "la_posthoc": la_posthoc,
    "iif": iif,
    "la": logit_adjustment,
    "disalign": disalign,
    "srepr": srepr,
}

NONE = "none"  # no re-training: the classifier of stage one, which every backbone has

# Which row is meant, and shown, where none is named: SRepr and the adjusted loss that
# it distils, then what is nearest to them; every run has the last. Not that of the best
# figures, which are of the test images: nothing is chosen there.
PREFERRED = (
    "srepr",
    "la",
    "la_posthoc",
    "iif",
    "disalign",
    "crt",
    "lws",
    "tau_norm",
    "ncm",
    NONE,
)
