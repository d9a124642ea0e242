"""The scripts that make the tables of results: `experiments/tables`."""

import dataclasses
import json

import fair
import heads
import jax
import lines as script
import numpy as np
import protocol
import pytest
import stage_one
import sweep as sweeping
from scipy import optimize, special, stats
from tiny import save

from ltjax import machine
from ltjax.config import Config, Experts, Srepr
from ltjax.mistake import Mistake
from ltjax.stages import classifier, trained
from ltjax.stages.loading import load

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def table(place, tmp_path_factory):
    """Makes a table of the tiny config by its command; the exit code and its lines.

    SRepr starts from the head of stage one there.
    """
    folder = tmp_path_factory.mktemp("tables")
    file = folder / "tiny.py"
    own = dataclasses.replace(place.config.classifier, srepr=Srepr(head="stage_one"))
    config = dataclasses.replace(place.config, classifier=own)
    file.write_text(f"from ltjax.config import *\nconfig = {config!r}\n")

    def call(name, *more, main=script.main, out=None):
        out = out or folder / f"{name}.jsonl"
        args = ["--config", file, "--out", out, "--holdout", 4]
        args += ["--runs", folder / "runs", *more]
        if main is script.main:
            args.insert(0, name)
        code = main(list(map(str, args)))
        found = out.read_text().splitlines() if out.exists() else []
        return code, [json.loads(line) for line in found]

    def stored(name, holdout):
        """A backbone of the table's run of seed 0."""
        held = f"-holdout{holdout}" if holdout else ""
        data = dataclasses.replace(config.data, holdout=holdout)
        of_run = dataclasses.replace(config, data=data)
        out = folder / "runs" / f"tiny{held}-seed0"
        return trained.held(out, name, of_run, load(data))

    call.folder, call.stored = folder, stored
    return call


@pytest.fixture(scope="module")
def table2(table):
    code, lines = table("table2")
    assert code == 0
    return lines


def row(line):
    return line["backbone"], line["classifier"], line["variant"]


START = "swa", "la", "stage_one"


def test_a_line_is_a_row_of_the_run_and_what_made_it(table, table2):
    out = table.folder / "runs" / "tiny-seed0"
    results = json.loads((out / "results.json").read_text())["rows"]
    record = json.loads((out / "config.json").read_text())
    lines = [line for line in table2 if row(line) != START]
    assert [row(line) for line in lines] == [row(r) for r in results]
    for line, result in zip(lines, results):
        figures = ("acc", "nll", "ece", "brier", "group_ece")
        assert {name: line[name] for name in figures} == {
            name: result[name] for name in figures
        }
        assert line["dataset"] == "train"
        assert line["imbalance_factor"] == 6
        assert line["config"] == "tiny"
        assert line["data"] == record["run"]["data"]
        assert line["seed"] == 0
        assert line["device"] == "cpu"
        assert line["processor"] == machine.processor()
        assert line["seconds"] >= 0


def linear(stored, classifier, variant):
    """Test logits of a linear head as kept, in NumPy float64."""
    params = heads.params(stored, classifier, variant)
    features = np.asarray(stored.test[0], np.float64)
    return features @ np.asarray(params["kernel"], float) + np.asarray(params["bias"])


