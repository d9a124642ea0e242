"""Examples and notebooks run, and do what they are there to show."""

import contextlib
import dataclasses
import json
import runpy
from pathlib import Path

import jax
import matplotlib
import nbformat
import numpy as np
import pytest
from PIL import Image
from tiny import untrained

from ltjax import main, run
from ltjax.classifier import heads
from ltjax.config import file
from ltjax.data import longtail, sources
from ltjax.evaluation import scores
from ltjax.models import pretrained
from ltjax.posterior import swag
from ltjax.stages import loading, trained

matplotlib.use("Agg")
from matplotlib import pyplot

pytestmark = pytest.mark.usefixtures("thin")

ROOT = Path(__file__).parent.parent
DIGITS = file.CONFIGS / "digits_lt.py"
NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.ipynb"))
# A run of seconds.
SMALL = (
    *("--model.depth", "8", "--model.width", "4", "--optim.batch-size", "8"),
    *("--optim.epochs", "4", "--optim.warmup-epochs", "1", "--swa.start", "2"),
    *("--swa.rank", "2", "--posterior.samples", "2", "--classifier.views", "1"),
    *("--classifier.epochs", "2", "--classifier.methods", "la", "srepr"),
)
FEW_DIGITS = ["--config", str(DIGITS), *SMALL]
FEW_DIGITS += ["--data.largest", "20", "--data.imbalance-factor", "10"]


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))


def test_srepr_improves_a_model_of_any_framework(examples):
    import srepr_any_model

    found = srepr_any_model.main(srepr_any_model.MODELS)
    assert len(found) == 6
    for name in srepr_any_model.MODELS:
        plain, ours = found[name, "plain"], found[name, "SRepr"]
        assert ours["few"] > plain["few"]
        assert ours["NLL"] < 0.95 * plain["NLL"]
        assert ours["ECE"] < plain["ECE"]


def test_the_draws_of_the_regression_spread_beyond_the_points(examples, tmp_path):
    import swag_regression

    spread = swag_regression.main(tmp_path / "new.png")
    assert 0 < spread["among the points"] < spread["beyond the points"] < 1
    committed = ROOT / "docs" / "figures" / "swag_regression.png"
    assert committed.stat().st_size < 200_000
    with Image.open(committed) as kept, Image.open(tmp_path / "new.png") as new:
        assert kept.size == new.size
        # Another machine rounds otherwise, and draws the same curves.
        pixels = [np.asarray(image.convert("L"), float) for image in (kept, new)]
    assert np.abs(pixels[0] - pixels[1]).mean() < 5


def cells(path):
    return nbformat.read(path, as_version=4).cells


def tagged(path, tag):
    (cell,) = (c for c in cells(path) if tag in c.metadata.get("tags", ()))
    return cell


