"""Stage-two choices of SRepr, compared on one finished run with a bank of views.

    python experiments/sweep.py --config C --data.test V.npz --out RUN

takes the command line of the run, whose test file V.npz must be a validation set: never
choose on the test set. Fits each choice on the features saved in RUN and writes one
JSON line per choice to RUN/sweep.jsonl. LA on the mean's features is the one to compare
with.
"""

import dataclasses
import itertools
import json
import sys

import jax
import numpy as np

from ltjax import checkpoint, main, retraining, scoring, streams
from ltjax.config import Srepr
from ltjax.data import order
from ltjax.mistake import Mistake
from ltjax.run import load

CHOICES = [
    Srepr(alpha=alpha, temperature=temperature, form=form, on=on)
    for on, (form, temperature), alpha in itertools.product(
        ("members", "mean", "both"),
        (("mean", 1.0), ("mean", 2.0), ("mean", 4.0), ("dirichlet", 1.0)),
        (0.2, 0.5, 0.8),
    )
    # The place of the hard loss is compared at the middle weight only.
    if on == "members" or alpha == 0.5
]


def sweep(config, out):
    """Writes a line for LA, for SRepr (b), and for each of `CHOICES`."""
    data = load(config.data)
    index = order.class_index(data.train.label, data.classes)
    bank = [_saved(out, f"view{number}") for number in range(config.classifier.views)]
    test = _saved(out, "test")
    keys = streams.keys(config.seed)
    labels = jax.device_put(data.train.label)
    batches = jax.jit(retraining.batches_of("instance", config.classifier, index))

    def view(epoch, draws):
        seen = bank[epoch % len(bank)]
        return seen if draws else seen[:1]

    def row(name, variant, settings):
        head = {
            "kernel": np.zeros((test.shape[-1], data.classes), np.float32),
            "bias": np.zeros(data.classes, np.float32),
        }
        recipe = retraining.recipes(
            dataclasses.replace(
                config.classifier, methods=(name,), srepr=settings or Srepr()
            ),
            keys.head,
            head,
            None,
            labels,
            index.counts,
            has_draws=True,
        )[name, variant or ("" if name == "la" else f"c-{settings.form}")]
        params = retraining.fit(
            recipe,
            config.classifier,
            keys.head_order,
            view,
            labels,
            batches,
            lambda epoch, losses: None,
        )
        figures, _ = scoring.score(
            scoring.one_pass(recipe.logits, params),
            test[:1],
            data.test.label,
            index.counts,
        )
        line = {"classifier": name, "variant": variant, **figures}
        return {**line, "srepr": settings and dataclasses.asdict(settings)}

    rows = [("la", "", None), ("srepr", "b", Srepr())]
    rows += [("srepr", "", settings) for settings in CHOICES]
    with (out / "sweep.jsonl").open("w") as file:
        for number, (name, variant, settings) in enumerate(rows):
            line = row(name, variant, settings)
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(
                f"{number + 1}/{len(rows)} {name} {variant} {line['srepr'] or ''} "
                f"nll {line['nll']:.4f} ece {line['ece']:.4f} "
                f"all {line['acc']['all']:.2f}",
                flush=True,
            )


def _saved(out, name):
    path = out / "checkpoints" / "features" / "swa" / name
    if not path.exists():
        raise Mistake(f"{path} does not exist; finish the run first, with views")
    return checkpoint.load_as_saved(path)


if __name__ == "__main__":
    try:
        sweep(*main.read(sys.argv[1:]))
    except Mistake as mistake:
        sys.exit(f"sweep: {mistake}")
