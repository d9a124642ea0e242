"""RIDE on CIFAR-100-LT at factor 100, and every re-training on top.

    python -m ltjax.main --config configs/cifar100_lt_ride_srepr.py

The recipe of configs/cifar100_lt_ride.py, and all its rows: RIDE itself is the row SGD.
The other rows re-train a classifier for each expert and average their logits. After a
run of that config, `--stage-one runs/cifar100_lt_ride-seed0` takes over its backbones.
SRepr's alpha, temperature and start are those of configs/cifar100_lt.py, not chosen for
experts.
"""

from dataclasses import replace
from pathlib import Path

from ltjax.config import Classifier, Srepr, file

alone = file.read(Path(__file__).with_name("cifar100_lt_ride.py"))
config = replace(
    alone,
    classifier=Classifier(
        methods=("crt", "lws", "la_posthoc", "la", "srepr"),
        epochs=20,
        srepr=Srepr(alpha=0.6, temperature=4.0, head="stage_one"),
    ),
)
