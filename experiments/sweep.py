"""Stage-two choices, compared on one finished validation run with a bank of views.

    python experiments/sweep.py --config C --data.holdout 50 --out RUN --to FILE.jsonl

takes the command line of the run, which must hold out training images: nothing is
chosen on the test set. Fits each choice on the features saved in RUN and writes one
JSON line per choice to FILE. LA is the one to compare with. More draws (M), another
scale of the covariance, another SWA rate or rank are runs of their own,
`--posterior.samples 30 --stage-one OTHER_RUN` and so on, to sweep in their turn.
"""

import argparse
import dataclasses
import hashlib
import itertools
import json
import sys
from pathlib import Path

import jax
import numpy as np

from ltjax import main, retraining, revision, scoring, trained
from ltjax.config import Srepr
from ltjax.evaluation import nll
from ltjax.loading import load
from ltjax.mistake import Mistake

FORMS = (("mean", 1.0), ("mean", 2.0), ("mean", 4.0), ("dirichlet", 1.0))
HEADS = ("new", "stage_one")
WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)


def choices(base):
    """(classifier, variant, settings, samples) of every line, from a run's config."""
    settings, samples = base.classifier, base.posterior.samples
    found = [("la", "", settings, samples), ("srepr", "b", settings, samples)]

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


def sweep(config, out, to):
    """Writes a line for each of `choices` to the file `to`.

    Each has its NLL less the lowest of all, `gap`, with the standard error `gap_se` of
    that mean over images, on which both were judged. What is fitted is kept in
    `out`/sweep; a sweep that was stopped goes on from there.
    """
    if not config.data.holdout:
        raise Mistake("data.holdout is 0; choose on held-out images, --data.holdout 50")
    stored = trained.backbone(out, "swa", config, load(config.data))
    bank = trained.views(stored)
    found, per_image = [], []
    wanted = choices(config)
    for number, (classifier, variant, settings, samples) in enumerate(wanted, 1):
        choice = {
            "samples": samples,
            "views": settings.views,
            "classifier": classifier,
            "variant": variant,
            "srepr": dataclasses.asdict(settings.srepr),
        }
        name = hashlib.sha256(json.dumps(choice).encode()).hexdigest()[:12]
        kept = out / "sweep" / f"{name}.npz"
        if not kept.exists():
            figures, losses = judged(
                stored, bank, classifier, variant, settings, samples
            )
            kept.parent.mkdir(exist_ok=True)
            part = kept.with_suffix(".part")
            with part.open("wb") as file:
                np.savez(file, figures=json.dumps(figures), nll=losses)
            part.rename(kept)
        with np.load(kept, allow_pickle=False) as saved:
            figures = json.loads(str(saved["figures"]))
            per_image.append(saved["nll"])
        found.append({**choice, **figures})
        print(
            f"{number}/{len(wanted)} {classifier} {variant} {settings.srepr} "
            f"nll {figures['nll']:.4f} ece {figures['ece']:.4f} "
            f"all {figures['acc']['all']:.2f}",
            flush=True,
        )
    gaps = np.stack(per_image) - per_image[np.argmin(np.mean(per_image, axis=1))]
    about = {
        "config": config.name,
        "seed": config.seed,
        "scale": config.posterior.scale,
        "commit": revision.commit(),
    }
    with to.open("w") as file:
        for line, gap in zip(found, gaps):
            error = gap.std(ddof=1) / np.sqrt(len(gap))
            line |= {"gap": float(gap.mean()), "gap_se": float(error)}
            file.write(json.dumps({**about, **line}) + "\n")


def judged(stored, bank, classifier, variant, settings, samples):
    """The figures of one choice, and the NLL of every held-out image."""
    key = "" if classifier == "la" else variant or f"c-{settings.srepr.form}"
    recipe = trained.recipes(stored, settings)[classifier, key]

    def view(epoch, draws):
        # The first of the kept views and draws.
        return bank(epoch % settings.views, draws)[: samples + 1]

    params = retraining.fit(
        recipe,
        settings,
        stored.keys.head_order,
        view,
        stored.data.train.label,
        jax.jit(retraining.batches_of("instance", settings, stored.index)),
        lambda *_: None,
    )
    labels = stored.data.test.label
    log_probs = scoring.one_pass(recipe.logits, params)
    figures, _ = scoring.score(log_probs, stored.test[:1], labels, stored.index.counts)
    return figures, np.asarray(nll(log_probs(stored.test[:1]), labels), np.float64)


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
