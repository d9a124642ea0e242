"""Processes beside each other, with small ones in the place of runs."""

import json
import os
import sys

import pytest

from ltjax.mistake import Mistake
from ltjax.runtime import processes
from ltjax.runtime.stopping import PARENT, asked_to_stop


def script(text):
    return [sys.executable, "-c", text]


def never():
    return None


# What devices each gets


@pytest.fixture
def machine(monkeypatch):
    def of(backend, devices, visible=None):
        monkeypatch.setattr(processes, "_devices", lambda: (backend, devices))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return of


def gpus(environments):
    return [each.get("CUDA_VISIBLE_DEVICES") for each in environments]


def test_every_seed_has_a_gpu_of_its_own_as_long_as_they_last(machine):
    machine("gpu", 4)
    assert gpus(processes.environments(3, None)) == ["0", "1", "2"]
    assert gpus(processes.environments(9, None)) == ["0", "1", "2", "3"]
    machine("gpu", 2, "GPU-5f,7")
    assert gpus(processes.environments(3, None)) == ["GPU-5f", "7"]


def test_a_number_of_processes_shares_all_gpus(machine):
    machine("gpu", 8)
    assert gpus(processes.environments(5, 2)) == ["0,1,2,3", "4,5,6,7"]
    assert gpus(processes.environments(5, 3)) == ["0,1", "2,3", "4,5"]
    assert processes.environments(5, 1) == [{}]
    with pytest.raises(Mistake, match="parallel is 9; it must be at most the 8 GPUs"):
        processes.environments(9, 9)


def test_one_process_is_no_other_process(machine):
    machine("gpu", 1)
    assert processes.environments(3, None) == [{}]
    machine("gpu", 8)
    assert processes.environments(1, None) == [{}]


def test_cpus_are_not_shared_unless_asked_for(machine):
    machine("cpu", 1)
    assert processes.environments(3, None) == [{}]
    assert processes.environments(3, 2) == [{}, {}]


def test_other_devices_have_one_process(machine):
    machine("tpu", 8)
    assert processes.environments(3, None) == [{}]
    with pytest.raises(Mistake, match="parallel is 2; on tpu it must be 1"):
        processes.environments(3, 2)


def test_the_devices_are_those_of_another_process(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "3")
    assert processes._devices() == ("cpu", 3)
    monkeypatch.setenv("JAX_PLATFORMS", "none_such")
    with pytest.raises(Mistake, match=r"no devices are found: .*none_such"):
        processes._devices()


# How they end


def test_each_runs_once_and_no_two_in_one_environment(tmp_path):
    tell = (
        "import json, os, sys, time; begin = time.time(); time.sleep(0.3); "
        "json.dump([os.environ['SHARE'], begin, time.time()], open(sys.argv[1], 'w'))"
    )
    commands = {seed: [*script(tell), str(tmp_path / str(seed))] for seed in range(5)}
    shares = [{"SHARE": "a"}, {"SHARE": "b"}]
    assert processes.run(commands, shares, never) == dict.fromkeys(range(5), 0)
    told = [json.loads((tmp_path / str(seed)).read_text()) for seed in range(5)]
    assert {share for share, *_ in told} == {"a", "b"}
    for one, (share, begin, end) in enumerate(told):
        for other, begin_other, end_other in told[:one]:
            if share == other:
                assert begin >= end_other or begin_other >= end


def test_what_they_print_has_their_seed(capfd):
    text = "import sys; print('über'); print(); print('x', file=sys.stderr)"
    processes.run({7: script(text)}, [{"PYTHONIOENCODING": "utf-8"}], never)
    assert capfd.readouterr() == ("7: über\n7:\n", "7: x\n")
    processes.run({7: script(text)}, [{}], never, errors_only=True)
    assert capfd.readouterr() == ("", "7: x\n")


def test_after_a_failure_none_begins_and_those_that_run_go_on(tmp_path):
    late = f"import time; time.sleep(1); open({str(tmp_path / 'late')!r}, 'w')"
    commands = {0: script("raise SystemExit(2)"), 1: script(late), 2: script("")}
    assert processes.run(commands, [{}, {}], never) == {0: 2, 1: 0}
    assert (tmp_path / "late").exists()


def test_one_that_was_killed_has_the_code_of_a_shell():
    kill = script("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert processes.run({0: kill}, [{}], never) == {0: 137}


def test_all_are_asked_to_stop_once_and_waited_for(tmp_path):
    # A second signal would end it with 143, and the file would not be there.
    patient = """if True:
        import pathlib, signal, sys, time
        def note(*_):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(0.5)
            pathlib.Path(sys.argv[1], "saved").touch()
            raise SystemExit(143)
        signal.signal(signal.SIGTERM, note)
        pathlib.Path(sys.argv[1], "ready").touch()
        time.sleep(60)
        """
    commands = {}
    for seed in (0, 1, 2):
        (tmp_path / str(seed)).mkdir()
        commands[seed] = [*script(patient), str(tmp_path / str(seed))]

    def stopping():
        ready = all((tmp_path / str(seed) / "ready").exists() for seed in (0, 1))
        return 75 if ready else None

    assert processes.run(commands, [{}, {}], stopping) == {0: 143, 1: 143}
    assert sorted(path.parent.name for path in tmp_path.glob("*/saved")) == ["0", "1"]


def test_an_error_here_leaves_no_process_behind(tmp_path):
    path = tmp_path / "pid"
    write = f"import os, time; open({str(path)!r}, 'w').write(str(os.getpid()))"
    commands = {0: script(f"{write}; time.sleep(60)")}

    def stopping():
        if path.exists() and path.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.run(commands, [{}], stopping)
    with pytest.raises(ProcessLookupError):
        os.kill(int(path.read_text()), 0)


def test_a_process_whose_parent_is_gone_is_asked_to_stop(monkeypatch):
    monkeypatch.setenv(PARENT, str(os.getppid()))
    with asked_to_stop(None) as stopping:
        assert stopping() is None
    monkeypatch.setenv(PARENT, "1234567")  # of which this one is no child
    with asked_to_stop(None) as stopping:
        assert stopping() == 143


def test_what_begins_a_process_is_named_to_it(capfd):
    told = script(f"import os; print(os.environ['{PARENT}'] == str(os.getppid()))")
    assert processes.run({0: told}, [{}], never) == {0: 0}
    assert capfd.readouterr().out == "0: True\n"
