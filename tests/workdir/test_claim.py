import dataclasses
import json
import shutil
import subprocess
from importlib.metadata import version

import jax
import numpy as np
import pytest

import ltjax
from ltjax import machine
from ltjax.config import Checkpoint, Config, Data, Optim, Posterior, Ride, Sgd, Swa
from ltjax.data.dataset import Dataset, Split
from ltjax.mistake import Mistake
from ltjax.workdir import claim as folder
from ltjax.workdir import events, identity, versions


def split(seed, count=6):
    images = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 1))
    return Split(images.astype(np.uint8), np.arange(count, dtype=np.int32) % 2)


DATA = Dataset("mine", split(0), split(1, 4), 2)
CONFIG = Config()


def tree(path):
    """Every file below a folder and what it holds."""
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def claim(path, config=CONFIG, data=DATA, accept=False):
    folder.claim(path, config, identity.of_run(config, data), accept)


def refused(path, config=CONFIG, data=DATA):
    """The message of a claim that is refused and leaves everything as it was."""
    before = tree(path.parent)
    with pytest.raises(Mistake) as caught:
        claim(path, config, data)
    assert tree(path.parent) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "runs" / "x"
    claim(path)
    return path


def test_a_new_folder_is_made_with_the_config_in_it(run):
    assert [file.name for file in run.iterdir()] == ["config.json"]
    found = json.loads((run / "config.json").read_text())
    assert found["config"]["optim"]["lr"] == 0.1
    assert found["config"]["checkpoint"] == {"keep": 2, "every_seconds": None}


def test_an_empty_folder_will_do(tmp_path):
    claim(tmp_path)
    assert (tmp_path / "config.json").exists()


def test_the_same_run_is_found_again_and_nothing_is_written(run):
    before = tree(run)
    moved = dataclasses.replace(
        CONFIG, data=Data(train="moved.npz"), checkpoint=Checkpoint(keep=9)
    )
    for config in (CONFIG, moved):
        claim(run, config)
    assert tree(run) == before


def test_another_config_is_refused_by_its_first_difference(run):
    message = refused(run, Config(seed=3, optim=Sgd(lr=0.2)))
    assert message == (
        f"--out {run} holds another run: optim.lr was 0.1, now 0.2; give another "
        "--out, or --accept-changes to go on with what it has"
    )


def test_accepted_changes_are_recorded_and_older_results_kept(run):
    (run / "results.json").write_text("{}")
    made = ("sgd/4", "features/sgd/5", "heads/sgd/2")
    for name in made:
        (run / "checkpoints" / name).mkdir(parents=True)
    found = json.loads((run / "config.json").read_text())
    assert found["versions"].keys() == {"checkpoint format", "ltjax", "jax"}
    claim(run, Config(seed=3, optim=Sgd(lr=0.2)), accept=True)
    (change,) = folder.changes(run)
    assert change["differences"] == ["optim.lr was 0.1, now 0.2", "seed was 0, now 3"]
    assert {file.name for file in run.iterdir()} == {
        "checkpoints",
        "config.json",
        "results-before-1.json",
    }
    # What was made of the backbones is made again.
    left = [name for name in made if (run / "checkpoints" / name).exists()]
    assert left == ["sgd/4"]
    # From now on it is the changed run.
    claim(run, Config(seed=3, optim=Sgd(lr=0.2)))
    assert "seed was 3, now 0" in refused(run, Config(optim=Sgd(lr=0.2)))
    claim(run, CONFIG, dataclasses.replace(DATA, train=split(5)), accept=True)
    assert len(folder.changes(run)) == 2
    assert "its images or labels were others" in folder.changes(run)[1]["differences"]


def test_a_run_of_other_versions_is_refused(run, monkeypatch):
    monkeypatch.setattr(jax, "__version__", "0.9.3")
    message = refused(run)
    assert f"another run: jax was '{found_jax()}', now '0.9'; give" in message
    claim(run, accept=True)
    assert folder.changes(run)[0]["differences"][0].endswith("now '0.9'")
    claim(run)


def found_jax():
    return ".".join(version("jax").split(".")[:2])


def test_damaged_results_are_told_and_made_again(run):
    said = []
    assert folder.results(run, said.append) is None
    (run / "results.json").write_bytes(b'{"rows": "\xff')
    assert folder.results(run, said.append) is None
    assert len(said) == 1
    assert "results.json is damaged" in said[0]


