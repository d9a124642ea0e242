"""A run of several experts from images to a table, opened again, and routed."""

import dataclasses
import io
import json
import shutil

import jax
import numpy as np
import pytest
from flax import linen as nn
from rich.console import Console
from scipy.special import expit, log_softmax
from tiny import OFTEN, Place, of_one_pass, quiet, timeless

from ltjax import replay
from ltjax.classifier import heads
from ltjax.config import CifarResNet, Classifier, Cosine, Experts, Mdcs, Ride, Sgd, Swa
from ltjax.data import longtail, sampling
from ltjax.evaluation import scores
from ltjax.export import graph, tensors
from ltjax.export import story as export
from ltjax.losses import experts as losses
from ltjax.mistake import Mistake
from ltjax.models import cifar_resnet
from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import Convolution
from ltjax.report.table import table
from ltjax.representation import step
from ltjax.representation.objective import Task
from ltjax.route import __main__ as route
from ltjax.route import experts as cascade
from ltjax.route import story
from ltjax.route import table as routes
from ltjax.run import run
from ltjax.stages import (
    backbones,
    divergence,
    kept,
    teacher,
    trained,
)
from ltjax.stages import keys as streams
from ltjax.stages.loading import load
from ltjax.workdir import adoption, checkpoint, events, identity
from ltjax.workdir.rows import Row

pytestmark = pytest.mark.usefixtures("compiled_once")


class Short(cifar_resnet.CifarResNet):
    """A network to branch that compiles soon: the stem, and one layer at the end."""

    def _stage(self, stage, blocks, x, train):
        if stage < 3:
            return x
        x = Convolution(self.dim, 2, name="conv3")(x)
        return nn.relu(BatchNorm(name="norm3")(x, train))


@pytest.fixture(scope="module", autouse=True)
def short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CifarResNet, "body", lambda model: Short(width=model.width))
        yield


CLASSIFIER = Classifier(methods=("la",), epochs=1, batch_size=16, views=1)


@pytest.fixture(scope="module")
def experts(tmp_path_factory, compiled_once, short):
    """MDCS, whose two views take every path that the other losses do, and more."""
    return Place(
        tmp_path_factory.mktemp("experts"),
        model=Experts(
            of=CifarResNet(depth=8, width=4, head=Cosine()), count=2, branch=3
        ),
        objective=Mdcs(scales=(0.0, 2.0)),
        optim=Sgd(epochs=3, warmup_epochs=1, batch_size=16),
        classifier=CLASSIFIER,
    )


@pytest.fixture(scope="module")
def student(experts):
    """RIDE on the same images, taught by that run: (config, out, results).

    An epoch is one step, of all 48 images.
    """
    optim = Sgd(epochs=3, warmup_epochs=0, batch_size=48)
    config = dataclasses.replace(
        experts.config,
        optim=optim,
        swa=Swa(start=1, rank=2),
        classifier=Classifier(methods=()),
        checkpoint=OFTEN,
    )
    config, out = taught_by(experts.out, config), experts.path / "student"
    return config, out, run(config, out, quiet())


def taught_by(place, config):
    ride = Ride(reweight_epoch=1, teacher=place and str(place))
    return dataclasses.replace(config, objective=ride)


def test_rows_are_those_of_the_ensemble(experts):
    rows = experts.results["rows"]
    names = [(row["backbone"], row["classifier"], row["variant"]) for row in rows]
    pairs = [("sgd", "none"), ("sgd", "la"), ("swa", "none"), ("swa", "la")]
    pairs += [("swag", "none"), ("swag", "la")]
    assert names == [(*pair, "") for pair in pairs]
    assert all(np.isfinite(row["nll"]) for row in rows)


