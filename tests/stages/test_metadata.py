"""A CSV with metadata: trained on, tested twice, predicted, exported, opened again."""

import csv
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from PIL import Image

from ltjax.config import (
    Augment,
    CifarResNet,
    Classifier,
    Config,
    CrossEntropy,
    Data,
    Joined,
    MetaFormer,
    Posterior,
    Sgd,
    Swa,
)
from ltjax.data import meta
from ltjax.data.augment import masking
from ltjax.export import story
from ltjax.mistake import Mistake
from ltjax.models.metaformer import Known
from ltjax.predict import __main__ as predict
from ltjax.predict import predictor
from ltjax.report import page, table
from ltjax.run import run
from ltjax.runtime.stopping import Stopped
from ltjax.stages import loader, loading, metadata, start, teacher, trained
from ltjax.stages import system as systems
from ltjax.workdir import results as results_of
from ltjax.workdir import rows

pytestmark = pytest.mark.usefixtures("compiled_once", "thin")

SITES = "arm", "back", "leg", "hand"
WORDS = "date", "site", "latitude", "longitude"


def draw(root, name, counts, seed):
    """A CSV of images that tell nothing, whose site does."""
    rng = np.random.default_rng(seed)
    with open(root / name, "w", newline="") as text:
        lines = csv.writer(text)
        lines.writerow(["path", "label", "split", *WORDS])
        for split, per_class in counts.items():
            for label, count in enumerate(per_class):
                for at in range(count):
                    file = f"{split}{label}_{at}.png"
                    noise = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
                    Image.fromarray(noise).save(root / file)
                    date = f"2018-{rng.integers(1, 13):02}-11 10:00:00"
                    site = SITES[label] if at % 4 else ""
                    place = rng.uniform(-80, 80, 2).round(2)
                    lines.writerow([file, f"c{label}", split, date, site, *place])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    draw(root, "photos.csv", {"train": (21, 16, 12, 8), "test": (8, 8, 8, 8)}, 0)
    return root


@pytest.fixture(scope="module")
def config(root):
    return Config(
        name="photos",
        data=Data(source="csv", path=str(root / "photos.csv"), size=8, meta=WORDS),
        augment=Augment(pad=1, flip=True, meta_share=0.5),
        model=CifarResNet(depth=8),
        optim=Sgd(epochs=30, warmup_epochs=1, batch_size=16, lr=0.1),
        swa=Swa(start=20, every_steps=1, rank=2),
        posterior=Posterior(samples=2, batch_size=20),
        classifier=Classifier(
            methods=("la", "ncm", "srepr"), epochs=8, batch_size=16, views=2
        ),
    )


@pytest.fixture(scope="module")
def done(config, root):
    out = root / "done"
    return out, run(config, out, tiny.quiet())


def pairs(results):
    """The rows with metadata and without, by name."""
    seen = {rows.Row.of(row): row for row in rows.told(results)}
    absent = {
        rows.Row.of(row)._replace(blind=""): row
        for row in results["rows"]
        if rows.Row.of(row).blind
    }
    return seen, absent


def test_every_row_is_told_twice(done):
    _, results = done
    seen, absent = pairs(results)
    assert seen.keys() == absent.keys()
    assert {row["meta"] for row in seen.values()} == {"seen"}
    assert {row["meta"] for row in absent.values()} == {"absent"}
    assert {str(row) for row in seen} >= {"sgd/none", "swa/srepr", "swag/la"}
    # Three of four sites are told; the images are noise.
    for name in ("swa/none", "swa/la", "swa/srepr", "swa/ncm"):
        row = rows.Row(*name.split("/"))
        assert seen[row]["acc"]["all"] > 60, name
        assert absent[row]["acc"]["all"] < 50, name


