"""A photograph in, classes out: no ltjax, no JAX, only ONNX Runtime and Pillow.

python -m ltjax.export RUN --to photo
python examples/predict_in_onnx.py RUN/export/photo.onnx photo.jpg ...
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MOST = 5  # classes that are told


def load(path):
    """The network of a file, and the names of its classes."""
    session = onnxruntime.InferenceSession(path)
    about = json.loads(session.get_modelmeta().custom_metadata_map["ltjax"])
    return session, about["classes"]


def predict(network, file):
    """The surest classes of an image file, [(name, probability)], the surest first."""
    session, classes = network
    photo = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    _, (found,) = session.run(None, {"photo": np.asarray(photo)})
    surest = np.argsort(-found)[:MOST]
    return [(classes[label], float(found[label])) for label in surest]


if __name__ == "__main__":
    path, *files = sys.argv[1:]
    network = load(path)
    for file in files:
        told = (f"{name} {sure:.1%}" for name, sure in predict(network, file))
        print(f"{file}: {', '.join(told)}")
