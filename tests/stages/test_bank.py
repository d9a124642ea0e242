"""Where features lie changes nothing: on a device, in memory, in a file."""

import dataclasses
import io
import shutil

import numpy as np
import pytest
from rich.console import Console
from tiny import Place, quiet, timeless

from ltjax.config import Classifier
from ltjax.mistake import Mistake
from ltjax.run import run
from ltjax.runtime.stopping import Stopped
from ltjax.stages import bank, memory, trained
from ltjax.stages import features as looks
from ltjax.stages.loading import load
from ltjax.workdir import feature_file
from ltjax.workdir.files import read_json


@pytest.fixture(scope="module")
def place(tmp_path_factory, thin):
    """A finished run of few classifiers, whose features lay on the device."""
    heads = Classifier(methods=("ncm", "la", "srepr"), epochs=2, batch_size=16, views=2)
    return Place(tmp_path_factory.mktemp("place"), classifier=heads)


def full(monkeypatch):
    """A device that has no room for features."""
    monkeypatch.setattr(memory, "device_has_room", lambda count: False)


def changed(place, **classifier):
    settings = dataclasses.replace(place.config.classifier, **classifier)
    return dataclasses.replace(place.config, classifier=settings)


def outcome(out):
    found = timeless(read_json(out / "results.json")), read_json(out / "classes.json")
    files = sorted((out / "checkpoints").glob("features/*/*.npy"))
    return found, {f"{f.parent.name}/{f.name}": feature_file.loaded(f) for f in files}


@pytest.fixture(scope="module")
def held(place, tmp_path_factory):
    """The run folder of the same run with features in memory."""
    out = tmp_path_factory.mktemp("held") / "x"
    with pytest.MonkeyPatch.context() as patch:
        full(patch)
        run(place.config, out, quiet())
    return out


def test_a_bank_in_a_file_is_that_in_memory_bit_for_bit(
    place, held, tmp_path, monkeypatch
):
    full(monkeypatch)
    take, kinds = looks.take, set()

    def taking(*args):
        found = take(*args)
        kinds.update(type(z) for z in (found.plain, found.test, found.view(0, True)))
        return found

    monkeypatch.setattr(looks, "take", taking)
    results = run(changed(place, bank="file"), tmp_path / "x", quiet())
    assert kinds == {np.memmap}
    found, features = outcome(tmp_path / "x")
    wanted, theirs = outcome(held)
    assert found == wanted
    assert features.keys() == theirs.keys()
    assert {"sgd/view1.npy", "swa/plain.npy", "swa/test.npy"} <= features.keys()
    for name, array in features.items():
        assert array.tobytes() == theirs[name].tobytes(), name
    # It is the same run, whichever way; on the device batches may round otherwise.
    assert timeless(run(place.config, tmp_path / "x", quiet())) == timeless(results)
    for row, other in zip(results["rows"], place.results["rows"], strict=True):
        assert row["nll"] == pytest.approx(other["nll"], rel=1e-3)


def test_a_file_that_is_harmed_or_stopped_at_is_made_again(
    place, held, tmp_path, monkeypatch
):
    full(monkeypatch)
    out = tmp_path / "x"
    shutil.copytree(held, out)
    (out / "results.json").unlink()
    kept = bank.folder(out, "swa")
    (kept / "view1.json").unlink()  # a process that was killed
    (kept / "test.npy").write_bytes((kept / "test.npy").read_bytes()[:-1])
    said = io.StringIO()
    with pytest.raises(Stopped) as caught:
        run(
            changed(place, bank="file"),
            out,
            Console(file=said, width=500),
            stopping=lambda: 75,
        )
    assert caught.value.where == "features/swa/test"
    run(changed(place, bank="file"), out, Console(file=said, width=500))
    assert outcome(out)[0] == outcome(held)[0]
    told = [line for line in said.getvalue().splitlines() if "cannot be used" in line]
    assert told == [
        f"{kept / 'test.npy'} cannot be used: it is not what was written",
        f"{kept / 'view1.npy'} cannot be used: it has no record, so it was never "
        "finished",
    ]


def test_a_bank_of_half_the_bits(place, tmp_path, monkeypatch):
    full(monkeypatch)
    out = tmp_path / "x"
    config = changed(place, bank="file", bank_dtype="bfloat16", methods=("la",))
    results = run(config, out, quiet())
    whole = feature_file.mapped(bank.folder(place.out, "swa") / "view0.npy")
    half = feature_file.mapped(bank.folder(out, "swa") / "view0.npy")
    assert half.dtype.itemsize == 2
    np.testing.assert_allclose(half.astype(np.float32), whole, rtol=1e-2, atol=1e-3)
    # Figures are those of features in full precision, but for what a head has learnt.
    rows = {(r["backbone"], r["classifier"]): r for r in place.results["rows"]}
    for row in results["rows"]:
        wanted = rows[row["backbone"], row["classifier"]]["nll"]
        none = row["classifier"] == "none"
        assert row["nll"] == pytest.approx(wanted, rel=1e-4 if none else 5e-2)
    with pytest.raises(Mistake, match=r"classifier\.bank_dtype was 'bfloat16', now"):
        run(changed(place, methods=("la",)), out, quiet())


def test_kept_features_are_mapped_where_there_is_no_room(place, monkeypatch):
    data = load(place.config.data)
    stored = trained.held(place.out, "swa", place.config, data)
    full(monkeypatch)
    again = trained.held(place.out, "swa", place.config, data)
    view, other = trained.views(stored)(1, True), trained.views(again)(1, True)
    assert isinstance(other, np.memmap)
    np.testing.assert_array_equal(view, other)
    recipe = trained.heads(stored, place.config.classifier)["srepr", "c-mean"]
    heads = [
        trained.refit(each, recipe, place.config.classifier, trained.views(each))
        for each in (stored, again)
    ]
    kept = trained.params(stored, "srepr", "c-mean")
    for head in heads:
        for name, leaf in kept.items():
            np.testing.assert_array_equal(head[name], leaf)


def test_parts_are_joined_in_their_order():
    array = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    for on_device in (True, False):
        parts = iter(np.split(array, (1, 4), axis=1))
        np.testing.assert_array_equal(bank.joined(parts, (2, 5, 3), on_device), array)
