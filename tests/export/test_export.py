"""The command `export`: files that are read back, a card, and nothing half done."""

import json
import os
import runpy
import shutil
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Place

from ltjax.classifier import heads
from ltjax.config import Classifier
from ltjax.export import __main__ as export
from ltjax.export import graph, story, tensors
from ltjax.export import place as folder
from ltjax.mistake import Mistake
from ltjax.models import weights
from ltjax.posterior import archive
from ltjax.stages import trained
from ltjax.stages.loading import load
from ltjax.workdir import rows

pytestmark = pytest.mark.usefixtures("compiled_once")
LOADER = Path(__file__).parents[2] / "examples" / "load_in_pytorch.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory, compiled_once):
    """A finished run of few classifiers, and of a ResNet, whose layers files name."""
    heads = Classifier(methods=("ncm", "la", "srepr"), epochs=1, batch_size=16, views=1)
    return Place(tmp_path_factory.mktemp("place"), classifier=heads)


def test_what_a_row_cannot_be(place, tmp_path):
    for kind, row, words in (
        ("posterior", "sgd/la", "needs a row of swa; sgd/la is a point"),
        ("npz", "swa/ncm", "is not one linear layer"),
    ):
        with pytest.raises(Mistake, match=words):
            story.export(place.out, (kind,), row, tmp_path / "no")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def exported(place, tmp_path_factory):
    """The folder of an export without its graph."""
    out = tmp_path_factory.mktemp("exported") / "made"
    words = [str(place.out), "--to", "npz", "--to", "posterior", "--out", str(out)]
    assert export.main(words) == 0
    return out


def test_a_folder_of_files_and_what_they_are(place, exported):
    assert {file.name for file in exported.iterdir()} == {
        *("README.md", "export.json", "model.npz", "posterior.npz")
    }
    about = json.loads((exported / "export.json").read_text())
    row = next(
        row
        for row in place.results["rows"]
        if (row["backbone"], row["classifier"], row["variant"]) == ("swa", "srepr", "")
    )
    assert about["classifier"] == "swa/srepr"
    assert about["figures"] == row
    assert about["counts"] == [24, 13, 7, 4]
    assert about["image"] == [8, 8, 1]
    assert about["model"] == {"name": "cifar_resnet", "depth": 8, "width": 4}
    for name, file in about["files"].items():
        assert file["bytes"] == (exported / name).stat().st_size
        assert 0 <= file["largest_difference"] <= about["tolerance"] == 1e-3
    assert about["files"]["posterior.npz"]["largest_difference"] == 0
    with np.load(exported / "model.npz", allow_pickle=False) as file:
        inside = json.loads(str(file["metadata"]))
    assert inside == {name: about[name] for name in inside}
    assert {"classes", "mean", "std", "image", "classifier"} <= inside.keys()


def test_the_files_see_the_test_images_as_the_run_does(place, exported):
    run = trained.read(place.out)
    images = load(place.config.data).test.image
    z = trained.test_features(run)
    log_probs = heads.one_pass(*trained.logits(run, "srepr"))(z)
    found = jax.nn.log_softmax(tensors.logits(exported / "model.npz", run, images))
    np.testing.assert_allclose(found, log_probs, rtol=1e-4, atol=1e-4)
    state, stats = archive.load(exported / "posterior.npz")
    jax.tree.map(np.testing.assert_array_equal, state, run.weights)
    mean = jax.tree.map(lambda leaf: leaf[0], run.batch_stats)
    jax.tree.map(np.testing.assert_array_equal, stats, mean)


def test_pytorch_sees_them_so_too(place, exported):
    torch = pytest.importorskip("torch")
    run = trained.read(place.out)
    images = load(place.config.data).test.image
    with torch.no_grad():
        model = runpy.run_path(str(LOADER))["load"](exported)
        found = model(torch.from_numpy(images)).log_softmax(-1)
    z = trained.test_features(run)
    log_probs = heads.one_pass(*trained.logits(run, "srepr"))(z)
    np.testing.assert_allclose(found, log_probs, rtol=1e-4, atol=1e-4)