def test_what_the_columns_became_is_kept(done):
    out, _ = done
    told = json.loads((out / "meta.json").read_text())
    assert [part["kind"] for part in told["parts"]] == ["time", "place", "category"]
    assert told["parts"][2]["known"] == sorted(SITES)
    # A quarter of each class: 6 + 4 + 3 + 2 to train on, and 8 of the test.
    assert told["silent"] == {"date": 0, "latitude": 0, "longitude": 0, "site": 23}
    opened = trained.read(out)
    assert [part.width for part in opened.beside] == [4, 3, 4]
    assert meta.width(opened.beside) == 11


def test_the_page_and_the_table_say_what_it_is_worth(done):
    out, results = done
    html = page.of_run(results_of.read(out))
    assert "What metadata are worth" in html
    assert "one of 4 categories" in html
    assert "without metadata" in html
    notes = " ".join(table.notes(results))
    assert "if no metadata were known: many -" in notes
    names = {line.name for line in table.lines(results)}
    assert names == {table.label(row) for row in rows.told(results)} - {
        "SWA + SRepr (c-mean)"
    }


def predicted(*command):
    assert predict.main([*map(str, command)]) == 0
    with open(command[-1], newline="") as text:
        return list(csv.DictReader(text))


def test_predictions_from_a_csv(done, root, tmp_path, capsys):
    out, results = done
    test = rows.Row("swa", "la")
    got = predicted(
        out, root / "photos.csv", "--classifier", "swa/la", "--out", tmp_path / "a.csv"
    )
    told = capsys.readouterr().err
    assert "metadata: date, latitude, longitude, site; missing, of 89 rows" in told
    assert "site in 23" in told
    right = [
        row["label"] == f"c{row['path'][4]}"
        for row in got
        if row["path"].startswith("test")
    ]
    wanted = pairs(results)[0][test]["acc"]["all"]
    np.testing.assert_allclose(100 * np.mean(right), wanted, atol=1e-9)


def test_predictions_without(done, root, tmp_path, capsys):
    out, results = done
    with open(root / "photos.csv", newline="") as text:
        lines = [line for line in csv.reader(text) if "train" not in line[2]]
    for name, columns in (("bare.csv", 1), ("some.csv", 4)):
        with open(root / name, "w", newline="") as text:
            csv.writer(text).writerows(line[:columns] for line in lines)
    command = out, root / "bare.csv", "--classifier", "swa/la", "--out"
    got = predicted(*command, tmp_path / "b.csv")
    told = capsys.readouterr().err
    assert "these images come without: predicted as if nothing were known" in told
    right = [row["label"] == f"c{row['path'][4]}" for row in got]
    wanted = pairs(results)[1][rows.Row("swa", "la")]["acc"]["all"]
    np.testing.assert_allclose(100 * np.mean(right), wanted, atol=1e-9)
    predicted(out, root / "some.csv", "--out", tmp_path / "c.csv")
    told = capsys.readouterr().err
    assert "missing, of 32 rows: latitude in 32, longitude in 32, site in 32" in told


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("soon", "line 2: date is 'soon', as are 32 of 32 no dates; the run has"),
        ("95", "line 2: latitude is 95; it must be in -90..90 degrees"),
    ],
)
def test_metadata_of_another_kind(done, root, tmp_path, capsys, cell, told):
    out, _ = done
    column = 3 if cell == "soon" else 5
    with open(root / "photos.csv", newline="") as text:
        lines = [line for line in csv.reader(text) if "train" not in line[2]]
    for line in lines[1:]:
        line[column] = cell
    with open(root / "wrong.csv", "w", newline="") as text:
        csv.writer(text).writerows(lines)
    words = [str(out), str(root / "wrong.csv"), "--out", str(tmp_path / "d.csv")]
    assert predict.main(words) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "d.csv").exists()


def test_images_alone_are_as_if_nothing_were_known(done):
    out, _ = done
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    see = predictor.on_images(predictor.of_row(out, rows.Row("swa", "srepr")))
    nothing = {"image": images, "meta": np.zeros((5, 11), np.float32)}
    np.testing.assert_array_equal(see(images).log_probs, see(nothing).log_probs)
    known = {"image": images, "meta": np.eye(11, dtype=np.float32)[[7] * 5]}
    assert not np.allclose(see(images).log_probs, see(known).log_probs, atol=1e-3)


