"""A row as an ONNX graph, from pixels to probabilities, and its run by ONNX Runtime."""

import contextlib
import importlib
import logging
import warnings
from importlib import metadata as packages

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.data import meta
from ltjax.export import tensors
from ltjax.mistake import Mistake
from ltjax.posterior.members import arguments
from ltjax.stages import trained

# The newest that ONNX Runtime has run for years, so that old ones read the file too.
_OPSET = 21
_ONNX = "onnx", "onnxruntime", "jax2onnx"
_PACKAGES = {"onnx": _ONNX, "photo": (*_ONNX, "onnxscript")}
_OUTPUTS = ["logits", "probabilities"]


def check(kind):
    """Raises `Mistake` where a package is missing that graphs of this kind need."""
    for name in _PACKAGES[kind]:
        _package(name, kind)


def forward(run, row_logits, params):
    """Builds `apply(images uint8 [N, H, W, ch]) -> logits, probabilities`, [N, C].

    Of a network that takes metadata it is `apply(images, meta float32 [N, K])`.
    """
    variables = {
        "params": trained.point(run)["features"],
        "batch_stats": tensors.statistics(run),
    }

    def apply(images, *known):
        batch = {"image": images, **dict(zip(("meta",), known))}
        # All in one: the converter knows a function within one of some versions only.
        with jax.disable_jit():
            inputs = arguments(run.prepare(batch))
            features = run.net.features.apply(variables, *inputs)
            features = run.net.head.inputs(features)
            found = row_logits(params, features)
            return found, jax.nn.softmax(found)

    return apply


def write(path, run, row_logits, params, metadata, shape=None):
    """Writes a row to an .onnx file, whose text "ltjax" is `metadata`.

    Its input `images`, `meta` of a network that takes metadata, and outputs `logits`
    and `probabilities` have any number of rows. With a `data.shape.Shape` it takes one
    `photo`, uint8 [H, W, 3] of any size, in the place of `images`, and brings it to
    that shape itself.
    """
    onnx = _package("onnx")
    image = run.results["dataset"]["image"]
    rows = jax.export.symbolic_shape("N")
    inputs = {"images": jax.ShapeDtypeStruct((*rows, *image), jnp.uint8)}
    if run.beside:
        width = meta.width(run.beside)
        inputs["meta"] = jax.ShapeDtypeStruct((*rows, width), jnp.float32)
    with _quiet(), _known_jax():
        model = _package("jax2onnx").to_onnx(
            forward(run, row_logits, params),
            list(inputs.values()),
            model_name="ltjax",
            opset=_OPSET,
            input_names=list(inputs),
            output_names=_OUTPUTS,
        )
    if shape is not None:
        from ltjax.export import photo  # late: it needs these packages

        model = photo.before(model, shape)
    model.metadata_props.add(key="ltjax", value=metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def run(path, images):
    """The logits and probabilities [N, C] that ONNX Runtime finds for uint8 images.

    Or for a batch {"image": ..., "meta": ...} where the graph takes metadata.
    """
    batch = dict(images) if isinstance(images, dict) else {"image": images}
    return _session(path).run(_OUTPUTS, {"images": batch.pop("image"), **batch})


def run_photos(path, photos, meta=None):
    """The same of photographs, uint8 [H, W, 3] each, by a graph that takes these."""
    session, found = _session(path), []
    for number, photo in enumerate(photos):
        known = {} if meta is None else {"meta": meta[number : number + 1]}
        found.append(session.run(_OUTPUTS, {"photo": photo, **known}))
    return [np.concatenate(parts) for parts in zip(*found)]


def _session(path):
    return _package("onnxruntime").InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )


def _package(name, kind="onnx"):
    try:
        with _quiet():
            return importlib.import_module(name)
    except ImportError as error:
        raise Mistake(
            f"--to {kind} needs the package {name}: pip install 'ltjax[export]'"
        ) from error


@contextlib.contextmanager
def _known_jax():
    """The converter reads names inside JAX, which a newer JAX may have dropped."""
    try:
        yield
    except AttributeError as error:
        raise Mistake(
            f"--to onnx: jax2onnx {packages.version('jax2onnx')} does not know jax "
            f"{jax.__version__} ({error}); it knows jax 0.10, and --to safetensors and "
            "npz need no converter"
        ) from error


@contextlib.contextmanager
def _quiet():
    """A context in which the converter does not tell what it lacks for other models."""
    loggers = [logging.getLogger(name) for name in ("jax2onnx", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