def test_headline_rows_tell_each_expert_alone(experts):
    z = trained.test_features(trained.read(experts.out, "swa"))
    labels = load(experts.config.data).test.label
    rows = experts.results["rows"]
    told = [row for row in rows if "experts" in row]
    assert [(row["backbone"], row["classifier"]) for row in told] == [
        *(("sgd", "none"), ("sgd", "la")),
        *(("swa", "none"), ("swa", "la")),
    ]
    assert all(row["variant"] == "" for row in told)
    params = jax.tree.map(np.asarray, kept.head(experts.out, "swa", "swa-la"))
    z = np.asarray(z)
    (row,) = (r for r in told if (r["backbone"], r["classifier"]) == ("swa", "la"))
    for expert, figures in enumerate(row["experts"]):
        kernel, bias = params["kernel"][expert], params["bias"][expert]
        logits = np.float64(z[0, :, expert]) @ kernel + bias
        right = (logits.argmax(1) == labels).mean()
        np.testing.assert_allclose(figures["acc"]["all"], 100 * right, rtol=1e-6)
        log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        nll = -log_probs[np.arange(len(labels)), labels].mean()
        np.testing.assert_allclose(figures["nll"], nll, rtol=1e-5)


def test_the_cost_of_an_image_is_told(experts):
    run = trained.read(experts.out, "sgd")
    state, _ = checkpoint.load_as_saved(kept.newest(experts.out, "sgd"))
    sizes = [leaf.size for leaf in jax.tree.leaves(state["params"])]
    cost = experts.results["cost"]
    assert (cost["experts"], cost["parameters"]) == (2, sum(sizes))
    assert cost["macs"] > 0
    shown = str(table(experts.results).caption)
    assert "mean of 2 experts (alone: results.json); 0.00" in shown
    assert max(map(len, shown.splitlines())) <= 77
    assert run.net.features.branches[0].first == 3


def test_it_sees_images_again_as_it_did(experts):
    """And the linear heads of what it sees have the logits of the cosine ones."""
    run = trained.read(experts.out)
    images = load(experts.config.data).test.image
    seen = trained.features(run, 2)(images)
    assert seen.shape == (3, len(images), 2, 16)
    np.testing.assert_allclose((seen**2).mean(-1), 1, rtol=1e-5)
    # Batches are of other sizes than in the run, on one device instead of two.
    np.testing.assert_allclose(seen, trained.test_features(run), atol=1e-4)
    stats = jax.tree.map(lambda leaf: leaf[0], run.batch_stats)
    variables = {"params": run.weights.mean, "batch_stats": {"features": stats}}
    wanted = jax.jit(run.net.apply)(variables, run.prepare(images)).mean(1)
    found = heads.one_pass(*trained.logits(run, "none"))(seen)
    np.testing.assert_allclose(found, jax.nn.log_softmax(wanted), atol=1e-4)
    # So has what is exported as a graph.
    forward = graph.forward(run, *trained.logits(run, "none", ""))
    np.testing.assert_allclose(jax.jit(forward)(images)[0], wanted, atol=1e-4)
    about = export._about(run, Row("swa", "none"), {"acc": {}})
    assert about["classes"] == ["0", "1", "2", "3"]
    assert about["model"]["experts"]["count"] == 2


def test_it_does_not_leave_as_tensors(experts):
    message = "model is of 2 experts; safetensors and npz hold networks of stages"
    with pytest.raises(Mistake, match=message):
        tensors.check_network(experts.config.model)
    tensors.check_network(CifarResNet())
    with pytest.raises(Mistake, match=r"model\.head is Cosine\(scale=30\.0, .*; saf"):
        tensors.check_network(CifarResNet(head=Cosine()))


def test_every_row_comes_out_of_what_is_kept(experts):
    stored = trained.held(experts.out, "swa", experts.config, load(experts.config.data))
    made = trained.heads(stored, CLASSIFIER)
    labels, counts = stored.data.test.label, stored.index.counts
    for row in experts.results["rows"]:
        name = row["classifier"], row["variant"]
        if row["backbone"] != "swa" or name not in made:
            continue
        log_probs = heads.one_pass(made[name].logits, trained.params(stored, *name))
        figures, _ = scores.score(
            log_probs, stored.test[:1], labels, longtail.groups(counts)
        )
        assert figures == {key: of_one_pass(row)[key] for key in figures}


def test_the_spread_of_draws_is_told_of_all_experts(experts):
    found = experts.read("classes.json")["dispersion"]
    z = trained.test_features(trained.read(experts.out))[1:]
    labels = load(experts.config.data).test.label
    flat = np.float64(z).reshape(*z.shape[:2], -1)
    spread = ((flat - flat.mean(0)) ** 2).sum(-1).mean(0)
    wanted = [spread[labels == c].mean() for c in range(len(found["representation"]))]
    np.testing.assert_allclose(found["representation"], wanted, rtol=1e-4)


