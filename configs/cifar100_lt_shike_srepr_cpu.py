r"""SHIKE on CIFAR-100-LT at factor 100, and every re-training on top, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_shike_srepr_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The recipe of configs/cifar100_lt_shike_cpu.py, and all its rows: SHIKE itself is the
row SGD, after its second stage SGD + LA. The other rows re-train a classifier for each
expert and average their logits. After a run of that config, `--stage-one
runs/cifar100_lt_shike_cpu-seed0` takes over its backbones. SRepr's alpha, temperature
and start are those of configs/cifar100_lt.py, not chosen for experts.
"""

from dataclasses import replace
from pathlib import Path

from ltjax import config_file
from ltjax.config import Classifier, Srepr

alone = config_file.read(Path(__file__).with_name("cifar100_lt_shike_cpu.py"))
config = replace(
    alone,
    classifier=Classifier(
        methods=("crt", "lws", "la_posthoc", "la", "srepr"),
        epochs=20,
        views=2,
        srepr=Srepr(alpha=0.6, temperature=4.0, head="stage_one"),
    ),
)
