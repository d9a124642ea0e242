r"""SHIKE on CIFAR-100-LT at factor 100, and every re-training on top, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_shike_srepr_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The recipe of configs/cifar100_lt_shike_cpu.py, and all its rows. SHIKE's first stage is
the row SGD; the published SHIKE, after its second, is the row SGD + LA of a run of
configs/cifar100_lt_shike_cpu.py, where each expert's classifier learns alone. Here all
linear classifiers learn together. After that run, `--stage-one
runs/cifar100_lt_shike_cpu-seed0` takes over its backbones. The settings of re-training
were chosen on held-out images (docs/decisions.md).
"""

from dataclasses import replace
from pathlib import Path

from ltjax.config import Classifier, Srepr, file

base = file.read(Path(__file__).with_name("cifar100_lt_shike_cpu.py"))
config = replace(
    base,
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
