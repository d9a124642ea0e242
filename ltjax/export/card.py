"""The model card of an export: what it is, on what, how good, how to load it."""

import re

from ltjax.classifier import prior
from ltjax.export import inputs
from ltjax.workdir import rows

_MOST_CLASSES = 200  # rows of the table; of more, those at both ends
_TITLES = (("acc", "many"), ("acc", "medium"), ("acc", "few"), ("acc", "all"))
# What others call these networks, where they have the same layers.
TIMM = {
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "resnext50": "resnext50_32x4d",
    "resnext101": "resnext101_32x4d",
}


def text(about, figures, data):
    """The README of an export.

    `about` is what `export.json` says, `figures` the row of `results.json`, `data` its
    part "dataset".
    """
    height, width, channels = about["image"]
    most, least = max(data["counts"]), min(data["counts"])
    parts = (
        f"# {about['architecture']}, {inputs.cell(data['name'])}, "
        f"{about['classifier']}",
        f"{_what(about)}{_type(about)} Trained with ltjax "
        f"{about['versions']['ltjax']}, seed {about['seed']}, on {data['train']} "
        f"images of {data['classes']} classes, {most} of the largest and {least} of "
        "the smallest.",
        f"## Licence\n\n{_LICENCE}",
        f"## Figures\n\nOn {data['test']} test images, once, as the run's "
        f"`results.json` has them:\n\n{_figures(figures)}\n\n{_UNITS}",
        f"## Input and output\n\n{height} x {width} pixels of {channels} "
        f"channel{'s' * (channels > 1)}, 8-bit.{_shown(about)} Normalised they are "
        f"(pixels / 255 - mean) / std, with mean {_numbers(about['mean'])} and std "
        f"{_numbers(about['std'])} per channel.{inputs.known(about) or ' '}Outputs are "
        f"{data['classes']} logits, in the order of the classes below; the softmax of "
        "them are probabilities.",
        f"## Files\n\n{_files(about)}",
        f"## How to load it\n\n{_loading(about)}",
        f"## Intended use, and limits\n\n{_LIMITS} {_prior(about)}{_scaled(figures)}",
        f"## Training images of each class\n\n{_classes(about['classes'], data)}",
        f"## Versions\n\n{_versions(about['versions'])}",
    )
    return "\n\n".join(parts) + "\n"


def renewed(old, new):
    """The README `old` with those sections of `new` that are about files.

    All else in it may be its owner's, and stays. Where nothing is left, it is `new`.
    """
    if not old.strip():
        return new
    fresh = {_title(part): part for part in _sections(new)}
    kept = [
        fresh.pop(title, part) if (title := _title(part)) in _OF_FILES else part
        for part in _sections(old)
    ]
    kept += [fresh[title] for title in _OF_FILES if title in fresh]
    return "\n\n".join(part.rstrip() for part in kept) + "\n"


def _title(section):
    return section.partition("\n")[0].strip()


def _sections(text):
    return re.split(r"^(?=## )", text, flags=re.MULTILINE)


_OF_FILES = ("## Files", "## How to load it")
_LICENCE = (
    "**Not chosen yet.** Write here under which licence you give this model away, and "
    "what the licences of its images, and of weights it began with, ask for."
)
_UNITS = (
    "Accuracies in percent: of classes with more than 100 (many), 20 to 100 (medium) "
    "and fewer than 20 (few) training images as means over classes, of all images as a "
    "share. NLL in nats, ECE a fraction over 15 bins, Brier a sum over classes."
)
_LIMITS = (
    "For images like those it was trained and tested on, and for the classes below: it "
    "gives every image to one of them. The figures are means: what it is worth on a "
    "class with few training images rests on few images, and on few test images if "
    "that class has few. Nothing was measured about shifted images, about people or "
    "groups of them, or about attacks."
)


def _what(about):
    if about["backbone"] == "swa":
        network = (
            "The average of a network's weights over the end of its training (SWA)"
        )
    else:
        network = "A network's last weights"
    classifier = about["classifier"]
    if classifier.endswith("/none"):
        return f"{network}, with the classifier that they were trained with."
    if classifier.startswith(str(rows.headline())):
        re_trained = "re-trained on draws of a posterior over them (SRepr)"
        return f"{network}, with a classifier {re_trained}."
    return f"{network}, with a classifier made for it, `{classifier}`."


def _type(about):
    if about["trained_in"] == "float32":
        return ""
    return f" It was trained and tested in {about['trained_in']}; this is float32."


def _shown(about):
    """How files that hold more than 8-bit RGB became that."""
    parts = []
    if about["background"]:
        colour = inputs.cell(about["background"])
        parts.append(f" What is transparent is put before {colour}.")
    if about["range"]:
        low, high = about["range"]
        parts.append(
            f" Grey values of more than 8 bits are scaled so that {low:g} becomes 0 "
            f"and {high:g} 255."
        )
    return "".join(parts)