def mean_nll(logits, labels):
    log_probs = special.log_softmax(logits, axis=-1)
    return -log_probs[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize(
    ("backbone", "classifier", "variant", "kept"),
    [
        ("sgd", "none", "", ""),
        ("swa", "la", "", ""),
        ("swa", "srepr", "", "c-mean"),
        ("swa", "srepr", "b", "b"),
        (*START, "stage_one"),
    ],
)
def test_the_temperature_is_fitted_on_validation_and_carried_over(
    table, table2, backbone, classifier, variant, kept
):
    [line] = [one for one in table2 if row(one) == (backbone, classifier, variant)]
    held, tested = table.stored(backbone, 4), table.stored(backbone, 0)
    assert len(held.data.test.label) == 4 * 4
    logits = linear(held, classifier, kept)

    def objective(log_t):
        return mean_nll(logits / np.exp(log_t), held.data.test.label)

    ends = np.log(1e3) * np.array((-1, 1))
    best = optimize.minimize_scalar(objective, bounds=ends, method="bounded").x
    assert np.isfinite(line["temperature"])
    # The minimum is flat: temperatures are compared by what they are worth.
    assert objective(np.log(line["temperature"])) == pytest.approx(
        objective(best), rel=1e-5
    )
    logits = linear(tested, classifier, kept) / line["temperature"]
    assert line["nll_scaled"] == pytest.approx(
        mean_nll(logits, tested.data.test.label), rel=1e-4
    )
    assert 0 <= line["ece_scaled"] <= 1


def adjusted_by_hand(stored, params):
    """LA's accuracy in percent after each epoch, in NumPy float64: SGD by its formulas.

    `params` is the head before. Gives the last parameters too.
    """
    settings = stored.config.classifier
    labels = np.asarray(stored.data.train.label)
    prior = np.log(np.asarray(stored.index.counts) / len(labels))
    weights = np.vstack([params["kernel"], params["bias"]]).astype(float)
    trace = np.zeros_like(weights)
    batches = classifier.batches_of("instance", settings, stored.index)
    orders = [
        np.asarray(batches(jax.random.fold_in(stored.keys.head_order, epoch), epoch))
        for epoch in range(settings.epochs)
    ]
    steps = sum(map(len, orders))

    def seen(features):
        return np.hstack([np.asarray(features, float), np.ones((len(features), 1))])

    accuracies, step = [], 0
    for epoch, order in enumerate(orders):
        view = seen(trained.views(stored)(epoch, False)[0])
        for rows in order:
            probs = special.softmax(view[rows] @ weights + prior, axis=-1)
            errors = probs - np.eye(len(prior))[labels[rows]]
            gradient = view[rows].T @ errors / len(rows)
            gradient += settings.weight_decay * weights
            trace = settings.momentum * trace + gradient
            rate = settings.lr * (1 + np.cos(np.pi * step / steps)) / 2
            weights -= rate * (settings.momentum * trace + gradient)
            step += 1
        found = (seen(stored.test[0]) @ weights).argmax(-1)
        accuracies.append(100 * (found == stored.data.test.label).mean())
    return accuracies, {"kernel": weights[:-1], "bias": weights[-1]}


def test_the_best_epoch_is_that_of_training_by_hand(table, table2):
    stored = table.stored("swa", 0)
    recipes = trained.heads(stored, stored.config.classifier)
    starts = {"": recipes["la", ""].params, "stage_one": stored.head}
    for variant, params in starts.items():
        [line] = [one for one in table2 if row(one) == ("swa", "la", variant)]
        accuracies, last = adjusted_by_hand(stored, params)
        best = int(np.argmax(accuracies))
        assert line["best_epoch"] == {
            "epoch": best + 1,
            "all": pytest.approx(accuracies[best]),
        }
        assert line["acc"]["all"] == pytest.approx(accuracies[-1])
        # The row from stage one's head is that of LA's loss, and of that start.
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
            heads.params(stored, "la", variant),
            last,
        )


def test_what_is_not_re_trained_has_no_best_epoch(table2):
    trained_rows = {"crt", "lws", "la", "disalign", "srepr"}
    for line in table2:
        if line["classifier"] in trained_rows and line["backbone"] != "swag":
            assert line["best_epoch"]["all"] >= line["acc"]["all"] - 1e-9
        else:
            assert line["best_epoch"] is None


