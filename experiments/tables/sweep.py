r"""Stage-two choices, compared on the held-out images of a seed's validation run.

    python experiments/tables/sweep.py --config cifar100_lt:cpu --seeds 0 \
        --out experiments/results/sweep_cifar100_lt100_cpu.jsonl \
        --data.train cifar100_train.npz --data.test cifar100_test.npz

appends one JSON line for each choice, fitted on the features that the validation run of
`lines.py table2` keeps; nothing is chosen on the test set. LA and no re-training are
those to compare with. Of a network of experts it varies how their classifiers learn
(`LEARNED`), too. The same command goes on where it stopped.

`--fair` gives every method 12 choices of what it leaves to choose (`fair.py`),
and marks the one that is `chosen` of each.

What the features depend on is a run of its own, in another folder and file: more draws
(M) or another scale of the covariance with `--runs OTHER --stage-one runs
--posterior.samples 30`, another SWA rate, start or rank with `--runs OTHER --swa.lr
0.05`.
"""

import dataclasses
import hashlib
import itertools
import json
import sys

import fair
import heads
import numpy as np
import protocol

from ltjax import machine
from ltjax.classifier.heads import one_pass
from ltjax.config import Srepr
from ltjax.evaluation import nll
from ltjax.mistake import Mistake
from ltjax.runtime.command import exit_code
from ltjax.stages import trained
from ltjax.stages.loading import load
from ltjax.workdir import files, identity, versions

FORMS = (("mean", 1.0), ("mean", 2.0), ("mean", 4.0), ("dirichlet", 1.0))
HEADS = ("new", "stage_one")
WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
NONE = "none", ""
COMPARED = ("la", ""), heads.SAME_START, ("srepr", "b")
# Of several experts: how their classifiers learn, rate, weight decay.
LEARNED = (
    *itertools.product(("alone", "together"), (0.1, 0.5, 2.0), (5e-4,)),
    ("together", 0.5, 2e-4),
    ("together", 0.5, 1e-4),
)
EXPERT_WEIGHTS = (0.2, 0.4, 0.6)


def choices(base):
    """(classifier, variant, settings, samples) of every line, from a run's config."""
    settings, samples = base.classifier, base.posterior.samples
    if base.model.experts:
        return [(*choice, samples) for choice in _of_experts(settings)]
    found = [(*row, settings, samples) for row in (NONE, *COMPARED)]

    def add(samples=samples, **changes):
        changed = dataclasses.replace(settings, **changes)
        found.append(("srepr", "", changed, samples))

    for head, (form, temperature), alpha in itertools.product(HEADS, FORMS, WEIGHTS):
        add(srepr=Srepr(alpha=alpha, temperature=temperature, form=form, head=head))
    # From here on one thing at a time.
    for on, (form, temperature) in itertools.product(("mean", "both"), FORMS):
        add(
            srepr=dataclasses.replace(
                settings.srepr, temperature=temperature, form=form, on=on
            )
        )
    for fewer in (2, 5):
        if fewer < samples:
            add(samples=fewer)
    for fewer in (1, 2):
        if fewer < (settings.views or 1):
            add(views=fewer)
    return found


def _of_experts(settings):
    """(classifier, variant, settings): every way to learn with every way to distil.

    SRepr starts from the head of stage one.
    """
    yield (*NONE, settings)
    for way, lr, decay in LEARNED:
        changed = dataclasses.replace(settings, experts=way, lr=lr, weight_decay=decay)
        for row in COMPARED:
            yield (*row, changed)
        for (form, temperature), alpha in itertools.product(FORMS, EXPERT_WEIGHTS):
            chosen = Srepr(
                alpha=alpha, temperature=temperature, form=form, head="stage_one"
            )
            yield "srepr", "", dataclasses.replace(changed, srepr=chosen)