def test_onnx_runtime_gives_the_probabilities_of_a_row(place, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("jax2onnx")
    before = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    said = []
    about = story.export(
        place.out, ("onnx",), "swa/ncm", tmp_path / "made", say=said.append
    )
    assert said[0].startswith("model.onnx: 0.0")
    assert "largest difference" in said[0]
    path = tmp_path / "made" / "model.onnx"
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (pixels,) = session.get_inputs()
    assert (pixels.name, pixels.type) == ("images", "tensor(uint8)")
    assert pixels.shape == ["N", 8, 8, 1]
    inside = json.loads(session.get_modelmeta().custom_metadata_map["ltjax"])
    assert inside["classifier"] == about["classifier"] == "swa/ncm"

    run = trained.read(place.out)
    images = load(place.config.data).test.image
    z = trained.test_features(run)
    log_probs = np.asarray(heads.one_pass(*trained.logits(run, "ncm"))(z))
    for count in (1, 7, len(images)):
        logits, probabilities = session.run(None, {"images": images[:count]})
        np.testing.assert_allclose(
            probabilities, np.exp(log_probs[:count]), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            jax.nn.log_softmax(logits), log_probs[:count], rtol=1e-4, atol=1e-4
        )
    # The converter leaves JAX as it was.
    again = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    np.testing.assert_array_equal(before, again)
    assert jnp.ones(1).dtype == jnp.float32


def test_a_converter_older_than_jax_is_one_line(monkeypatch):
    converter = pytest.importorskip("jax2onnx")

    def to_onnx(*args, **options):
        return jax.no_longer_there

    monkeypatch.setattr(converter, "to_onnx", to_onnx)
    results = {"dataset": {"image": [8, 8, 1]}}
    run = types.SimpleNamespace(results=results, beside=())
    monkeypatch.setattr(graph, "forward", lambda *_: None)
    wanted = r"^--to onnx: jax2onnx \S+ does not know jax \S+ \(.*no_longer_there.*$"
    with pytest.raises(Mistake, match=wanted):
        graph.write(Path("model.onnx"), run, None, None, "")


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def copied(place, exported, tmp_path):
    """A copy of the run with the export of swa/srepr in it, npz and posterior."""
    copy = tmp_path / "run"
    shutil.copytree(place.out, copy)
    shutil.copytree(exported, copy / "export")
    return copy


@pytest.fixture
def quickly(exported, monkeypatch):
    """Files of an export are copied, not made."""
    told = json.loads((exported / "export.json").read_text())["files"]

    def written(part, run, row, kinds, about):
        names = [folder.FILES[kind] for kind in kinds]
        for name in names:
            shutil.copy(exported / name, part / name)
        return {name: told[name] for name in names}

    monkeypatch.setattr(story, "_written", written)


def refused(capsys, out, *words):
    """What an export says that is refused and leaves all as it was."""
    before = contents(out)
    capsys.readouterr()
    assert export.main(list(map(str, words))) == 2
    assert contents(out) == before
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_a_row_takes_the_place_of_another_only_when_asked(copied, capsys):
    out = copied / "export"
    words = [str(copied), "--to", "npz", "--classifier", "sgd/la"]
    assert refused(capsys, out, *words) == (
        f"ltjax: --out {out} holds swa/srepr, not sgd/la; give another --out, or "
        "--overwrite to replace all of it\n"
    )
    theirs = {entry.name for entry in copied.iterdir()}
    # What is not ours is not removed.
    (out / "mine.txt").write_text("kept")
    assert "holds other files" in refused(capsys, out, *words, "--overwrite")
    (out / "mine.txt").unlink()
    assert export.main([*words, "--overwrite"]) == 0
    assert f"swa/srepr, which was in {out}, is replaced" in capsys.readouterr().out
    names = {"README.md", "export.json", "model.npz"}
    assert contents(out).keys() == names
    text = (out / "README.md").read_text()
    assert text.startswith("# CIFAR ResNet-8, ")
    assert "`sgd/la`" in text
    assert {entry.name for entry in copied.iterdir()} == theirs
    # Without an earlier one, the folder is the same.
    shutil.rmtree(out)
    assert export.main(words) == 0
    assert contents(out).keys() == names


def test_a_format_is_added_beside_those_of_the_same_row(place, exported, tmp_path):
    out, whole = tmp_path / "added", tmp_path / "whole"
    export_to = [str(place.out), "--out", str(out), "--to"]
    assert export.main([*export_to, "posterior"]) == 0
    card = (out / "README.md").read_text()
    assert "model.npz" not in card
    # Of the owner, who may have files of their own there, too.
    licence = "## Licence\n\nCC0, of mine.\n\n## Thanks\n\nTo all.\n\n## Fig"
    card = card.replace(
        card[card.index("## Licence") : card.index("## Fig") + 6], licence
    )
    (out / "README.md").write_text(card + "\nThe end.\n")
    (out / "LICENSE").write_text("CC0")
    before = contents(out)
    assert export.main([*export_to, "npz"]) == 0
    after = contents(out)
    assert after.keys() == before.keys() | {"model.npz"}
    for name in ("posterior.npz", "LICENSE"):
        assert after[name] == before[name]
    # All the same as if both had been asked for at once, but for what is the owner's.
    assert after["export.json"] == (exported / "export.json").read_bytes()
    assert after["model.npz"] == (exported / "model.npz").read_bytes()
    kept = (out / "README.md").read_text()
    at_once = (exported / "README.md").read_text()
    for title in ("## Files", "## How to load it", "## Figures", "## Versions"):
        section = at_once.split(title)[1].split("\n## ")[0].strip()
        assert section in kept
    assert licence in kept
    assert kept.endswith("\n\nThe end.\n")
    assert not whole.exists()


def test_a_format_that_is_there_is_made_again_only_when_asked(copied, quickly, capsys):
    out = copied / "export"
    before = contents(out)
    (out / "model.npz").write_bytes(b"damaged")
    for words in ((), ("--to", "posterior")):
        told = refused(capsys, out, copied, "--to", "npz", *words)
        assert "holds model.npz already; --overwrite makes it again" in told
    assert export.main([str(copied), "--to", "npz", "--overwrite"]) == 0
    assert contents(out) == before
    # One that its owner has deleted is not there, and no longer told of.
    (out / "posterior.npz").unlink()
    assert export.main([str(copied), "--to", "npz", "--overwrite"]) == 0
    about = json.loads((out / "export.json").read_text())
    assert about["files"].keys() == {"model.npz"}
    assert "is the Gaussian over the weights" not in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("seed", 1, "its seed differs"),
        ("classes", ["a", "b", "c", "d"], "its classes differ"),
        ("weights", "0" * 16, "its weights differ"),
        ("weights", None, "its weights differ"),  # of an earlier version
    ],
)
def test_another_run_is_refused(copied, quickly, capsys, field, value, why):
    out = copied / "export"
    about = json.loads((out / "export.json").read_text())
    (out / "export.json").write_text(json.dumps({**about, field: value}))
    (out / "model.npz").unlink()
    told = refused(capsys, out, copied, "--to", "npz")
    assert told == (
        f"ltjax: --out {out} holds swa/srepr, of another run: {why}; give another "
        "--out, or --overwrite to replace all of it\n"
    )
    assert export.main([str(copied), "--to", "npz", "--overwrite"]) == 0
    assert contents(out).keys() == {"README.md", "export.json", "model.npz"}