def test_a_finished_seed_is_not_made_again_and_settings_do_not_mix(
    table, table2, capsys
):
    code, lines = table("table2")
    assert code == 0
    assert lines == table2
    assert "has swa of seed 0" in capsys.readouterr().out
    code, lines = table("table2", "--classifier.lr", 0.01)
    assert code == 2
    assert lines == table2
    assert "holds lines of other settings" in capsys.readouterr().err
    code, _ = table("table2", "--out", table.folder / "no" / "x.jsonl")
    assert code == 2
    assert "is not a file in an existing folder" in capsys.readouterr().err
    code, _ = table("table2", "--data.holdout", 4)
    assert code == 2
    assert "--data.holdout is the table's own to set" in capsys.readouterr().err
    code, _ = table("table2", "--seed", 3)
    assert code == 2
    assert "--seed is the table's own to set" in capsys.readouterr().err
    code, lines = table("table2", "--holdout", 0)
    assert code == 2
    assert lines == table2
    assert "holds seed 0 with another --holdout (4, now 0)" in capsys.readouterr().err
    save(table.folder / "other.npz", [24] * 4, 5)
    code, lines = table("table2", "--data.train", table.folder / "other.npz")
    assert code == 2
    assert lines == table2
    assert "holds lines of other data (" in capsys.readouterr().err


def test_seeds_without_a_validation_run_may_stand_beside_others(tmp_path):
    def done(holdout, seeds, held):
        """The seeds of a file whose seed 0 has `held` images held out."""
        file = tmp_path / "x.jsonl"
        file.write_text(json.dumps({"data": "d", "seed": 0, "holdout": held}) + "\n")
        args = ["--config", "c.py", "--out", str(file), "--holdout", str(holdout)]
        options = protocol.read(
            protocol.parser(""), [*args, "--seeds", *map(str, seeds)]
        )
        return protocol.seeds_done(options, {"data": "d"})

    assert done(4, [0, 1], held=4) == {0: {None}}
    assert done(0, [1], held=4) == done(4, [1], held=0) == {0: {None}}
    for held, now, seed in ((4, 0, 0), (0, 4, 0), (4, 5, 1), (4, 5, 0)):
        with pytest.raises(protocol.Mistake, match="seed 0 with another --holdout"):
            done(now, [seed], held=held)


def test_lines_of_one_backbone_are_there_before_the_other(
    table, table2, tmp_path, capsys
):
    out = tmp_path / "parts.jsonl"
    code, first = table("table2", "--backbones", "sgd", out=out)
    assert code == 0
    assert first == [line for line in table2 if line["backbone"] == "sgd"]
    assert table("table2", out=out) == (0, table2)
    assert "has sgd of seed 0" in capsys.readouterr().out
    code, _ = table("table1", "--backbones", "sgd", out=tmp_path / "x.jsonl")
    assert code == 2
    assert "--backbones is sgd; table1 tells of sgd and swa" in capsys.readouterr().err


@pytest.fixture
def changes(table, monkeypatch, tmp_path):
    """Makes few choices of stage one: the exit code and the lines."""
    few = ("base", "statistics_plain", "swa_lr_0.05")
    known = {name: stage_one.CHANGES[name] for name in few}
    monkeypatch.setitem(stage_one.LISTS, "cifar", known)
    out, runs = tmp_path / "stage_one.jsonl", tmp_path / "runs"
    return lambda *more: table("", "--runs", runs, *more, main=stage_one.main, out=out)


def test_choices_of_stage_one_are_made_a_backbone_at_a_time(
    changes, monkeypatch, capsys, tmp_path
):
    ended, runs = protocol.ended, []

    def until_stopped(config, *args):
        if len(runs) == 2:
            raise KeyboardInterrupt
        runs.append(config)
        return ended(config, *args)

    with monkeypatch.context() as patch:
        patch.setattr(protocol, "ended", until_stopped)
        assert changes()[0] == 130
    code, lines = changes()
    assert code == 0
    made = [(line["change"], line["sitting"]) for line in lines]
    assert list(dict.fromkeys(made)) == [
        ("base", "sgd"),
        ("base", "swa"),
        ("statistics_plain", "sgd"),
        ("statistics_plain", "swa"),
        ("swa_lr_0.05", "swa"),
    ]
    nll = {(line["change"], *row(line)): line["nll"] for line in lines}
    assert len(nll) == len(lines)
    assert ("base", "sgd", "none", "") in nll
    assert ("base", "swag", "srepr", "") in nll
    assert ("base", "swa", "crt", "") not in nll
    plain = nll["statistics_plain", "swa", "none", ""]
    assert plain != nll["base", "swa", "none", ""]
    # Other statistics are no other training.
    events = (tmp_path / "runs").glob("*statistics_plain/metrics.jsonl")
    assert '"event": "epoch"' not in next(events).read_text()
    assert changes() == (0, lines)
    assert changes("--only", "swa_lr_0.5") == (2, lines)
    error = capsys.readouterr().err
    assert "--only swa_lr_0.5 is no change" in error
    assert "did you mean swa_lr_0.05?" in error
    assert changes("--only", "base", "--optim.lr", 0.05) == (2, lines)
    assert "holds base of sgd with other settings" in capsys.readouterr().err


