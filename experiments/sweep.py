"""Stage-two choices, compared on one finished validation run with a bank of views.

    python experiments/sweep.py --config C --data.holdout 50 --out RUN --to FILE.jsonl

takes the command line of the run, which must hold out training images: nothing is
chosen on the test set. Fits each choice on the features saved in RUN and writes one
JSON line per choice to FILE; lines that are there already are not made again. LA is
the one to compare with. More draws (M), another scale of the covariance, another SWA
rate or rank are runs of their own, `--posterior.samples 30 --stage-one OTHER_RUN` and
so on, to sweep in their turn.
"""

import argparse
import dataclasses
import itertools
import json
import sys
from pathlib import Path

import jax

from ltjax import main, retraining, scoring, trained
from ltjax.config import Srepr
from ltjax.loading import load
from ltjax.mistake import Mistake

FORMS = (("mean", 1.0), ("mean", 2.0), ("mean", 4.0), ("dirichlet", 1.0))
WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)


def choices(base):
    """(classifier, variant, settings, samples) of every line, from a run's config."""
    settings, samples = base.classifier, base.posterior.samples
    found = [("la", "", settings, samples), ("srepr", "b", settings, samples)]

    def add(samples=samples, **changes):
        changed = dataclasses.replace(settings, **changes)
        found.append(("srepr", "", changed, samples))

    for (form, temperature), alpha in itertools.product(FORMS, WEIGHTS):
        add(srepr=Srepr(alpha=alpha, temperature=temperature, form=form))
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
        if fewer < (settings.views or 0):
            add(views=fewer)
    add(head="stage_one")
    found.append(
        ("la", "", dataclasses.replace(settings, head="stage_one"), samples),
    )
    return found


def sweep(config, out, to):
    """Appends a line to the file `to` for each of `choices` that it does not hold."""
    if not config.data.holdout:
        raise Mistake("data.holdout is 0; choose on held-out images, --data.holdout 50")
    done = []
    if to.exists():
        done = [_choice(json.loads(line)) for line in to.read_text().splitlines()]
    stored = trained.backbone(out, "swa", config, load(config.data))
    batches = jax.jit(
        retraining.batches_of("instance", config.classifier, stored.index)
    )
    bank = trained.views(stored)
    wanted = choices(config)
    for number, (classifier, variant, settings, samples) in enumerate(wanted, 1):
        line = {
            "config": config.name,
            "seed": config.seed,
            "scale": config.posterior.scale,
            "samples": samples,
            "views": settings.views,
            "head": settings.head,
            "classifier": classifier,
            "variant": variant,
            "srepr": dataclasses.asdict(settings.srepr),
        }
        if _choice(line) in done:
            continue
        key = "" if classifier == "la" else variant or f"c-{settings.srepr.form}"
        recipe = trained.recipes(stored, settings)[classifier, key]

        def view(epoch, draws, views=settings.views, samples=samples):
            # The first of the kept views and draws.
            return bank(epoch % views, draws)[: samples + 1]

        params = retraining.fit(
            recipe,
            settings,
            stored.keys.head_order,
            view,
            stored.data.train.label,
            batches,
            lambda *_: None,
        )
        figures, _ = scoring.score(
            scoring.one_pass(recipe.logits, params),
            stored.test[:1],
            stored.data.test.label,
            stored.index.counts,
        )
        with to.open("a") as file:
            file.write(json.dumps({**line, **figures}) + "\n")
        print(
            f"{number}/{len(wanted)} {classifier} {variant} {settings.srepr} "
            f"nll {figures['nll']:.4f} ece {figures['ece']:.4f} "
            f"all {figures['acc']['all']:.2f}",
            flush=True,
        )


def _choice(line):
    figures = ("acc", "nll", "ece", "brier", "group_ece")
    return {name: value for name, value in line.items() if name not in figures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--to", type=Path, default=Path("sweep.jsonl"))
    own, rest = parser.parse_known_args()
    try:
        config, out, *_ = main.read(rest)
        sweep(config, out, own.to)
    except Mistake as mistake:
        print(f"sweep: {mistake}", file=sys.stderr)
        sys.exit(2)
