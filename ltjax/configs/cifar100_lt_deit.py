r"""DeiT-LT on CIFAR-100-LT at imbalance factor 100: a two-token ViT-B, for a GPU.

    python -m ltjax.main --config configs/cifar100_lt_deit.py:teacher
    python -m ltjax.main --config configs/cifar100_lt_deit.py:paco_teacher
    python -m ltjax.main --config configs/cifar100_lt_deit.py \
        --objective.teacher runs/cifar100_lt_deit_paco_teacher-seed0

Rangwani et al., CVPR 2024 (arXiv:2404.02900). Data as for configs/cifar100_lt.py. A
teacher of images of 32 pixels comes first: `:teacher` is LDAM-DRW with SAM (Cao et al.,
arXiv:1906.07413; Rangwani et al., arXiv:2212.13827), `:paco_teacher` PaCo (Cui et al.,
arXiv:2107.12028) with SAM, whose rho nobody has published: it is LDAM's. A teacher that
the authors released is read from its file, `--objective.teacher FILE.safetensors`.

The student sees zooms to 224 pixels, RandAugment of increasing strength, erasing, mixup
and cutmix, and its teacher the same mixed images brought back to 32 pixels without
antialiasing. CLS learns from labels, DIST from the teacher; in the last 100 epochs
nothing is mixed, and the teacher's answers are weighted by class. A batch of 128 is one
of eight of an update. Both tokens are told alone beside their mean: `experts` of
results.json. 85,953,992 parameters.

Here otherwise than in the release: tested images are brought to 224 pixels whole
(released: the middle 224 of 256), pixels are normalised by the moments of the training
images, what the last batches of an epoch leave goes on in the next one, three views of
an image are in one batch, and float32 or bfloat16 instead of float16. Nothing is chosen
on the test set.

Expected, accuracy in % as published, students and teachers (not run here on an
accelerator); no NLL and no ECE. Users who repeated it came to 45 and 52:

    teacher             it    DeiT-LT    ViT     DeiT
    LDAM-DRW + SAM      45.4  52.0       35.0    31.3
    PaCo + SAM          52.8  55.6 (72.8 / 55.4 / 31.4 by its own groups)

DeiT, which never weighs, is `--objective.reweight-epoch None` with a teacher that was
trained on the student's views. All rows, SRepr on both tokens; `--stage-one
runs/cifar100_lt_deit-seed0` takes over the backbones of the student above:

    python -m ltjax.main --config configs/cifar100_lt_deit.py:srepr \
        --objective.teacher runs/cifar100_lt_deit_paco_teacher-seed0

Memory, by arithmetic: weights, gradient, its mean, both moments, mean, scatter and 20
deviations 85,953,992 x 27 floats = 9.3 GB, and outputs of 128 images, of which
`--model.recomputed True` keeps fewer. Time: not measured; 1,200 epochs each of SGD and
SWA. The rate of SWA is ours and not tuned.

For a CPU at 32 pixels: patches of 4, 192 wide, 6 blocks, 40 epochs, class weights after
32; time not measured yet. The files are those of configs/cifar100_lt.py:cpu. First a
teacher, either of these:

    python -m ltjax.main --config configs/cifar100_lt_deit.py:teacher_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz
    python -m ltjax.main --config configs/cifar100_lt_deit.py:paco_teacher_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

Then the student, alone or with all rows, and what it is compared with, the same network
of one token without a teacher:

    python -m ltjax.main --config configs/cifar100_lt_deit.py:cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz \
        --objective.teacher runs/cifar100_lt_deit_teacher_cpu-seed0
    python -m ltjax.main --config configs/cifar100_lt_deit.py:srepr_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz \
        --objective.teacher runs/cifar100_lt_deit_teacher_cpu-seed0
    python -m ltjax.main --config configs/cifar100_lt_deit.py:vit_cpu \
        --data.train cifar100_train.npz --data.test cifar100_test.npz
"""

from dataclasses import replace