def test_an_export_takes_two_inputs(done, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("jax2onnx")
    out, _ = done
    made = tmp_path / "made"
    story.export(out, ("onnx",), "swa/la", made, say=lambda line: None)
    session = runtime.InferenceSession(str(made / "model.onnx"))
    shapes = {each.name: each.shape[1:] for each in session.get_inputs()}
    assert shapes == {"images": [8, 8, 3], "meta": [11]}
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    known = np.eye(11, dtype=np.float32)[[0, 7, 9]]
    logits, _ = session.run(None, {"images": images, "meta": known})
    see = predictor.on_images(predictor.of_row(out, rows.Row("swa", "la")))
    wanted = see({"image": images, "meta": known}).log_probs
    np.testing.assert_allclose(jax.nn.log_softmax(logits), wanted, atol=1e-4)
    card = (made / "README.md").read_text()
    assert "A second input is what is known beside the image, 11 numbers" in card
    assert "| 7 to 10 | site, one of 4 categories: 4 numbers | 1 for one of arm" in card
    assert '{"images": images, "meta": known}' in card
    with pytest.raises(Mistake, match="model is joined with metadata; safetensors"):
        story.export(out, ("npz",), "swa/la", tmp_path / "other")


def test_it_goes_on_where_it_was_stopped(config, done, tmp_path):
    asked = 0

    def stopping():
        nonlocal asked
        asked += 1
        return 75 if asked % 9 == 0 else None

    stops = 0
    while True:
        try:
            results = run(config, tmp_path / "x", tiny.quiet(), stopping=stopping)
            break
        except Stopped:
            stops += 1
    assert stops > 1
    assert tiny.timeless(results) == tiny.timeless(done[1])


def test_other_metadata_are_another_run(config, done):
    out, _ = done
    other = dataclasses.replace(config.data, meta=("date", "site"))
    with pytest.raises(Mistake, match=r"data\.meta was \['date', 'site', 'latitude'"):
        run(dataclasses.replace(config, data=other), out, tiny.quiet())


def planned(config):
    """The data, the system and the loader of a config."""
    data = loading.load(config.data, tiny.quiet(), config.augment)
    order = loader.order(config, data)
    told = teacher.of_config(config, data)
    return data, systems.of(config, data, order.task, told), order


@pytest.mark.parametrize("mixing", [True, False])
def test_a_step_sees_masked_and_mixed_metadata(config, mixing):
    config = dataclasses.replace(
        config,
        augment=Augment(meta_masking="constant", meta_share=0.25, meta_mixing=mixing),
        objective=CrossEntropy(mixup=1.0),
    )
    data, system, _ = planned(config)
    some = np.arange(16) * 3
    batch = {
        name: jnp.asarray(getattr(data.train, name)[some])
        for name in ("image", "label", "meta")
    }
    fixed = {"trunk": {}, "teacher": {}}
    state = tiny_state(3)
    key = jax.random.key(5)
    found = systems.prepare(system, fixed, key, state, batch)
    images, known = found["image"]
    assert images.shape == (16, 8, 8, 3)
    assert "lam" not in found
    masked = ~np.asarray(known).any(1)
    assert masked.sum() == 4
    own = np.asarray(batch["meta"])
    if not mixing:
        np.testing.assert_array_equal(known[~masked], own[~masked])
        return
    # The share of the labels is that of the metadata.
    at = int(np.flatnonzero(batch["label"] != batch["label"][::-1])[0])
    lam = found["targets"][at, batch["label"][at]]
    wanted = lam * own + (1 - lam) * own[::-1]
    np.testing.assert_allclose(known[~masked], wanted[~masked], atol=1e-6)


def tiny_state(number):
    return type("State", (), {"step": jnp.int32(number), "memory": ()})()


def test_masks_fall_with_the_epochs():
    how = masking.make("linear", 1.0, True, steps=7, epochs=4)
    shares = [float(how.share(jnp.int32(step))) for step in range(0, 35, 7)]
    assert shares == [1, 0.75, 0.5, 0.25, 0]
    assert float(how.share(jnp.int32(6))) == 1
    assert how.views == 0.5
    assert masking.make("none", 1.0, True, 7, 4).share(0) == 0
    constant = masking.make("constant", 0.3, True, 7, 4)
    assert (constant.share(27), constant.views) == (0.3, 0.3)


@pytest.mark.parametrize("epochs", [3, 10, 300])
def test_as_many_are_masked_as_released(epochs):
    rows = np.ones((50, 2), np.float32)
    how = masking.make("linear", 1.0, True, steps=1, epochs=epochs)
    for epoch in range(0, epochs, max(1, epochs // 10)):
        wanted = int(50 * (epochs - epoch) / epochs + 1e-9)
        found = masking.some(jax.random.key(epoch), rows, how.share(epoch))
        assert int((~np.asarray(found).any(1)).sum()) == wanted


def test_views_of_stage_two_lack_some_metadata(config):
    data, system, _ = planned(config)
    batch = {"image": data.train.image, "meta": data.train.meta}
    seen = metadata.in_view(system.masking, jax.random.key(0), batch)
    lacks = ~np.asarray(seen["meta"]).any(1)
    assert lacks.sum() == len(lacks) // 4  # the mean of a share that falls from 1 / 2
    kept = np.asarray(seen["meta"])[~lacks]
    np.testing.assert_array_equal(kept, data.train.meta[~lacks])


def test_every_network_is_joined_late(config):
    made = start.of(config.model, 4, 3, (4, 3))
    assert made.net.takes == ("image", "meta")
    images, known = jnp.zeros((2, 8, 8, 3)), jnp.ones((2, 7))
    variables = made.net.init(jax.random.key(0), images, known)
    features = made.net.features.apply(
        {kind: tree["features"] for kind, tree in variables.items()}, images, known
    )
    params = variables["params"]["features"]
    assert params.keys() == {"body", "beside"}
    wide = Known(64).apply({"params": params["beside"]}, known)[:, 0] / 8
    np.testing.assert_allclose(features[:, -64:], wide, rtol=1e-6)
    body = config.model.body()
    own = {kind: tree["features"]["body"] for kind, tree in variables.items()}
    np.testing.assert_array_equal(features[:, :-64], body.apply(own, images))


def test_metaformer_takes_what_the_data_give(config):
    small = MetaFormer(size=0, image=32)
    assert start.of(small, 4, 3, (4, 3)).net.features.meta == (4, 3)
    assert start.of(small, 4, 3).net.takes == ("image",)
    without = MetaFormer(size=0, image=32, meta=())
    assert start.of(without, 4, 3, (4, 3)).net.takes == ("image",)
    with pytest.raises(Mistake, match=r"model.meta is \(4, 2\), of 6 numbers; the"):
        start.of(MetaFormer(size=0, meta=(4, 2)), 4, 3, (4, 3))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"model": MetaFormer(image=32)},
            "model.image is 32, and images are 8 x 8 pixels; give that size, or bring "
            "images to it: --data.size",
        ),
        (
            {"model": Joined(of=MetaFormer(meta=(4, 3)))},
            "model.of is MetaFormer(",
        ),
    ],
)
def test_networks_that_do_not_fit(config, tmp_path, changes, told):
    with pytest.raises(Mistake) as caught:
        run(dataclasses.replace(config, **changes), tmp_path / "x", tiny.quiet())
    assert str(caught.value).startswith(told)


def test_a_join_without_metadata_is_refused(config, tmp_path):
    data = dataclasses.replace(config.data, meta=())
    with pytest.raises(Mistake, match=r"model is Joined, and data.meta is \(\)"):
        run(
            dataclasses.replace(config, data=data, model=Joined()),
            tmp_path / "x",
            tiny.quiet(),
        )