@pytest.mark.parametrize("taught", [False, True])
def test_a_refused_step_can_be_replayed(experts, student, tmp_path, capsys, taught):
    """Its loss, of both views, or with a teacher, is worked out from the file alone."""
    config, out = student[:2] if taught else (experts.config, experts.out)
    counts, net = np.array([24, 13, 7, 4]), trained.read(out).net
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4 if taught else 8, 8, 8, 1)).astype(np.float32)
    batch = {"image": images, "label": np.arange(4)}
    if taught:
        batch["teacher"] = rng.normal(size=(4, 3, 4)).astype(np.float32)
    variables = jax.jit(net.init)(jax.random.key(0), images)
    task = Task(counts, 3, config.optim.epochs)
    state = step.init(variables, backbones.of(config, task)[0].tx)
    found = divergence.Step(
        backbone="sgd",
        step=0,
        steps=3,
        rate=0.1,
        loss=7.0,
        rows=np.arange(4),
        counts=counts,
    )
    divergence.write(tmp_path / divergence.FILE, found, state, batch)
    shutil.copy(out / "config.json", tmp_path)
    assert replay.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()

    @jax.jit
    def loss(variables):
        logits, _ = net.apply(variables, images, train=True, mutable=["batch_stats"])
        return config.objective.make(task).loss(logits, batch, (), 0)[0]

    (line,) = (line for line in lines if line.startswith("loss"))
    assert line.endswith(", was 7")
    told = float(line.split()[1].rstrip(","))
    np.testing.assert_allclose(
        told, loss(variables), rtol=1e-4
    )  # six digits are printed


def test_the_finished_run_is_told_again(experts):
    assert run(experts.config, experts.out, quiet()) == experts.results


# Routed

FLAGS = "--epochs 8 --batch-size 16 --weight 2 --at-once 8"


@pytest.fixture(scope="module")
def told(experts, compiled_once, tmp_path_factory):
    """The file of a routing of the row sgd/none."""
    out = tmp_path_factory.mktemp("routed") / "r.json"
    assert route.main([str(experts.out), "--out", str(out), *FLAGS.split()]) == 0
    return out


class InNumpy:
    """Features, logits, running means and requests of the test images, in float64."""

    def __init__(self, experts, told):
        z = trained.test_features(trained.read(experts.out, "sgd"))[0]
        head = kept.head(experts.out, "sgd", "sgd-none")
        z, head = np.float64(z), jax.tree.map(np.float64, head)
        self.labels = trained.test_labels(trained.read(experts.out, "sgd"))
        self.logits = np.einsum("ned,edc->nec", z, head["kernel"]) + head["bias"]
        self.means = self.logits.cumsum(1) / np.arange(1, 3)[:, None]
        params = jax.tree.map(np.float64, story.read(told.with_suffix(".router.npz")))
        unit = z[:, 0] / np.sqrt((z[:, 0] ** 2).sum(1, keepdims=True))
        hidden = unit @ params["hidden"]["kernel"][0] + params["hidden"]["bias"][0]
        # Of four classes all logits are seen, though 30 were asked for.
        seen = np.concatenate([-np.sort(-self.means[:, 0]), np.maximum(hidden, 0)], 1)
        self.requests = (seen @ params["ask"]["kernel"] + params["ask"]["bias"])[:, 0]
        self.params = params

    def routed(self, limit):
        """Logits, and how many experts each image used."""
        used = 1 + (self.requests > limit)
        return self.means[np.arange(len(used)), used - 1], used

    def figures(self, logits):
        log_probs = log_softmax(logits, axis=1)
        right = (logits.argmax(1) == self.labels).mean()
        return 100 * right, -log_probs[np.arange(len(logits)), self.labels].mean()


