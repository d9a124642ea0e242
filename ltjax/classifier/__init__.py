"""Stage two: classifiers on frozen features, one module per method."""

TITLES = {
    "crt": "cRT",
    "lws": "LWS",
    "tau_norm": "tau-norm",
    "ncm": "NCM",
    "la_posthoc": "LA post-hoc",
    "la": "LA",
    "disalign": "DisAlign",
    "srepr": "SRepr",
}
