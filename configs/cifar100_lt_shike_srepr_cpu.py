r"""SHIKE on CIFAR-100-LT at factor 100, and every re-training on top, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_shike_srepr_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The recipe of configs/cifar100_lt_shike_cpu.py, and all its rows: SHIKE itself is the
row SGD and, after its second stage, the row SGD + LA of that config. The other rows
re-train a classifier for each expert, the linear ones together, and average their
logits. After a run of that config, `--stage-one runs/cifar100_lt_shike_cpu-seed0` takes
over its backbones. How experts learn, rate and weight decay, SRepr's alpha and
temperature were chosen on held-out images of SHIKE (docs/decisions.md).
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
        lr=0.5,
        weight_decay=2e-4,
        views=2,
        experts="together",
        srepr=Srepr(alpha=0.4, temperature=2.0, head="stage_one"),
    ),
)
