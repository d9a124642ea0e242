r"""MDCS on CIFAR-100-LT at factor 100, and every re-training on top, for a CPU.

    python -m ltjax.main --config configs/cifar100_lt_mdcs_srepr_cpu.py \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

The recipe of configs/cifar100_lt_mdcs_cpu.py, and all its rows: MDCS itself is the row
SGD. The other rows re-train a classifier for each expert, the linear ones together, and
average their logits, with the settings of configs/cifar100_lt_shike_srepr_cpu.py, which
were chosen on held-out images of SHIKE (docs/decisions.md). After a run of the former,
`--stage-one runs/cifar100_lt_mdcs_cpu-seed0` takes over its backbones.
"""

from dataclasses import replace
from pathlib import Path

from ltjax.config import file

place = Path(__file__)
base = file.read(place.with_name("cifar100_lt_mdcs_cpu.py"))
shike = file.read(place.with_name("cifar100_lt_shike_srepr_cpu.py"))
config = replace(base, classifier=shike.classifier)