from ltjax.config import (
    AdamW,
    Augment,
    CifarResNet,
    Classifier,
    Config,
    Cosine,
    CosineDecay,
    CosineThroughout,
    CrossEntropy,
    DeitLt,
    Ldam,
    Paco,
    Posterior,
    Projected,
    Sam,
    StepDecay,
    Swa,
    Vit,
)
from ltjax.configs.cifar100_lt import DATA, FILES, RETRAINED, RETRAINED_CPU

NONE = Classifier(methods=(), views=1)
# A teacher is its SGD network; its SWA backbone is for the table.
ONE = ("sgd",)

config = Config(
    data=DATA,
    augment=Augment(
        zoom=0.08,
        zoom_size=224,
        flip=True,
        policy="randaugment_increasing",
        erase=0.25,
    ),
    model=Vit(size="base", tokens=2, pixels=224, drop_path=0.1),
    objective=DeitLt(reweight_epoch=1100),
    optim=AdamW(
        lr=2.5e-4,
        epochs=1200,
        warmup_epochs=5,
        batch_size=128,
        accumulate=8,
        sampling="repeated",
        schedule=CosineThroughout(first_lr=1e-6, last_lr=1e-5),
    ),
    swa=Swa(start=1100, lr=2.5e-5, rank=20),
    posterior=Posterior(samples=10, batch_size=256),
    classifier=NONE,
)
srepr = replace(config, classifier=RETRAINED)

teacher = Config(
    backbones=ONE,
    data=DATA,
    augment=Augment(pad=4, flip=True),
    model=CifarResNet(depth=32, init="fan_in", head=Cosine(scale=30.0)),
    objective=Ldam(reweight_epoch=160),
    optim=Sam(
        rho=(0.8,),
        nesterov=False,
        weight_decay=2e-4,
        schedule=StepDecay(milestones=(160, 180), factor=0.01),
        epochs=200,
        warmup_epochs=5,
        drop_last=False,
    ),
    classifier=NONE,
)
paco_teacher = replace(
    teacher,
    augment=Augment(pad=4, flip=True, policy="autoaugment", cutout=16),
    model=Projected(of=CifarResNet(depth=32), dim=32),
    objective=Paco(alpha=0.01, temperature=0.05, queue=1024),
    optim=Sam(
        lr=0.05,
        rho=(0.8,),
        nesterov=False,
        schedule=StepDecay(milestones=(320, 360), factor=0.1),
        epochs=400,
        warmup_epochs=10,
    ),
)

cpu = replace(
    config,
    data=FILES,
    augment=Augment(pad=4, flip=True, policy="randaugment_increasing", erase=0.25),
    model=Vit(dim=192, depth=6, heads=3, patch=4, image=32, tokens=2, drop_path=0.1),
    objective=DeitLt(reweight_epoch=32),
    optim=AdamW(
        lr=1e-3,
        epochs=40,
        warmup_epochs=4,
        batch_size=128,
        schedule=CosineThroughout(first_lr=1e-6, last_lr=1e-5),
    ),
    swa=Swa(start=30, lr=1e-4, every_steps=42, rank=10),
    posterior=Posterior(samples=5),
)
srepr_cpu = replace(cpu, classifier=replace(RETRAINED_CPU, experts="alone"))
vit_cpu = replace(
    cpu,
    model=replace(cpu.model, tokens=1),
    objective=CrossEntropy(mixup=0.8, cutmix=1.0, smoothing=0.1),
    classifier=Classifier(methods=("la_posthoc",), views=1),
)
teacher_cpu = replace(
    teacher,
    data=FILES,
    objective=Ldam(reweight_epoch=12),
    optim=replace(teacher.optim, schedule=CosineDecay(), epochs=16, warmup_epochs=1),
)
paco_teacher_cpu = replace(
    paco_teacher,
    data=FILES,
    optim=replace(
        paco_teacher.optim, schedule=CosineDecay(), epochs=24, warmup_epochs=1
    ),
)