def execute(path, folder, change):
    """Runs a notebook's code but the installation; its names at the end.

    `change(names)` is called after the cell of parameters.
    """
    names = {}
    with contextlib.chdir(folder):
        for cell in cells(path):
            tags = cell.metadata.get("tags", ())
            if cell.cell_type == "code" and "install" not in tags:
                code = compile(cell.source, f"{path.name}:{cell.id}", "exec")
                with pytest.MonkeyPatch.context() as patch:
                    if cell.id == "device":  # as where there is no accelerator
                        patch.setattr("shutil.which", lambda name: None)
                        patch.setattr("glob.glob", lambda pattern: [])
                    exec(code, names)
            if "parameters" in tags:
                change(names)
    drawn = [pyplot.figure(number).axes[0] for number in pyplot.get_fignums()]
    pyplot.close("all")
    return names, [[line.get_ydata() for line in axes.lines] for axes in drawn]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_whole_and_stripped(path):
    notebook = json.loads(path.read_text())
    nbformat.validate(notebook)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in code)
    assert all(cell["execution_count"] is None for cell in code)
    assert "tensorflow" not in path.read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_asks_for_the_source_and_installs_it(
    path, monkeypatch, tmp_path
):
    cell = tagged(path, "install")
    assert next(c for c in cells(path) if c.cell_type == "code") == cell
    with pytest.raises(SystemExit, match=r"^SOURCE is empty: give it .*$"):
        exec(cell.source, {})
    called = []
    monkeypatch.setattr("subprocess.run", lambda args, check: called.append(args[-1]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("glob.glob", lambda pattern: [])
    for source in ("ltjax.whl", "git+https://HOST/NAME/ltjax"):
        assert cell.source.count('SOURCE = ""') == 1
        exec(cell.source.replace('SOURCE = ""', f"SOURCE = {source!r}"), {})
    extra = {"quickstart_gpu": "[cuda]", "quickstart_tpu": "[tpu]"}.get(path.stem, "")
    assert called == [
        f"ltjax{extra} @ {(tmp_path / 'ltjax.whl').as_uri()}",
        f"ltjax{extra} @ git+https://HOST/NAME/ltjax",
    ]


@pytest.mark.parametrize(
    ("tool", "devices", "extra"),
    [("/bin/nvidia-smi", [], "[cuda]"), (None, ["/dev/accel0"], "[tpu]")],
)
def test_the_folder_notebook_installs_what_the_accelerator_needs(
    tool, devices, extra, monkeypatch
):
    (path,) = (path for path in NOTEBOOKS if path.stem == "own_folder")
    called = []
    monkeypatch.setattr("subprocess.run", lambda args, check: called.append(args[-1]))
    monkeypatch.setattr("shutil.which", lambda name: tool)
    monkeypatch.setattr("glob.glob", lambda pattern: devices)
    source = tagged(path, "install").source
    exec(source.replace('SOURCE = ""', 'SOURCE = "git+https://HOST/ltjax"'), {})
    assert called == [f"ltjax{extra} @ git+https://HOST/ltjax"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("tool", "devices", "kind"),
    [("/bin/nvidia-smi", [], "GPU"), (None, ["/dev/accel0"], "TPU")],
)
def test_a_notebook_stops_where_jax_has_lost_the_accelerator(
    path, tool, devices, kind, monkeypatch
):
    (cell,) = (cell for cell in cells(path) if cell.id == "device")
    monkeypatch.setattr("shutil.which", lambda name: tool)
    monkeypatch.setattr("glob.glob", lambda pattern: devices)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    with pytest.raises(SystemExit, match=rf"^{kind}: it is here, and JAX does not"):
        exec(cell.source, {})
    monkeypatch.setattr(jax, "default_backend", kind.lower)
    exec(cell.source, {})


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory):
    """Where the quickstarts run."""
    return tmp_path_factory.mktemp("digits")


@pytest.mark.parametrize("name", ["quickstart_gpu", "quickstart_tpu"])
def test_a_quickstart_runs_on_the_digits(name, digits_folder):
    path = ROOT / "experiments" / "notebooks" / f"{name}.ipynb"

    def change(names):
        ours = dataclasses.replace(file.read(DIGITS), name=DIGITS.stem)
        assert names["config"] == ours
        names["config"] = main.read(FEW_DIGITS)[0]

    names, drawn = execute(path, digits_folder, change)
    stored = json.loads((digits_folder / names["OUT"] / "results.json").read_text())
    assert names["results"] == stored
    per_class, losses = drawn
    assert [len(line) for line in per_class] == [10] * 3
    assert [len(line) for line in losses] == [4] * 2
    assert np.isfinite(losses).all()


def test_a_head_of_ones_own_is_trained_on_a_finished_run(
    examples, digits_folder, capsys
):
    import own_head

    with contextlib.chdir(digits_folder):
        figures = own_head.compare(FEW_DIGITS)
        config, out, _ = main.read(FEW_DIGITS)
        stored = trained.held(out, "swa", config, loading.load(config.data))
    shown = capsys.readouterr().out.splitlines()
    assert any("holds this run, finished" in line for line in shown)
    assert shown[-1].split()[:3] == ["ldam", "this", "file"]
    assert shown[-1].split()[4] == str(round(figures["acc"]["all"], 2))
    begun = own_head.init(jax.random.key(0), *stored.head["kernel"].shape)
    before, _ = scores.score(
        heads.one_pass(own_head.logits, begun),
        stored.test[:1],
        stored.data.test.label,
        longtail.groups(stored.index.counts),
    )
    assert figures["nll"] < before["nll"] - 0.3


def test_the_head_of_ones_own_is_a_cosine_classifier(examples):
    import own_head

    features = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    params = {"kernel": np.array([[2.0, 0.0], [0.0, 5.0]], np.float32)}
    logits = own_head.logits(params, features)
    np.testing.assert_allclose(logits, [[6.0, 8.0], [0.0, 0.0]], rtol=1e-6)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with `photos`, 60 images of four classes.

    Whoever has a package of weights is proposed another network than those who have
    none.
    """
    monkeypatch.setattr(pretrained, "installed", lambda package: False)
    digits = sources.digits()
    for digit, count in enumerate((24, 18, 12, 6)):
        folder = tmp_path / "photos" / f"digit {digit}"
        folder.mkdir(parents=True)
        for row in np.flatnonzero(digits.train.label == digit)[:count]:
            Image.fromarray(digits.train.image[row, ..., 0]).save(folder / f"{row}.png")
    return tmp_path


def own_folder(photos):
    def change(names):
        names["FLAGS"] = list(SMALL)

    path = ROOT / "experiments" / "notebooks" / "own_folder.ipynb"
    names, (per_class,) = execute(path, photos, change)
    assert names["names"] == [f"digit {digit}" for digit in range(4)]
    assert [len(line) for line in per_class] == [4] * 3
    assert (photos / "own.py").exists()
    return per_class


def test_a_folder_of_ones_own_images_up_to_its_training(photos, monkeypatch):
    # What is trained is trained in the quickstarts, too; here it is made up.
    accuracy = [0.9, 0.7, None, 0.5]
    rows = ("sgd-none", "swa-la", "swa-srepr")
    made_up = untrained(accuracy=dict.fromkeys(rows, accuracy))
    monkeypatch.setattr(run, "stages", made_up)
    for line in own_folder(photos):
        np.testing.assert_array_equal(np.array(line, float), np.array(accuracy, float))


@pytest.mark.slow
def test_a_folder_of_ones_own_images(photos):
    for line in own_folder(photos):
        assert ((line >= 0) & (line <= 1)).all()


def test_a_smaller_posterior_varies_as_much():
    rng = np.random.default_rng(0)
    state = swag.init({"a": np.zeros((3, 2)), "b": np.zeros(4)}, rank=5)
    for _ in range(7):
        state = swag.update(
            state, {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4)}
        )
    shrunk = runpy.run_path(str(ROOT / "examples" / "make_posterior.py"))["shrunk"]
    small = shrunk(state, 2)

    def variances(state, rank):
        count = min(int(state.count), rank)
        return jax.tree.map(
            lambda scatter, rows: (
                scatter / state.count + (rows**2).sum(0) / (count - 1)
            ),
            state.scatter,
            state.deviations,
        )

    assert jax.tree.leaves(small.deviations)[0].shape[0] == 2
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
        variances(small, 2),
        variances(state, 5),
    )