def sweep(options, seed):
    """The lines of the `choices` on a seed's validation run."""
    config = protocol.config_of(options, seed, options.holdout)
    if "swa" not in config.backbones:
        raise Mistake("--backbones lacks swa, whose classifiers are swept")
    out, _, about = protocol.finished(options, config)
    stored = trained.held(out, "swa", config, load(config.data))
    # Those of the fits; the backbone may be older, and of another machine.
    fits = {"commit": versions.commit(), "processor": machine.processor()}
    if not options.fair:
        return lines(stored, {**about, **fits}, choices(config))
    every = lines(stored, {**about, **fits}, fair.choices(config))
    return fair.marked(every, config.classifier.tau)


def lines(stored, about, wanted):
    """A line for each of the `wanted` choices, beginning with `about`.

    Each has its NLL less the lowest of all, `gap`, with the standard error `gap_se` of
    that mean over images, on which both were judged. What is fitted is kept beside the
    run; a sweep that was stopped goes on from there.
    """
    config = stored.config
    bank = trained.views(stored)
    found, per_image = [], []
    for number, (classifier, variant, settings, samples) in enumerate(wanted, 1):
        choice = {
            "samples": samples,
            "views": settings.views,
            "classifier": classifier,
            "variant": variant,
            "experts": settings.experts,
            "lr": settings.lr,
            "weight_decay": settings.weight_decay,
            **{name: getattr(settings, name) for name in ("tau", "tau_norm", "rho")},
            "srepr": dataclasses.asdict(settings.srepr),
        }
        name = hashlib.sha256(json.dumps(choice).encode()).hexdigest()[:12]
        kept = stored.out / "sweep" / f"{name}.npz"
        if not kept.exists():
            figures, losses = judged(
                stored, bank, classifier, variant, settings, samples
            )
            kept.parent.mkdir(exist_ok=True)
            files.write_arrays(kept, {"figures": json.dumps(figures), "nll": losses})
        with np.load(kept, allow_pickle=False) as saved:
            figures = json.loads(str(saved["figures"]))
            per_image.append(saved["nll"])
        found.append({**choice, **figures})
        told = " ".join(f"{name} {value}" for name, value in choice.items())
        judgement = f"nll {figures['nll']:.4f}, ece {figures['ece']:.4f}"
        print(f"{number}/{len(wanted)} {told}: {judgement}", flush=True)
    gaps = np.stack(per_image) - per_image[np.argmin(np.mean(per_image, axis=1))]
    errors = gaps.std(axis=1, ddof=1) / np.sqrt(gaps.shape[1])
    shared = {
        **about,
        "swa": identity.of_config(config)["swa"],
        "scale": config.posterior.scale,
    }
    return [
        {**shared, **line, "gap": float(gap.mean()), "gap_se": float(error)}
        for line, gap, error in zip(found, gaps, errors)
    ]


def judged(stored, bank, classifier, variant, settings, samples):
    """The figures of one choice, and the NLL of every held-out image."""
    methods = {"la", "srepr", classifier} - {NONE[0]}
    both = dataclasses.replace(settings, methods=tuple(sorted(methods)))
    made = trained.heads(stored, both)
    made[heads.SAME_START] = heads.from_stage_one(stored, made["la", ""])
    [recipe] = (
        recipe
        for (name, _), recipe in made.items()
        if name == classifier and variant in recipe.variants
    )

    def view(epoch, draws):
        # The first of the kept views and draws.
        return bank(epoch % settings.views, draws)[: samples + 1]

    params = trained.refit(stored, recipe, settings, view)
    log_probs = one_pass(recipe.logits, params)
    losses = nll(log_probs(stored.test[:1]), stored.data.test.label)
    return heads.scored(stored, log_probs), np.asarray(losses, np.float64)


def main(args):
    """Runs one command line; returns the exit code."""

    def work():
        parser = protocol.parser(__doc__)
        parser.add_argument(
            "--fair", action="store_true", help="12 choices for every method"
        )
        options = protocol.read(parser, args)
        protocol.append(sweep, options, validation=True)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