def test_the_digest_is_of_this_row_of_this_run(place, exported):
    weights = json.loads((exported / "export.json").read_text())["weights"]
    run = trained.read(place.out)
    row = rows.Row("swa", "srepr")
    assert story.digest(run, row) == weights
    others = {
        story.digest(run, rows.Row("swa", "la")),
        story.digest(trained.read(place.out, "sgd"), rows.Row("sgd", "la")),
        story.digest(
            run._replace(batch_stats=jax.tree.map(lambda x: x + 1, run.batch_stats)),
            row,
        ),
    }
    assert len(others | {weights}) == 4


@pytest.mark.parametrize("at", range(3))
def test_an_export_that_is_stopped_loses_nothing(copied, quickly, monkeypatch, at):
    """Whichever move of a file is the last, all that was there can still be had."""
    out, moves, replace = copied / "export", [], os.replace
    (out / "model.npz").unlink()
    about = json.loads((out / "export.json").read_text())
    del about["files"]["model.npz"]
    (out / "export.json").write_text(json.dumps(about))
    before = contents(out)

    def stopping(source, target):
        if "export" in str(target) and len(moves) == at:
            raise KeyboardInterrupt
        moves.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        story.export(copied, ("npz",), say=lambda line: None)
    monkeypatch.undo()
    after = contents(out)
    for name in ("posterior.npz", "export.json"):
        assert after[name] == before[name]
    story.export(copied, ("npz",), say=lambda line: None)
    about = json.loads((out / "export.json").read_text())
    assert about["files"].keys() == {"model.npz", "posterior.npz"}
    assert {entry.name for entry in copied.iterdir() if "export" in entry.name} == {
        "export"
    }


def test_a_kill_between_two_folders_loses_nothing(copied):
    """As it is left where the earlier folder is away and the next is not yet there."""
    out = copied / "export"
    before = contents(out)
    out.rename(f"{out}.part.before")
    shutil.copytree(f"{out}.part.before", f"{out}.part")
    with pytest.raises(Mistake, match=r"holds model\.npz already"):
        story.export(copied, ("npz",), say=lambda line: None)
    assert contents(out) == before


@pytest.mark.parametrize("kind", ["npz", "posterior"])
def test_a_file_that_differs_is_not_kept(place, tmp_path, monkeypatch, kind):
    plain, save = weights.to_tensors, archive.save

    def other(variables):
        found = plain(variables)
        return found | {"bn1.bias": found["bn1.bias"] + 0.01}

    def moved(path, state, stats):
        save(path, state.replace(mean=jax.tree.map(lambda x: x + 1, state.mean)), stats)

    monkeypatch.setattr(weights, "to_tensors", other)
    monkeypatch.setattr(archive, "save", moved)
    with pytest.raises(RuntimeError, match=r"differs by .* more than 0\.001"):
        story.export(place.out, (kind,), out=tmp_path / "a" / "b")
    assert list((tmp_path / "a").iterdir()) == []


def test_a_missing_package_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(graph.importlib, "import_module", missing)
    with pytest.raises(Mistake, match=r"needs the package onnx: pip install 'ltjax\["):
        graph.check("onnx")


def test_the_compute_type_may_be_another(place):
    run = trained.read(place.out, dtype="bfloat16")
    assert run.net.features.dtype == jnp.bfloat16
    assert trained.read(place.out).net.features.dtype == jnp.float32
