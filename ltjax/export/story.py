"""The story of an export: a row of a run, written, read back, and told."""

import json
import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data import crops, meta
from ltjax.evaluation import scaling
from ltjax.export import card, graph, place, tensors
from ltjax.mistake import Mistake
from ltjax.models import pretrained, weights
from ltjax.posterior import archive, swag
from ltjax.stages import backbones, prior, strangers, trained
from ltjax.workdir import files, identity, rows
from ltjax.workdir.files import write_json
from ltjax.workdir.results import check_labelled, of_seeds, record

# How far a file's logits may be from the run's, absolutely and, beyond 1, relatively:
# no probability is then off by more than 0.2 % of itself. Sums in another order make
# 1e-6 in a network of 8 layers, and some 1e-5 in one of 50.
TOLERANCE = 1e-3
_IMAGES = 16


def export_seeds(run, kinds, wanted=None, out=None, overwrite=False, say=print):
    """`export` of the run in the folder `run`, or of each of its seeds.

    Each seed has a folder of its own in `out`, None: in that of its run. The mean of
    their probabilities is what `ltjax.predict` says of them together. Returns what each
    `export.json` holds.
    """
    folders = of_seeds(run)
    places = [out] if len(folders) == 1 else [out and out / f.name for f in folders]
    told = [
        export(folder, kinds, wanted, place, overwrite, say)
        for folder, place in zip(folders, places)
    ]
    if len(told) > 1:
        say(f"{len(told)} networks; of all, take the mean of their probabilities")
    return told


