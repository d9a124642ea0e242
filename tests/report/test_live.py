"""The page of a run at work, and what is held out beside the training."""

import json

import numpy as np
import pytest
from test_page import check
from tiny import OFTEN, Place, config_of

from ltjax.config import Classifier
from ltjax.report import live, page
from ltjax.stages import kept, trained
from ltjax.stages.loading import load
from ltjax.workdir import checkpoint, events, results

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def place(tmp_path_factory, compiled_once):
    """A finished run with images held out; not to be changed."""
    path = tmp_path_factory.mktemp("held")
    few = Classifier(methods=("la",), epochs=1, batch_size=16, views=1)
    data = config_of(path, imbalance_factor=6, validation=0.2).data
    return Place(path, data=data, classifier=few, checkpoint=OFTEN)


def test_every_epoch_tells_of_the_images_held_out(place):
    found = events.epochs(place.out)
    assert {name: len(told) for name, told in found.items()} == {"sgd": 4, "swa": 4}
    labels = load(place.config.data).validation.label
    for told in found.values():
        for event in told:
            acc = event["held_out"]["acc"]
            assert acc["many"] is None  # 24 images at most
            right = acc["all"] * len(labels) / 100
            assert right == pytest.approx(round(right), abs=1e-4)


def test_the_figures_are_those_of_the_weights_after_the_epoch(place):
    # SGD's last weights are those of the run, whose running statistics were theirs.
    last = events.epochs(place.out)["sgd"][-1]["held_out"]
    run = trained.read(place.out, "sgd")
    held = load(place.config.data).validation
    variables = {"params": run.weights.mean, "batch_stats": last_statistics(place)}
    logits = run.net.apply(variables, run.prepare(held.image), train=False)
    logits = np.asarray(logits, float)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nll = -log_probs[np.arange(len(held.label)), held.label].mean()
    assert last["nll"] == pytest.approx(nll, rel=1e-4)
    right = 100 * (log_probs.argmax(-1) == held.label).mean()
    assert last["acc"]["all"] == pytest.approx(right)


def last_statistics(place):
    state, _ = checkpoint.load_as_saved(kept.newest(place.out, "sgd"))
    return state["batch_stats"]


def test_the_page_at_work_has_curves_and_looks_again(place):
    text = live.page(place.out)
    seen = " ".join(check(text).text)
    assert "SWA, epoch 4 of 4: loss" in seen
    assert "Of the images held out" in seen
    assert '<meta http-equiv="refresh" content="30">' in text
    assert text.count("<svg") == 4  # loss, accuracy, and each backbone held out
    finished = page.of_run(results.read(place.out))
    assert "refresh" not in finished
    assert "on the images that are held out of training" in finished


def test_it_is_made_after_an_epoch_and_not_too_often(place, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / name).write_bytes((place.out / name).read_bytes())
    made = live.Live(tmp_path)
    file = tmp_path / "report.html"
    for second, kind, there in (
        (5, "epoch", False),
        (40, "save", False),
        (41, "epoch", True),
        (60, "epoch", False),
        (72, "epoch", True),
    ):
        file.unlink(missing_ok=True)
        now[0] = second
        made({"event": kind})
        assert file.exists() == there, second


def test_a_run_without_held_out_images_has_no_such_curve(place, tmp_path):
    lines = (place.out / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    text = "".join(
        json.dumps({k: v for k, v in event.items() if k != "held_out"}) + "\n"
        for event in found
    )
    (tmp_path / "metrics.jsonl").write_text(text)
    (tmp_path / "config.json").write_bytes((place.out / "config.json").read_bytes())
    assert live.page(tmp_path).count("<svg") == 2
    assert place.config.name in live.page(tmp_path)