def test_a_validation_run_needs_no_manifest_of_its_own(tmp_path):
    config = "cifar100_lt:cpu"
    args = ["--config", config, "--out", str(tmp_path / "x")]
    options = protocol.read(protocol.parser(""), [*args, "--data.largest", "500"])
    test = protocol.config_of(options, 3).data
    held = protocol.config_of(options, 3, 50).data
    assert (test.manifest, test.largest, test.holdout) == ("cifar100_lt", 500, 0)
    assert (held.manifest, held.largest, held.holdout) == (None, 450, 50)


def test_table1_takes_its_rows_from_the_same_runs(table, table2, monkeypatch):
    monkeypatch.setattr(trained, "refit", None)  # nothing is trained again
    code, lines = table("table1")
    assert code == 0
    assert [row(line) for line in lines] == [
        ("sgd", "la", ""),
        ("swa", "la", ""),
        ("swa", "srepr", "b"),
        ("swa", "srepr", ""),
    ]
    for line in lines:
        step = line.pop("step")
        assert step
        assert line in table2


def test_figure3_correlates_counts_and_dispersion(place, table, table2):
    code, [line] = table("figure3")
    assert code == 0
    assert line["counts"] == place.results["dataset"]["counts"]
    for space, values in line["dispersion"].items():
        expected = stats.spearmanr(line["counts"], values).statistic
        assert line["spearman"][space] == pytest.approx(expected)
    assert line["dispersion"] == place.read("classes.json")["dispersion"]


@pytest.fixture
def sweep(table, table2, monkeypatch, tmp_path):
    """Sweeps few choices on the table's validation run: the exit code and the lines."""
    del table2  # made the run
    monkeypatch.setattr(sweeping, "FORMS", (("mean", 2.0),))
    monkeypatch.setattr(sweeping, "WEIGHTS", (0.5, 0.8))
    out = tmp_path / "sweep.jsonl"
    return lambda *more: table("sweep", *more, main=sweeping.main, out=out)


def test_a_sweep_tries_every_choice_once(table, sweep, monkeypatch, capsys):
    code, lines = sweep()
    assert code == 0
    stored = table.stored("swa", 4)
    assert len(lines) == len(sweeping.choices(stored.config)) == 11
    by_choice = {
        (line["classifier"], line["variant"], line["views"]): line for line in lines
    }
    assert len(by_choice) == 6
    run = json.loads((stored.out / "results.json").read_text())
    expected = {row(r): r["nll"] for r in run["rows"]}
    assert by_choice["none", "", 2]["nll"] == expected["swa", "none", ""]
    assert by_choice["la", "", 2]["nll"] == expected["swa", "la", ""]
    assert by_choice["srepr", "b", 2]["nll"] == expected["swa", "srepr", "b"]
    expected = mean_nll(linear(stored, *START[1:]), stored.data.test.label)
    start = by_choice["la", "stage_one", 2]
    assert start["nll"] == pytest.approx(expected, rel=1e-5)
    lowest = min(line["nll"] for line in lines)
    record = json.loads((stored.out / "config.json").read_text())["run"]
    for line in lines:
        # The NLL is a float32 sum, the gap a float64 one.
        assert line["gap"] == pytest.approx(line["nll"] - lowest, abs=1e-6)
        assert (line["gap_se"] > 0) == (line["gap"] != 0)
        assert line["swa"] == record["config"]["swa"]
        assert (line["holdout"], line["data"]) == (4, record["data"])
    monkeypatch.setattr(sweeping, "judged", None)  # nothing is fitted again
    assert sweep() == (0, lines)
    assert "has seed 0" in capsys.readouterr().out
    assert sweep("--swa.lr", 0.05) == (2, lines)
    assert "holds lines of other settings" in capsys.readouterr().err