def test_routing_tells_the_figures_of_the_experts_used(experts, told):
    found, wanted = json.loads(told.read_text()), InNumpy(experts, told)
    logits, used = wanted.routed(0)
    with np.load(told.with_suffix(".router.npz"), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["used"], used)
    every = [wanted.means[:, 0], wanted.means[:, 1], logits]
    names = ["1 expert", "all 2 experts", "routed"]
    for name, logits, row in zip(names, every, found["rows"], strict=True):
        assert row["name"] == name
        accuracy, nll = wanted.figures(logits)
        np.testing.assert_allclose(row["acc"]["all"], accuracy, rtol=1e-6)
        np.testing.assert_allclose(row["nll"], nll, rtol=1e-4)
    share = (used == 2).mean()
    np.testing.assert_allclose(found["stopped"], [1 - share, share])
    # The run's own table has the same ensemble, and the same multiplications.
    assert found["rows"][1]["acc"] == experts.results["rows"][0]["acc"]
    first, both, mean = (row["macs"] for row in found["rows"])
    assert both == experts.results["cost"]["macs"]
    asking = 16 * 16 + (4 + 16)  # a hidden layer of 16, then logits and it to one
    wanted = (1 - share) * first + share * both + asking
    np.testing.assert_allclose(mean, wanted, rtol=1e-6)
    # Whole batches of 8: three for 20 images, as many as needed for those that asked.
    assert found["ran"] == [24, 8 * -(-(used == 2).sum() // 8)]


def test_a_router_learns(told):
    losses = json.loads(told.read_text())["losses"]
    assert len(losses) == 8
    assert losses[-1] < losses[0]


def test_thresholds_in_the_limits(experts, told):
    seen = InNumpy(experts, told)
    run = trained.read(experts.out, "sgd")
    images = load(experts.config.data).test.image
    whole = cascade.of_run(run, "none")
    program = cascade.make_routed(whole, 8)
    middle = np.sort(seen.requests)[9:11].mean()
    assert np.ptp(seen.requests) > 1e-2
    for threshold, limit in ((0.0, -np.inf), (expit(middle), middle), (1.0, np.inf)):
        found = program(whole.weights, seen.params, threshold, images)
        logits, used = seen.routed(limit)
        np.testing.assert_array_equal(found.used, used)
        np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-4)
    found = cascade.make_whole(whole, 8)(whole.weights, images)
    np.testing.assert_allclose(found, seen.means[:, 1], rtol=1e-4, atol=1e-4)


def test_any_row_of_a_classifier_per_expert_is_routed(experts):
    run = trained.read(experts.out, "swa")
    z = trained.test_features(run)[0]
    for name in ("none", "la"):
        made = cascade.of_run(run, name)
        logits = made.logits(made.weights, z)
        found = jax.nn.log_softmax(logits.mean(1))
        wanted = heads.one_pass(*trained.logits(run, name))(z[None])
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_same_command_tells_the_same(experts, told, tmp_path, capsys, monkeypatch):
    """In parts that the device takes one after the other, too."""
    out = tmp_path / "r.json"
    command = [str(experts.out), "--out", str(out), *FLAGS.split()]
    assert route.main(command) == 0
    printed = capsys.readouterr().out
    first = json.loads(told.read_text())
    found = json.loads(out.read_text())
    assert timeless(found) == timeless(first)
    shown = io.StringIO()
    Console(file=shown, width=80).print(routes.table(found))
    assert shown.getvalue() in printed
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert route.main(command) == 2
    assert "r.json exists; give another name, or --overwrite" in capsys.readouterr().err
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before
    monkeypatch.setattr(story, "_PART", 64 * 10)
    assert route.main([*command, "--overwrite"]) == 0
    parts = json.loads(out.read_text())
    assert parts["ran"][0] == 32  # two parts of 10 images, in batches of 8
    assert parts["stopped"] == found["stopped"]
    # Images come in other batches.
    for row, wanted in zip(parts["rows"], found["rows"], strict=True):
        np.testing.assert_allclose(row["nll"], wanted["nll"], rtol=1e-5)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--classifier swa/lda", "swa/lda is no row of "),
        ("--classifier swag/la", "swag/la is the mean of many passes; give swa/la, wh"),
        ("--lr 1e30", "; try a smaller --lr than 1e+30"),
    ],
)
def test_routing_refuses(experts, tmp_path, capsys, flags, says):
    command = [str(experts.out), "--out", str(tmp_path / "r.json"), *flags.split()]
    assert route.main(command) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_command_tells_its_settings(told):
    found = json.loads(told.read_text())
    command = route.Command(run=None, out=None, epochs=8, batch_size=16, weight=2.0)
    fields = dataclasses.asdict(command)
    assert found["router"] == {name: fields[name] for name in found["router"]}
    assert found["router"].keys() >= {"top", "threshold"}