def _prior(about):
    """For which frequencies of classes the probabilities are meant."""
    if about["prior"] == prior.UNKNOWN:
        return f"Its probabilities assume {prior.UNKNOWN}."
    return (
        f"Its probabilities assume {about['prior']}; where others are known, multiply "
        "by their ratio and normalise."
    )


def _scaled(row):
    """How the row was calibrated, if it was."""
    if "calibration" not in row:
        return ""
    told, before = row["calibration"], row["calibration"]["before"]
    biases = " and a bias for each class" * ("bias" in told)
    return (
        f" Its logits are divided by a temperature, {told['temperature']:.4g}{biases}, "
        f"fitted on {told['images']} images held out of training (before: NLL "
        f"{before['nll']:.3f}, ECE {before['ece']:.3f})."
    )


def _figures(row):
    names = [name for _, name in _TITLES]
    values = [row["acc"][name] for name in names]
    cells = ["-" if value is None else f"{value:.2f}" for value in values]
    cells += [f"{row[name]:.3f}" for name in ("nll", "ece", "brier")]
    return inputs.table([*names, "NLL", "ECE", "Brier"], [cells])


def _files(about):
    rows = []
    for name, file in about["files"].items():
        difference = f"{file['largest_difference']:.1g}"
        rows.append([f"`{name}`", f"{file['bytes'] / 2**20:.2f} MiB", difference])
    return (
        inputs.table(["file", "size", "difference"], rows)
        + "\n\nThe difference is the largest of a logit from that of the run itself, "
        f"found by reading the file back on {about['checked_on']} generated images; "
        "relative where the logit is beyond 1 (of `posterior.npz`, of any number in "
        "it). `export.json` holds classes and numbers for programs."
    )


def _loading(about):
    files = about["files"]
    found = []
    shape = ", ".join(map(str, about["image"]))
    more, last = "", ""
    if "meta" in about:
        width = sum(part["width"] for part in about["meta"])
        last, more = ', "meta": known', f", and float32 `meta` [N, {width}]"
    if "model.onnx" in files:
        loaded = _ONNX.format(name="model", images="images", last=last)
        found.append(
            f"`model.onnx` takes the pixels as they are, uint8 [N, {shape}]{more}, any "
            f"N:\n\n{loaded}"
        )
    if "photo.onnx" in files:
        loaded = _ONNX.format(name="photo", images="photo", last=last)
        found.append(
            "`photo.onnx` takes one upright RGB photograph of any size, uint8 [H, W, 3]"
            f"{more.replace('N', '1')}, and scales and crops it as it was done for the "
            "figures; `examples/predict_in_onnx.py` and `server.py` of ltjax decode "
            "files as it was done then, and use it:"
            f"\n\n{loaded}"
        )
    tensors = [name for name in ("model.safetensors", "model.npz") if name in files]
    if tensors:
        found.append(_torch(about, tensors))
    if "posterior.npz" in files:
        fixed = about["model"].get("trained")
        found.append(_POSTERIOR + (_FIXED if fixed else ""))
    return "\n\n".join(found)


_ONNX = """```python
import onnxruntime

session = onnxruntime.InferenceSession("{name}.onnx")
logits, probabilities = session.run(None, {{"{images}": {images}{last}}})
```"""
_POSTERIOR = """`posterior.npz` is the Gaussian over the weights, with the classifier of
stage one; `examples/sample_in_numpy.py` of ltjax draws from it with NumPy alone,
`ltjax.posterior.archive.load` reads it. A draw needs batch-norm statistics of its own
(`ltjax.posterior.batch_norm.refresh`, on training images augmented as they were)."""
_FIXED = " The parts that were not trained are not in it."


def _torch(about, files):
    names = " and ".join(f"`{name}`" for name in files)
    if about["model"]["name"] == "metaformer":
        return (
            f"{names}: tensors of a PyTorch network under the names of MetaFormer's "
            "release (github.com/dqshuai/MetaFormer), for normalised images."
        )
    own = (
        f"{names}: tensors of a PyTorch network, which `examples/load_in_pytorch.py` "
        "of ltjax builds; it takes the pixels as they are."
    )
    known = TIMM.get(about["model"]["name"])
    if not known or "model.safetensors" not in files:
        return own
    shape = f"in_chans={about['image'][-1]}, num_classes={len(about['classes'])}"
    return f"""{own} timm has it too, for normalised images [N, channels, H, W]:

```python
model = timm.create_model("{known}", {shape})
model.load_state_dict(safetensors.torch.load_file("model.safetensors"))
```"""


def _classes(names, data):
    rows = [
        [str(label), inputs.cell(name), str(count)]
        for label, (name, count) in enumerate(zip(names, data["counts"]))
    ]
    told = ""
    if len(rows) > _MOST_CLASSES:
        rows.sort(key=lambda row: -int(row[2]))
        half = _MOST_CLASSES // 2
        told = f"The {half} largest and the {half} smallest; `export.json` has all.\n\n"
        rows = rows[:half] + rows[-half:]
    return told + inputs.table(["label", "class", "images"], rows)


def _versions(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _numbers(values):
    return ", ".join(f"{value:.6g}" for value in values)
