"""A graph that takes photographs: as Pillow does it, and as `predict` says."""

import csv
import dataclasses
import io
import json
import threading
import urllib.error
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import Place, config_of

from ltjax.config import Classifier
from ltjax.data import decoding
from ltjax.data.shape import Shape
from ltjax.export import story
from ltjax.mistake import Mistake
from ltjax.predict import __main__ as predict
from ltjax.run import run

EXAMPLES = Path(__file__).parents[2] / "examples"
SHAPES = (
    Shape(32, 32, 3),
    Shape(24, 40, 3),
    Shape(32, 32, 1),
    Shape(64, 64, 3, area=0.08),
)
SIZES = (
    *((32, 32), (20, 50), (33, 40), (47, 31), (300, 200), (129, 517), (1000, 31)),
    *((640, 481), (97, 1003), (128, 128), (1, 1), (3, 2), (37, 700), (1, 900)),
)


def photograph(rng, height, width):
    """Smooth colours, with noise on them, uint8 [height, width, 3]."""
    few = rng.integers(0, 256, (height // 7 + 2, width // 7 + 2, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(few).resize((width, height)), int)
    noisy = smooth + rng.integers(-20, 21, smooth.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_photograph_is_scaled_and_cut_as_by_pillow(shape):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from ltjax.export import photo

    session = runtime.InferenceSession(photo.pixels(shape).SerializeToString())
    rng = np.random.default_rng(0)
    for size in SIZES:
        image = photograph(rng, *size)
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        with decoding.opened(file.getvalue()) as seen:
            wanted = shape.of_picture(seen).image
        ((found,),) = session.run(None, {"photo": image})
        assert found.shape == wanted.shape
        # Pillow rounds once more between blocks and triangle.
        difference = np.abs(found.astype(int) - wanted)
        assert difference.max() <= 2, size
        assert difference.mean() < 0.4, size


@pytest.fixture(scope="module")
def place(tmp_path_factory, compiled_once):
    heads = Classifier(methods=("srepr",), epochs=1, batch_size=16, views=1)
    return Place(tmp_path_factory.mktemp("place"), classifier=heads)


@pytest.fixture(scope="module")
def exported(place, tmp_path_factory):
    pytest.importorskip("jax2onnx")
    pytest.importorskip("onnxscript")
    out = tmp_path_factory.mktemp("exported") / "made"
    story.export(place.out, ("photo", "npz"), None, out, say=lambda line: None)
    return out


def test_twenty_photographs_get_the_labels_of_predict(
    place, exported, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import predict_in_onnx

    rng = np.random.default_rng(1)
    (tmp_path / "photos").mkdir()
    for number in range(17):
        image = photograph(rng, *rng.integers(9, 300, 2))
        Image.fromarray(image).save(tmp_path / "photos" / f"{number:02}.png")
    large = Image.fromarray(photograph(rng, 900, 1203))
    large.save(tmp_path / "photos" / "large.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    large.save(tmp_path / "photos" / "turned.jpg", exif=turned)
    clear = large.resize((40, 30)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((40, 30)))
    clear.save(tmp_path / "photos" / "clear.png")
    out = tmp_path / "found.csv"
    words = [str(place.out), str(tmp_path / "photos"), "--out", str(out)]
    assert predict.main(words) == 0
    with out.open() as file:
        told = {row["path"]: row["label"] for row in csv.DictReader(file)}
    network = predict_in_onnx.load(exported / "photo.onnx")
    assert len(told) == 20
    for name, label in told.items():
        (surest, sure), *_ = predict_in_onnx.predict(
            network, tmp_path / "photos" / name
        )
        assert surest == label
        assert 0.25 < sure <= 1  # of 4 classes
        with decoding.opened((tmp_path / "photos" / name).read_bytes(), 16) as seen:
            pixels = np.asarray(seen.image)
        found = predict_in_onnx.pixels(tmp_path / "photos" / name, network[1])
        assert np.abs(found.astype(int) - pixels).max() <= 1, name
    about = (exported / "README.md").read_text()
    assert '{"photo": photo}' in about
    assert "`model.onnx`" not in about


def test_the_server_answers_with_classes_or_says_what_is_wrong(exported, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import predict_in_onnx
    import server

    network = predict_in_onnx.load(exported / "photo.onnx")
    with ThreadingHTTPServer(("localhost", 0), server.handler(network)) as here:
        threading.Thread(target=here.serve_forever, daemon=True).start()
        place = f"http://localhost:{here.server_port}"
        file = io.BytesIO()
        image = photograph(np.random.default_rng(2), 50, 90)
        Image.fromarray(image).save(file, "PNG")
        with urllib.request.urlopen(place, file.getvalue()) as answer:
            told = json.load(answer)
        assert sum(each["p"] for each in told) == pytest.approx(1)
        assert told == sorted(told, key=lambda each: -each["p"])
        for data, code in ((b"no image", 400), (b"", 413)):
            with pytest.raises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(place, data)
            assert raised.value.code == code
            raised.value.close()
        asked = urllib.request.Request(place, b"x", {"Content-Length": "x"})
        with pytest.raises(urllib.error.HTTPError, match="413") as raised:
            urllib.request.urlopen(asked)
        raised.value.close()
        here.shutdown()


def test_photographs_have_three_channels(tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("jax2onnx")
    images = np.random.default_rng(3).integers(0, 256, (40, 8, 8, 2)).astype(np.uint8)
    labels = np.arange(40) % 4
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", image=images, label=labels)
    config = config_of(tmp_path)
    few = Classifier(methods=(), epochs=1, batch_size=16, views=1)
    run(dataclasses.replace(config, classifier=few), tmp_path / "run")
    with pytest.raises(Mistake, match=r"--to photo takes RGB photographs.*2 channels"):
        story.export(tmp_path / "run", ("photo",))
