"""A photograph in, classes out: no ltjax, no JAX, only ONNX Runtime and Pillow.

python -m ltjax.export RUN --to photo
python examples/predict_in_onnx.py RUN/export/photo.onnx photo.jpg ...

For files of 8 bits. Metadata inputs, if any, are zeros.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MOST = 5  # classes that are told


def load(path):
    """The network of a file, and what it tells of itself."""
    session = onnxruntime.InferenceSession(path)
    return session, json.loads(session.get_modelmeta().custom_metadata_map["ltjax"])


def pixels(file, about):
    """An image file as the network was trained to see it, uint8 [H, W, 3]."""
    with Image.open(file) as image:
        # A large JPEG is decoded at a fraction of its size.
        image.draft(None, (about["least_side"],) * 2)
        upright = ImageOps.exif_transpose(image)
        if about["background"] is not None and upright.has_transparency_data:
            behind = Image.new("RGBA", upright.size, about["background"])
            upright = Image.alpha_composite(behind, upright.convert("RGBA"))
        return np.asarray(upright.convert("RGB"))


def predict(network, file):
    """The surest classes of an image file, [(name, probability)], the surest first."""
    session, about = network
    inputs = {
        each.name: np.zeros((1, *each.shape[1:]), np.float32)
        for each in session.get_inputs()
        if each.name != "photo"
    }
    _, (found,) = session.run(None, {"photo": pixels(file, about), **inputs})
    surest = np.argsort(-found)[:MOST]
    return [(about["classes"][label], float(found[label])) for label in surest]


if __name__ == "__main__":
    path, *files = sys.argv[1:]
    network = load(path)
    for file in files:
        told = (f"{name} {sure:.1%}" for name, sure in predict(network, file))
        print(f"{file}: {', '.join(told)}")