def test_events_outlive_a_line_that_is_no_text(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"a": 1}\n\xff\xfe{\n{"a": 2}\n{"a')
    assert events.events(tmp_path) == [{"a": 1}, {"a": 2}]


def other_images():
    image = DATA.train.image.copy()
    image[3, 2, 1, 0] ^= 1
    return dataclasses.replace(DATA, train=DATA.train._replace(image=image))


def other_labels():
    label = 1 - DATA.test.label
    return dataclasses.replace(DATA, test=DATA.test._replace(label=label))


def other_order():
    turned = Split(DATA.train.image[::-1], DATA.train.label[::-1])
    return dataclasses.replace(DATA, train=turned)


@pytest.mark.parametrize("other", [other_images, other_labels, other_order])
def test_other_data_are_refused(run, other):
    message = refused(run, data=other())
    assert "holds another run: its images or labels were others" in message


NAMES = ("bird", "cat")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("bird", "dog"), "class 1 was 'cat', is 'dog'"),
        (("ant", "cat"), "class 0 was 'bird', is 'ant'"),
        (("cat", "bird"), "class 0 was 'bird', is 'cat'"),
        ((), "class 0 was 'bird', is '0'"),
        (("bird", "cat", "dog"), "classes were 2, are 3: 'dog' is new"),
        (("ant", "bird", "dog"), "classes were 2, are 3: 'ant' is new"),
        (("cat",), "classes were 2, are 1: 'bird' is gone"),
        (("a\nb", "\udcff"), "class 0 was 'bird', is 'a\\nb'"),
    ],
)
def test_other_class_names_are_another_run(tmp_path, names, says):
    path = tmp_path / "x"
    before = dataclasses.replace(DATA, class_names=NAMES)
    claim(path, data=before)
    claim(path, data=before)
    classes = len(names or NAMES)
    now = dataclasses.replace(DATA, class_names=names, classes=classes)
    assert refused(path, data=now).startswith(
        f"--out {path} holds another run: {says}; give another --out"
    )
    if classes == 2:
        claim(path, data=now, accept=True)
        assert folder.changes(path)[0]["differences"] == [says]
        claim(path, data=now)
    else:  # the head has another shape
        with pytest.raises(Mistake, match="as what it has saved does not fit"):
            claim(path, data=now, accept=True)


def test_names_without_files_of_their_own_are_numbers(tmp_path):
    path = tmp_path / "x"
    claim(path, data=dataclasses.replace(DATA, classes=3))
    more = dataclasses.replace(DATA, classes=4)
    assert "classes were 3, are 4: '3' is new" in refused(path, data=more)
    claim(path, data=dataclasses.replace(DATA, class_names=("0", "1", "2"), classes=3))


def test_a_name_in_another_unicode_form_is_the_same(tmp_path):
    path = tmp_path / "x"
    claim(path, data=dataclasses.replace(DATA, class_names=("caf\u00e9", "b")))
    claim(path, data=dataclasses.replace(DATA, class_names=("cafe\u0301", "b")))


def test_the_fingerprint_tells_shapes_and_types_apart():
    train = DATA.train
    others = [
        train._replace(image=train.image.reshape(6, 2, 8, 1)),
        train._replace(image=train.image.view(np.int8)),
        train._replace(label=train.label.astype(np.int64)),
    ]
    found = {
        identity.fingerprint(dataclasses.replace(DATA, train=s))
        for s in (train, *others)
    }
    assert len(found) == 4
    copy = Split(train.image.copy(order="F"), train.label.copy())
    assert identity.fingerprint(dataclasses.replace(DATA, train=copy)) in found


def test_the_fingerprint_has_what_the_network_takes_and_no_more():
    def of(meta, takes):
        meta = np.float32(meta).reshape(6, 1)
        train, test = (part._replace(meta=meta) for part in (DATA.train, DATA.test))
        data = dataclasses.replace(DATA, train=train, test=test)
        return identity.of_run(CONFIG, data, takes=takes)["data"]

    one, other, both = range(6), range(1, 7), ("image", "meta")
    assert of(one, ("image",)) == of(other, ("image",)) == identity.fingerprint(DATA)
    assert len({of(one, both), of(other, both), identity.fingerprint(DATA)}) == 3
    # In whichever order it takes them.
    assert of(one, both) == of(one, ("meta", "image"))


def test_a_file_is_refused(tmp_path):
    path = tmp_path / "x"
    path.write_text("mine")
    assert refused(path) == f"--out {path} is a file; it must be a folder or not exist"


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "x").write_text("mine")
    message = refused(tmp_path / "x" / "y")
    assert message == f"--out {tmp_path / 'x' / 'y'} cannot be written: Not a directory"


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "x"
    path.mkdir()
    (path / "thesis.txt").write_text("mine")
    assert refused(path).startswith(f"--out {path} holds other files")


def test_a_process_killed_in_its_first_moment_leaves_no_foreign_file(tmp_path):
    (tmp_path / "config.json.part").write_text('{"dig')
    claim(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "{}",
        '{"run": 3}',
        '{"run": {"config": 3}}',
        "\udcff",
    ],
)
def test_a_config_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "x"
    path.mkdir()
    (path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    message = refused(path)
    assert (
        message == f"{path / 'config.json'} is not a run's config; give another --out"
    )


def test_a_config_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "x" / "config.json").mkdir(parents=True)
    assert "is not a run's config" in refused(tmp_path / "x")


def test_a_disk_without_space_is_told_in_one_line(tmp_path, monkeypatch):
    def full(path, value):
        raise OSError(28, "No space left on device")

    path = tmp_path / "x"
    monkeypatch.setattr(folder, "write_json", full)
    monkeypatch.setattr(versions, "write_json", full)
    assert refused(path) == f"--out {path} cannot be written: No space left on device"
    with pytest.raises(Mistake, match="cannot be written: No space"):
        versions.record_versions(path)