def export(run, kinds, wanted=None, out=None, overwrite=False, say=print):
    """Writes a row of the finished run in the folder `run` to files for others.

    `kinds` are of `place.FILES`, `wanted` is the row, such as "swa/la"; None:
    swa/srepr. In the folder `out`, None: `run`/export, they come to lie beside other
    kinds of the same row; with `overwrite` they replace their own kind there, or an
    export of another row as a whole. Each file is read back, and its logits are
    compared with those of the run; if it ends before, `out` is as it was. Returns what
    its `export.json` holds.

    Raises `Mistake` for what the user can put right, and `RuntimeError` where a file
    differs by more than `TOLERANCE`.
    """
    run, kinds = Path(run), tuple(dict.fromkeys(kinds))
    out = run / "export" if out is None else Path(out)
    results, config = record(run)
    check_labelled(run, config)
    row = rows.choose(run, results, wanted)
    figures = rows.named(results)[row]
    channels = results["dataset"]["image"][-1]
    _check(row, backbones.of_row(config, row.backbone), kinds, channels)
    earlier = place.earlier(out, row, overwrite)
    if wanted is None and row != rows.headline():
        say(f"{run} has no {rows.headline()}; {row} is exported")
    # What others compute with, whatever the run did.
    opened = trained.read(run, row.backbone, dtype="float32")
    if {"safetensors", "npz"} & set(kinds):
        tensors.check_network(opened.model)
    about = _about(opened, row, figures)
    stays = place.stays(out, earlier, about, kinds, overwrite)
    part = place.part(out)
    with files.writable(out):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            made = _written(part, opened, row, kinds, about)
            for name, file in made.items():
                say(
                    f"{name}: {file['bytes'] / 2**20:.2f} MiB, read back with a "
                    f"largest difference of {file['largest_difference']:.2g}"
                )
            held = {**earlier["files"], **made} if stays else made
            names = (name for name in place.FILES.values() if name in held)
            about["files"] = {name: held[name] for name in names}
            text = card.text(about, figures, results["dataset"])
            if stays:
                text = card.renewed(place.card(out), text)
            place.write_card(part, text)
            write_json(part / place.RECORD, about)
            (place.add if stays else place.put)(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    if earlier and not stays:
        say(f"{earlier['classifier']}, which was in {out}, is replaced")
    listed = ", ".join(about["files"])
    say(f"{row} of {run} is in {out}: {listed}; {place.CARD} has room for a licence")
    return about


def _check(row, backbone, kinds, channels):
    if row.backbone == backbone.drawn:
        raise Mistake(
            f"--classifier {row} is the mean of many passes, not one network; give "
            f"{row._replace(backbone=backbone.name)}"
        )
    for kind in kinds:
        if kind in ("onnx", "photo"):
            graph.check(kind)
            if kind == "photo" and channels not in (1, 3):
                raise Mistake(
                    f"--to photo takes RGB photographs; images of the run have "
                    f"{channels} channels: --to onnx takes them as they are"
                )
        elif kind == "posterior":
            if not backbone.draws:
                raise Mistake(f"--to posterior needs a row of swa; {row} is a point")
        else:
            tensors.check(row)
            weights.check_kind(place.FILES[kind])


def _about(run, row, figures):
    data, model = run.results["dataset"], run.model
    known = rows.named(run.results)
    _, assumed = prior.assumed(run.config, row, run.counts, known)
    classes = identity.names(data["classes"], data.get("class_names"))
    shape, architecture = model.card()
    versions = files.read_json(run.out / "versions.json")
    return {
        "name": data["name"],
        "seed": run.results["seed"],
        "architecture": architecture,
        "model": shape,
        "trained_in": identity.config_of(run.out).model.dtype,
        "backbone": row.backbone,
        "classifier": str(row),
        "classes": classes,
        "counts": data["counts"],
        "image": data["image"],
        "mean": data["mean"],
        # A constant channel is not divided.
        "std": [std or 1.0 for std in data["std"]],
        # How its image files became 8-bit RGB.
        "background": run.config.data.background,
        "range": run.config.data.range,
        # What its second input is made of.
        **({"meta": [part._asdict() for part in run.beside]} if run.beside else {}),
        "figures": figures,
        "weights": digest(run, row),
        "prior": assumed,
        "versions": versions[-1]["packages"],
        "checked_on": _IMAGES,
        "tolerance": TOLERANCE,
    }


def digest(run, row):
    """A hash of all that decides the logits of a row."""
    _, params = trained.logits(run, row.classifier, row.variant)
    features = trained.point(run), tensors.statistics(run), run.fixed
    own = scaling.of_row(rows.named(run.results)[row])
    # As arrays, where there is one: the digest of a row without one stays as it was.
    scaled = () if own is None else (jax.tree.map(np.float64, own),)
    return pretrained.digest((*features, params, *scaled))


_METADATA = (
    *("name", "seed", "model", "classifier", "classes", "counts", "image"),
    *("mean", "std", "background", "range", "meta"),
)


def _written(part, run, row, kinds, about):
    """Writes the files of all `kinds`; bytes and largest difference of each."""
    row_logits, params = trained.logits(run, row.classifier, row.variant)
    metadata = {name: about[name] for name in _METADATA if name in about}
    images = _batch(about["image"], meta.width(run.beside))
    # A GPU would multiply in fewer bits.
    with jax.default_matmul_precision("highest"):
        features = trained.features(run)(images)[0]
        known = np.asarray(jax.jit(partial(row_logits, params))(features))
        told = {}
        for kind in kinds:
            path = part / place.FILES[kind]
            if kind in ("onnx", "photo"):
                shape = _shape(run, about) if kind == "photo" else None
                inside = json.dumps(metadata | _decoding(shape))
                graph.write(path, run, row_logits, params, inside, shape)
                found, probabilities = (
                    graph.run(path, images)
                    if shape is None
                    else graph.run_photos(path, *_photos(images, shape))
                )
                difference = max(
                    _difference(found, known),
                    _difference(probabilities, jax.nn.softmax(known)),
                )
            elif kind == "posterior":
                difference = _posterior(path, run)
            else:
                tensors.write(path, run, row_logits, params, json.dumps(metadata))
                difference = _difference(tensors.logits(path, run, images), known)
            if not difference <= TOLERANCE:
                raise RuntimeError(
                    f"{path.name}, read back, differs by {difference:.3g} from the "
                    f"run, more than {TOLERANCE:g}; it is not kept"
                )
            told[path.name] = {
                "bytes": path.stat().st_size,
                "largest_difference": difference,
            }
    return told


def _batch(shape, width):
    """Generated uint8 images, from black ones to ones of noise all over the range.

    And so many numbers that are known beside each, of the second half only.
    """
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (_IMAGES, *shape))
    light = np.linspace(0, 1, _IMAGES).reshape(-1, 1, 1, 1)
    batch = {"image": (noise * light).astype(np.uint8)}
    if width:
        known = rng.normal(size=(_IMAGES, width)).astype(np.float32)
        known[: _IMAGES // 2] = 0
        batch["meta"] = known
    return batch


def _shape(run, about):
    """The `data.shape.Shape` of the images, which new ones are brought to."""
    return strangers.shape(about["image"], run.config)


def _decoding(shape):
    """What whoever decodes photographs has to know, beside the colour behind them."""
    return {} if shape is None else {"least_side": shape.least_side()}


def _photos(images, shape):
    """The images as photographs of which exactly they are looked at; the metadata."""
    side = crops.tested_side(shape.recipe())
    at = round((side - shape.height) / 2)
    more = side - shape.height - at
    edges = [(0, 0), (at, more), (at, more), (0, 0)]
    wide = np.pad(images["image"], edges if side > shape.height else 0)
    return np.broadcast_to(wide, (*wide.shape[:-1], 3)), images.get("meta")


def _difference(found, known):
    known = np.asarray(known)
    return float((np.abs(found - known) / np.maximum(np.abs(known), 1)).max())


def _posterior(path, run):
    """Writes the posterior; the largest difference of a number that is read back."""
    if not isinstance(run.weights, swag.State):
        raise Mistake(
            f"--to posterior holds the Gaussian of SWAG; that of {run.backbone} is a "
            f"{type(run.weights).__module__}.{type(run.weights).__name__}"
        )
    whole = (run.weights, tensors.statistics(run))
    archive.save(path, *whole)

    def difference(found, known):
        return float(jnp.abs(found - known.astype(found.dtype)).max())

    return max(jax.tree.leaves(jax.tree.map(difference, archive.load(path), whole)))