def test_every_method_has_as_many_choices():
    wanted = fair.choices(Config())
    number = {}
    for name, variant, *_ in wanted:
        number[name, variant] = number.get((name, variant), 0) + 1
    assert number.pop(("none", "")) == number.pop(("ncm", "")) == 1
    assert set(number) == {
        *((name, "") for name in Config().classifier.methods if name != "ncm"),
        ("srepr", "b"),
    }
    assert set(number.values()) == {fair.NUMBER}
    assert len(set(map(repr, wanted))) == len(wanted)


def test_a_fair_sweep_needs_the_usual_strength_among_its_own():
    settings = dataclasses.replace(Config().classifier, tau=0.8)
    with pytest.raises(Mistake, match=r"classifier.tau is 0.8; it must be of 0.25, "):
        fair.choices(Config(classifier=settings))


def test_a_fair_sweep_marks_one_choice_of_each_method(sweep, monkeypatch, tmp_path):
    monkeypatch.setattr(fair, "TAUS", (0.5, 1.0))
    monkeypatch.setattr(fair, "EXPONENTS", (0.4,))
    monkeypatch.setattr(fair, "RHOS", (0.2,))
    monkeypatch.setattr(fair, "LEARNED", ((0.1, 5e-4),))
    monkeypatch.setattr(fair.srepr, "grid", lambda form: [(0.4, 1.0)])
    code, lines = sweep("--fair")
    assert code == 0
    assert len(lines) == 2 + 3 * 2 + 4 + 1
    chosen = [(line["classifier"], line["variant"]) for line in lines if line["chosen"]]
    assert len(chosen) == len(set(chosen)) == 10
    posthoc = [line for line in lines if line["classifier"] == "la_posthoc"]
    assert posthoc[0]["nll"] != posthoc[1]["nll"]


def test_a_sweep_of_experts_varies_how_they_learn_too():
    config = Config(model=Experts(count=3))
    [first, *others] = sweeping.choices(config)
    assert first[:2] == ("none", "")
    learned = [(one.experts, one.lr, one.weight_decay) for *_, one, _ in others]
    assert set(learned) == set(sweeping.LEARNED)
    distilled = [one.srepr for *row, one, _ in others if row == ["srepr", ""]]
    assert len(distilled) == len(sweeping.LEARNED) * len(sweeping.FORMS) * 3
    assert {one.head for one in distilled} == {"stage_one"}
    assert len(set(map(repr, others))) == len(others)


def test_a_sweep_that_was_stopped_goes_on(sweep, monkeypatch):
    judged, done = sweeping.judged, []

    def until_stopped(*args):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(args)
        return judged(*args)

    monkeypatch.setattr(sweeping, "WEIGHTS", (0.1, 0.7))  # not fitted before
    monkeypatch.setattr(sweeping, "judged", until_stopped)
    code, _ = sweep()
    assert code == 130
    before = list(done)
    done.clear()
    monkeypatch.setattr(sweeping, "judged", lambda *a: done.append(a) or judged(*a))
    code, lines = sweep()
    assert code == 0
    assert len(lines) == 11
    choices = {repr(args[2:]) for args in before + done}
    assert len(choices) == len(before) + len(done)


def test_a_sweep_on_the_test_set_is_refused(sweep, capsys):
    assert sweep("--holdout", 0) == (2, [])
    assert "--holdout is 0; choose on held-out images" in capsys.readouterr().err


def test_heads_of_other_settings_take_over_the_stage_one(table, table2, tmp_path):
    code, [line] = table(
        *("figure3", "--runs", tmp_path / "runs", "--stage-one", table.folder / "runs"),
        *("--classifier.epochs", 1),
        out=tmp_path / "other.jsonl",
    )
    assert code == 0
    results = json.loads((tmp_path / "runs" / "tiny-seed0/results.json").read_text())
    assert "representation" not in results["seconds"]
    assert line["settings"] != table2[0]["settings"]