def test_versions_gain_one_entry_per_process(run):
    versions.record_versions(run)
    versions.record_versions(run)
    sessions = json.loads((run / "versions.json").read_text())
    assert len(sessions) == 2
    for session in sessions:
        assert set(session) == {
            *("started", "commit", "python", "packages", "devices", "processor"),
        }
        assert session["processor"] == machine.processor()
        assert session["packages"]["ltjax"] == ltjax.__version__
        assert {"jax", "flax", "orbax-checkpoint"} <= set(session["packages"])
        assert session["started"].endswith("+00:00")
        assert session["devices"]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ({}, []),
        (
            {"processor": "Xeon; avx512f"},
            ["this run began on Xeon; avx512f; here is EPYC; avx2, where sums round"],
        ),
        ({"devices": ["Tesla T4"]}, ["this run began on Tesla T4; here is EPYC; avx2"]),
        ({"processor": None}, []),  # an earlier version did not tell
    ],
)
def test_a_run_that_goes_on_elsewhere_says_so(run, monkeypatch, first, told):
    monkeypatch.setattr(machine, "processor", lambda: "EPYC; avx2")
    versions.record_versions(run)
    (session,) = json.loads((run / "versions.json").read_text())
    session = {k: v for k, v in (session | first).items() if v is not None}
    (run / "versions.json").write_text(json.dumps([session]))
    for _ in range(2):  # it is not the last session that decides, but the first
        said = []
        versions.record_versions(run, said.append)
        assert len(said) == len(told)
        for line, start in zip(said, told):
            assert line.startswith(start)
            assert "\n" not in line


def test_damaged_json_is_told_in_one_line(run):
    (run / "versions.json").write_text("[{")
    with pytest.raises(Mistake, match=r"versions\.json is damaged \(.*\); delete it"):
        versions.record_versions(run)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout that holds one committed file, which takes the package's place."""
    file = tmp_path / "folder.py"
    file.write_text("1\n")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "x")):
        subprocess.run(("git", *words), cwd=tmp_path, check=True)
    monkeypatch.setattr(versions, "__file__", str(file))
    return file


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_the_commit_says_whether_files_were_changed(checkout):
    clean = versions.commit()
    assert len(clean) == 40
    (checkout.parent / "untracked").write_text("2\n")
    assert versions.commit() == clean
    checkout.write_text("2\n")
    assert versions.commit() == clean + "-dirty"


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_package_inside_another_checkout_has_no_commit(checkout, monkeypatch):
    monkeypatch.setattr(versions, "__file__", str(checkout.parent / "installed.py"))
    assert versions.commit() is None


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert versions.commit() is None


def test_events_leave_out_torn_lines(tmp_path):
    assert events.events(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text(
        '{"event": "a"}\n{"event": "torn", "sec\n{"event": "b"}\n{"event": "c", "se'
    )
    assert [event["event"] for event in events.events(tmp_path)] == ["a", "b"]


def test_seconds_are_summed_per_stage_over_all_processes(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        '{"event": "epoch", "epoch": 1, "stage": "representation", "seconds": 1.5}\n'
        '{"event": "head_epoch", "loss": 1}\n'
        '{"event": "time", "name": "test", "stage": "features", "seconds": 0.25}\n'
        '{"event": "epoch", "epoch": 2, "stage": "representation", "seconds": 2}\n'
        '{"event": "epoch", "epoch": 3, "stage": "representation", "seconds": 9}\n'
        '{"event": "epoch", "epoch": 3, "stage": "representation", "sec\n'
        '{"event": "epoch", "epoch": 3, "stage": "representation", "seconds": 3}\n'
        '{"event": "epoch", "epoch": 4, "stage": "representation", "sec'
    )
    # The third epoch was repeated: what a kill made vain does not count.
    assert events.seconds_per_stage(tmp_path) == {
        "representation": 6.5,
        "features": 0.25,
    }


def test_what_would_not_fit_is_refused_even_if_it_is_accepted(run):
    changes = {"posterior": Posterior(samples=3), "swa": Swa(rank=4)}
    for name, change in changes.items():
        with pytest.raises(Mistake, match="give another --out, as what it has"):
            claim(run, dataclasses.replace(CONFIG, **{name: change}), accept=True)
    claim(run)
    assert folder.changes(run) == []


def test_events_that_are_none_are_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        '3\n["stage"]\n{"stage": "features", "seconds": "2"}\n'
        '{"stage": "features", "seconds": 2}\n'
    )
    assert events.seconds_per_stage(tmp_path) == {"features": 2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(Optim):
    def make(self, steps, rate=None):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("change", "what"),
    [({"optim": Adam()}, "optim.kind"), ({"objective": Ride()}, "objective.kind")],
)
def test_what_another_optimizer_or_objective_saved_does_not_fit(run, change, what):
    """Not even where changes are accepted, and nothing is touched."""
    other = dataclasses.replace(CONFIG, **change)
    before = tree(run.parent)
    with pytest.raises(Mistake, match=rf"{what} was .* does not fit"):
        claim(run, other, accept=True)
    assert tree(run.parent) == before
