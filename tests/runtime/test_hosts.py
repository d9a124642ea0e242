"""Two processes of two devices each come to what one process comes to."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import hosts_worker
import jax
import numpy as np
import pytest
import tiny
from hosts_worker import refusal

import ltjax
from ltjax.run import run
from ltjax.runtime import hosts

TESTS = Path(__file__).parents[1]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module", autouse=True)
def light():
    with pytest.MonkeyPatch.context() as patch:
        hosts_worker.lighten(patch.setattr)
        yield


def in_two(work, place):
    """Two processes that do `work` of `hosts_worker` in the folder."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            (str(Path(ltjax.__file__).parents[1]), str(TESTS))
        ),
        "JAX_NUM_CPU_DEVICES": "2",
        "JAX_PLATFORMS": "cpu",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    command = [sys.executable, TESTS / "hosts_worker.py", work, place]
    command += [f"127.0.0.1:{free_port()}", "2"]
    processes = [
        subprocess.Popen(
            [*command, str(index)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)


@pytest.fixture(scope="module")
def place(tmp_path_factory, compiled_once):
    """A folder in which two processes ran, told of below."""
    place = tmp_path_factory.mktemp("hosts")
    # Odd numbers, so that statistics, features and scores meet unequal parts.
    tiny.save(place / "train.npz", [25] * tiny.CLASSES, 0)
    tiny.save(place / "test.npz", [5, 5, 5, 2], 1)
    hosts_worker.zoo(place)
    in_two("work", place)
    return place


@pytest.fixture(scope="module")
def told(place):
    return [json.loads((place / f"told{index}.json").read_text()) for index in range(2)]


@pytest.fixture(scope="module")
def alone(place):
    """The folder of the same run in one process."""
    run(hosts_worker.small(place), place / "alone", tiny.quiet())
    return place / "alone"


def losses(out):
    lines = (out / "metrics.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    return [e["loss"] for e in events if e["event"] in ("epoch", "head_epoch")]


def figures(rows):
    """All numbers of the rows, but the seconds, and their names."""
    names, numbers = [], []
    for row in rows:
        names.append([row[key] for key in ("backbone", "classifier", "variant")])
        scores = {**row["acc"], **{key: row[key] for key in ("nll", "ece", "brier")}}
        numbers.append([np.nan if s is None else s for s in scores.values()])
    return names, np.array(numbers)


def rows(out):
    return json.loads((out / "results.json").read_text())["rows"]


def assert_same_rows(rows, others):
    (names, found), (wanted_names, wanted) = figures(rows), figures(others)
    assert names == wanted_names
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_the_processes_share_their_devices(told):
    assert [each["devices"] for each in told] == [4, 4]


@pytest.mark.parametrize("rule", hosts_worker.RULES)
def test_the_order_of_an_epoch_is_that_of_one_process_exactly(place, rule):
    wanted = hosts_worker.orders()[rule]
    for index in range(2):
        with np.load(place / f"orders{index}.npz", allow_pickle=False) as found:
            np.testing.assert_array_equal(found[rule], wanted)


def test_two_processes_have_the_losses_and_rows_of_one(place, told, alone):
    found, wanted = losses(place / "pair"), losses(alone)
    assert len(found) == len(wanted) == 5  # written by one process only
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    results = json.loads((place / "pair" / "results.json").read_text())
    assert_same_rows(
        results["rows"], json.loads((alone / "results.json").read_text())["rows"]
    )
    for each in told:
        assert_same_rows(each["rows"], results["rows"])


def test_one_process_goes_on_with_a_run_of_two(place, alone, told):
    out = place / "resumed"
    shutil.copytree(place / "pair", out)
    (out / "results.json").unlink()
    shutil.rmtree(out / "checkpoints" / "swa" / "4")
    shutil.rmtree(out / "checkpoints" / "features" / "swa")
    shutil.rmtree(out / "checkpoints" / "heads" / "swa")
    # With deviations elsewhere, too.
    config = hosts_worker.keeping(hosts_worker.small(place), "host")
    results = run(config, out, tiny.quiet())
    assert_same_rows(
        results["rows"], json.loads((alone / "results.json").read_text())["rows"]
    )
    lines = (out / "metrics.jsonl").read_text().splitlines()
    epochs = [json.loads(line).get("epoch") for line in lines if '"epoch": 4' in line]
    assert len(epochs) == 2  # before, and again


def test_a_mistake_of_one_process_is_told_by_all(told):
    assert [each["together"] for each in told] == [["process 1: a file is missing"]] * 2


def test_a_mistake_on_the_way_to_where_others_wait_is_told_by_all(told):
    assert [each["within"] for each in told] == ["process 1: a file is missing"] * 2


def test_processes_that_part_are_told_so(told):
    for each in told:
        assert each["elsewhere"].startswith("process 1 does something else than")


def test_what_is_gathered_may_be_of_any_length(told):
    assert [each["long"] for each in told] == [True, True]


def test_work_is_divided_and_comes_back_in_order(told):
    for each in told:
        assert each["divided"] == [[0, 0], [1, 1], [2, 0], [3, 1], [4, 0]]


def test_a_finished_run_started_again_tells_all_its_results(told):
    assert [each["again"] for each in told] == [True, True]


def test_each_file_is_looked_at_by_one_process_and_known_to_all(place, told):
    alone = hosts_worker.looked(hosts_worker.streamed(place).data)
    assert alone["read"] == [f"{at:02d}.png" for at in range(15)]
    assert [len(each["looked"]["read"]) for each in told] == [8, 7]
    both = [name for each in told for name in each["looked"]["read"]]
    assert sorted(both) == alone["read"]
    for each in told:
        for what in ("skipped", "digests"):
            assert each["looked"][what] == alone[what]
    assert [file["path"] for file in alone["skipped"]] == ["a/03.png"]


def test_two_processes_stream_as_one_does(place, tmp_path):
    in_two("stream", place)
    wanted = run(hosts_worker.streamed(place), tmp_path / "alone", tiny.quiet())
    for index in range(2):
        rows = json.loads((place / f"streamed{index}.json").read_text())
        assert_same_rows(rows, wanted["rows"])


def test_another_config_in_one_process_is_refused_by_all(place, told):
    for each in told:
        assert each["config"].startswith("process 1 has another config or data than")
    assert not (place / "never").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"count": 2},
            "hosts.coordinator is None; give hosts.coordinator, hosts.count",
        ),
        ({"coordinator": "a:1", "count": 2}, "hosts.index is None; give"),
        (
            {"coordinator": "a:1", "count": 0, "index": 0},
            "hosts.count is 0; it must be at least 1",
        ),
        (
            {"coordinator": "a:1", "count": 2, "index": 2},
            "hosts.index is 2; it must be in 0..hosts.count - 1",
        ),
        (
            {"coordinator": "a", "count": 2, "index": 1},
            "hosts.coordinator is 'a'; it must be HOST:PORT",
        ),
    ],
)
def test_half_an_address_is_refused(given, message):
    assert refusal(lambda: hosts.join(**given)).startswith(message)


def test_a_port_in_use_is_refused():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal(lambda: hosts.join(f"127.0.0.1:{port}", 2, 0))
    assert said.startswith(
        f"hosts.coordinator names port {port}: Address already in use"
    )


def test_hosts_that_do_not_meet_are_a_mistake(monkeypatch):
    def fail(*args):
        raise ValueError("coordinator_address should be defined.\nmore")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    monkeypatch.setattr(jax.config, "update", lambda *setting: None)
    message = "the hosts of the run do not meet: coordinator_address should be defined."
    assert refusal(lambda: hosts.join(detect=True)) == message


def test_without_an_address_the_process_stays_alone(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", None)
    hosts.join()
    assert hosts.first()
    assert hosts.together(lambda: 3) == 3
    hosts.agree("config", None)