# Taught by another run


def test_a_student_learns_from_what_its_teacher_tells_of_the_batch(experts, student):
    """Its first loss; the teacher's batch norm has the statistics of that batch."""
    config, out, results = student
    keys, train = streams.keys(config.seed), load(config.data).train
    rows = sampling.instance_balanced(jax.random.fold_in(keys.order, 0), 48, 48)[0]
    seen = config.augment.make()["full"](
        jax.random.fold_in(keys.prepare, 0), train.image[np.asarray(rows)]
    )
    mean, std = (np.array(results["dataset"][name]) for name in ("mean", "std"))
    images = ((np.asarray(seen) / 255 - mean) / std).astype(np.float32)

    def logits(run, variables, train):
        told = jax.jit(
            lambda variables: run.net.apply(
                variables, images, train=train, mutable=["batch_stats"]
            )[0]
        )
        return np.float64(told(variables))

    pupil, taught = trained.read(out, "sgd"), trained.read(experts.out, "sgd")
    state, _ = checkpoint.load_as_saved(kept.newest(experts.out, "sgd"))
    variables = {name: state[name] for name in ("params", "batch_stats")}
    z = logits(pupil, jax.jit(pupil.net.init)(keys.init, images[:1]), True)
    labels, counts = train.label[np.asarray(rows)], np.array([24, 13, 7, 4])
    loss = float(losses.ride(z, labels, counts, 1, reweight_epoch=1))

    def distilled(told):
        log_p, log_q = (
            x - np.log(np.exp(x).sum(-1, keepdims=True))
            for x in (told.mean(1) / 1.5, z.mean(1) / 1.5)
        )
        apart = (np.exp(log_p) * (log_p - log_q)).sum(-1).mean()
        return 2 * (loss + 1.5**2 * apart)

    (found,) = (
        event["loss"]
        for event in events.events(out)
        if (event.get("backbone"), event.get("epoch")) == ("sgd", 1)
    )
    np.testing.assert_allclose(
        found, distilled(logits(taught, variables, True)), rtol=1e-5
    )
    assert abs(found / distilled(logits(taught, variables, False)) - 1) > 1e-3


def test_a_student_goes_on_where_it_stopped_though_its_teacher_moved(
    experts, student, tmp_path
):
    config, out, results = student
    shutil.copytree(experts.out, tmp_path / "moved")
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "results.json").unlink()
    for what in ("features", "heads", "swa/3"):
        shutil.rmtree(copy / "checkpoints" / what)
    (newest, *_) = checkpoint.steps(copy / "checkpoints" / "swa")
    assert checkpoint.position(newest) == (2, 0)
    config = taught_by(tmp_path / "moved", config)
    assert timeless(run(config, copy, quiet())) == timeless(results)
    found, wanted = (
        checkpoint.load_as_saved(place / "checkpoints" / "swa" / "3")
        for place in (copy, out)
    )
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_another_teacher_is_another_run(experts, student):
    """Here the student itself, and none."""
    config, out, _ = student
    for other in (out, None):
        with pytest.raises(
            Mistake, match="run: its teacher was another, or none; give"
        ):
            run(taught_by(other, config), out, quiet())


def test_backbones_are_taken_over_under_the_same_teacher(student):
    config, out, _ = student
    data = load(config.data)
    digest = teacher.of_config(config, data).digest
    made_of = identity.of_run(config, data, {"pretrained": None, "teacher": digest})
    adoption.check(out, made_of, ("sgd", "swa"))
    with pytest.raises(Mistake, match="otherwise: its teacher was another, or none"):
        adoption.check(out, {**made_of, "teacher": None}, ("sgd", "swa"))


def test_a_student_is_opened_without_its_teacher(student, monkeypatch):
    config, out, _ = student
    monkeypatch.delattr(teacher, "of_config")
    seen = trained.test_features(trained.read(out, "sgd"))
    stored = trained.held(out, "sgd", config, load(config.data))
    np.testing.assert_array_equal(stored.test, seen)
