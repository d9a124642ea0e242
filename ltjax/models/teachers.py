"""Released teachers of DeiT-LT, by the names of their files.

ResNet-32 for images of 32 pixels, or torchvision's ResNet-50: trained by LDAM, with a
cosine classifier, or by PaCo, whose file holds a second encoder, projections and a
queue, all of which are left aside.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ltjax.mistake import Mistake
from ltjax.models import heads, resnet, weights
from ltjax.models.cifar_resnet import CifarResNet
from ltjax.models.network import Network

_ENCODER, _PARALLEL = "encoder_q.", "module."
# Mean and deviation of the pixels that they were trained with.
_CIFAR = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
_IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Released(NamedTuple):
    """A network and its weights."""

    net: Network
    variables: dict
    classes: int
    size: int | None  # of its images, in pixels; None: any
    moments: tuple  # mean and deviation of their pixels


def read(path):
    """The `Released` teacher in a `.safetensors` or `.npz` file.

    Raises `Mistake` for a file of another network.
    """
    tensors = _own(weights.read(path))
    stem, head = tensors.get("conv1.weight"), tensors.get("linear.weight")
    if stem is None or head is None:
        missing = "conv1.weight" if stem is None else "linear.weight"
        raise Mistake(
            f"{path} has no tensor {missing!r}; it must be a teacher that DeiT-LT "
            "released, or the folder of a run"
        )
    large = stem.shape[-1] == 7
    body = resnet.resnet50() if large else CifarResNet(32)
    if "linear.bias" in tensors:
        classes = len(head)
        net = Network(body, heads.Linear(classes))
    else:
        # [features, classes] there: the only one that lies so.
        tensors["linear.weight"], classes = head.T, head.shape[1]
        net = Network(body, heads.Cosine(classes))
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    like = jax.eval_shape(net.init, jax.random.key(0), image)
    return Released(
        net=net,
        variables=weights.to_variables(tensors, like, path),
        classes=classes,
        size=None if large else 32,
        moments=_IMAGENET if large else _CIFAR,
    )


def _own(tensors):
    """Those of the encoder and the classifier, by the names of a ResNet."""
    tensors = {k.removeprefix(_PARALLEL): array for k, array in tensors.items()}
    if not any(name.startswith(_ENCODER) for name in tensors):
        return tensors
    found = {
        name.removeprefix(_ENCODER): array
        for name, array in tensors.items()
        if name.startswith(_ENCODER) and not name.startswith(f"{_ENCODER}fc.")
    }
    return found | {k: tensors[k] for k in tensors if k.startswith("linear.")}
