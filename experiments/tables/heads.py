"""What the tables say of a finished backbone's classifiers beyond its run's figures."""

import time

import jax
import numpy as np

from ltjax.classifier import heads
from ltjax.data import longtail
from ltjax.evaluation import ece, nll, scores, temperature
from ltjax.stages import kept, trained
from ltjax.workdir import checkpoint, files
from ltjax.workdir.rows import Row

# LA from the head of stage one, where SRepr may start: a row that no run has.
SAME_START = "la", "stage_one"


def rows(stored):
    """Every (classifier, variant) of a backbone and its recipe, `SAME_START` too."""
    settings = stored.config.classifier
    made = trained.heads(stored, settings)
    la = made.get(("la", ""))
    if la and ("srepr", "b") in made and settings.srepr.head == "stage_one":
        made[SAME_START] = from_stage_one(stored, la)
    return made


def from_stage_one(stored, recipe):
    """LA's recipe with the start of `SAME_START`."""
    variants = SAME_START[1:]
    return recipe._replace(params=stored.head, variants=variants, averaged=False)


def same_start(stored):
    """The row of `SAME_START`, None without one; trained once, kept beside the run's.

    It tells what of SRepr's gain over LA is that of where it starts.
    """
    recipe = rows(stored).get(SAME_START)
    if recipe is None:
        return None
    place = _beside(stored)
    if not place.exists():
        begin = time.monotonic()
        params = trained.refit(
            stored, recipe, stored.config.classifier, trained.views(stored)
        )
        figures = scored(stored, heads.one_pass(recipe.logits, params))
        note = {**figures, "seconds": time.monotonic() - begin}
        checkpoint.save(place, params, note)
    names = Row(stored.backbone, *SAME_START).names
    return {**names, **checkpoint.note(place)}


def scored(stored, log_probs):
    """The figures of a row on the test images, of one pass."""
    groups = longtail.groups(stored.index.counts)
    figures, _ = scores.score(
        log_probs, stored.test[:1], stored.data.test.label, groups
    )
    return figures


def params(stored, classifier, variant):
    """The parameters of a row, `SAME_START`'s too."""
    if (classifier, variant) == SAME_START:
        return jax.device_put(checkpoint.load_as_saved(_beside(stored)))
    return trained.params(stored, classifier, variant)


def _beside(stored):
    return stored.out / "checkpoints" / "beside" / Row(stored.backbone, *SAME_START).key


def test_logits(stored):
    """The logits [N, C] of every row on the test images; logs of a mean, for SWAG."""
    found, own = {}, None
    if len(stored.test) > 1:  # each draw's own
        own = jax.tree.map(
            lambda leaf: leaf[1:], kept.heads(stored.out, stored.backbone)
        )
    for (classifier, variant), recipe in rows(stored).items():
        learned = params(stored, classifier, variant)
        logits = heads.one_pass(recipe.logits, learned)(stored.test[:1])
        for shown in recipe.variants:
            found[stored.backbone, classifier, shown] = logits
        if recipe.averaged and own:
            mean = heads.every_draw(
                recipe.logits, learned, own if recipe.whole else None
            )
            found["swag", classifier, ""] = mean(stored.test[1:])
    return found


def best_epochs(stored):
    """What the best epoch on the test set would have claimed, per row re-trained.

    Trains every head again and tests it after each epoch: {"epoch", "all"}, the first
    epoch of the highest accuracy, in percent. For the record only; a figure that was
    chosen on the test set is none. Kept beside the run, for the next table.
    """
    view = trained.views(stored)
    found = {}
    for row, recipe in rows(stored).items():
        if recipe.loss is None:
            continue
        place = stored.out / "best_epochs" / f"{Row(stored.backbone, *row).key}.json"
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            files.write_json(place, best_epoch(stored, recipe, view))
        for shown in recipe.variants:
            found[stored.backbone, row[0], shown] = files.read_json(place)
    return found


def best_epoch(stored, recipe, view):
    """The claim of one row, as `best_epochs` tells it."""
    accuracies = []

    def watch(epoch, losses, params):
        logits = recipe.logits(params, stored.test[0])
        right = np.asarray(logits).argmax(-1) == stored.data.test.label
        accuracies.append(100 * float(right.mean()))

    trained.refit(stored, recipe, stored.config.classifier, view, watch)
    best = int(np.argmax(accuracies))
    return {"epoch": best + 1, "all": accuracies[best]}


def temperatures(stored):
    """The temperature of every row, fitted on the test images of a validation run."""
    same_start(stored)
    fit = jax.jit(temperature)
    labels = stored.data.test.label
    return {row: float(fit(z, labels)) for row, z in test_logits(stored).items()}


def beside(stored, fitted):
    """What every row's line has beside its figures; `fitted` are its temperature's."""
    best = best_epochs(stored)
    labels = stored.data.test.label
    return {
        row: {**scaled(logits, labels, fitted.get(row)), "best_epoch": best.get(row)}
        for row, logits in test_logits(stored).items()
    }


def scaled(logits, labels, fitted):
    """NLL and ECE of the logits over a fitted temperature; None without one."""
    if fitted is None:
        return {"temperature": None, "nll_scaled": None, "ece_scaled": None}
    logits = logits / fitted
    return {
        "temperature": fitted,
        "nll_scaled": float(nll(logits, labels).mean()),
        "ece_scaled": float(ece(jax.nn.softmax(logits), labels)),
    }
