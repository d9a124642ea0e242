"""A row as plain tensors: the mean network, its classifier folded into one layer."""

from functools import partial

import jax
import jax.numpy as jnp

from ltjax.classifier import METHODS
from ltjax.config import Linear
from ltjax.config.kind import told
from ltjax.mistake import Mistake
from ltjax.models import partition, pretrained, weights
from ltjax.models.network import Network
from ltjax.stages import system as systems
from ltjax.stages import trained


def check(row):
    """Raises `Mistake` for a row whose classifier is not one linear layer."""
    method = METHODS.get(row.classifier)  # None of no re-training
    if method and not method.AFFINE:
        raise Mistake(
            f"--classifier {row} is not one linear layer, as safetensors and npz "
            "need it; --to onnx holds it as it is"
        )


def check_network(model):
    """Raises `Mistake` for a `model` config whose network is more than stages in a row.

    Its features have to go into the linear layer as they are.
    """
    wrong = None
    if model.inner is not None:
        wrong = "model is joined with metadata"
    elif model.experts is not None:
        wrong = f"model is of {model.experts} experts"
    elif model.head != Linear():
        wrong = f"model.head is {model.head!r}"
    # What others load by these names is a network without.
    for name in ("shortcut", "gate", "activation", "corrected", "stem", "both"):
        usual = getattr(type(model), name, None)
        if getattr(model, name, usual) != usual:
            wrong = wrong or f"model.{name} is {getattr(model, name)!r}"
    if wrong:
        raise Mistake(
            f"{wrong}; safetensors and npz hold networks of stages in a row and one "
            "linear layer, --to onnx holds it as it is"
        )


def affine(logits, params, dim):
    """The linear layer {"kernel" [D, C], "bias" [C]} that equals an affine classifier.

    `logits(params, features [B, D])` is linearised at 0, where the derivative along
    each axis is a row of the kernel: no difference is taken, and none rounded.
    """
    bias, kernel = jax.jvp(
        partial(logits, params), (jnp.zeros((dim, dim)),), (jnp.eye(dim),)
    )
    return {"kernel": kernel, "bias": bias[0]}


def statistics(run):
    """The batch-norm statistics of those parameters."""
    return jax.tree.map(lambda leaf: leaf[0], run.batch_stats)


def variables(run, head):
    """The variables of the whole network under a linear `head`, the fixed ones too."""
    params = trained.point(run)["features"]
    features = {"params": params, "batch_stats": statistics(run)}
    whole = {
        kind: {"features": partition.merged(tree, run.fixed["trunk"].get(kind, {}))}
        for kind, tree in features.items()
    }
    for kind, tree in whole.items():
        given = run.fixed.get(kind, {}).get("features", {})
        tree["features"] = partition.merged(tree["features"], given)
    whole["params"]["head"] = head
    return whole


def write(path, run, row_logits, params, metadata):
    """Writes a row whose classifier is affine to a new .safetensors or .npz file."""
    dim = trained.point(run)["head"]["kernel"].shape[0]
    head = affine(row_logits, params, dim)
    weights.write(path, weights.to_tensors(variables(run, head)), metadata)


def logits(path, run, images):
    """The logits [N, C] of uint8 images under what `write` wrote.

    Or of a batch {"image": ..., "meta": ...} of a network that takes metadata.
    """
    batch = images if isinstance(images, dict) else {"image": images}
    data = run.results["dataset"]
    net = run.model.make(data["classes"])
    net = Network(net.features, net.head, takes=net.takes)  # as it predicts
    images = systems.pixels(batch["image"], (data["mean"], data["std"]))
    sized = pretrained.scaled(pretrained.none(), told(run.model, "side"))
    images = sized.trunk({}, images)
    inputs = [{**batch, "image": images}[name] for name in net.takes]
    like = jax.eval_shape(net.init, jax.random.key(0), *inputs)
    return jax.jit(net.apply)(weights.to_variables(weights.read(path), like), *inputs)
