import subprocess
import sys

import pytest

from ltjax import lock
from ltjax.mistake import Mistake


def test_one_at_a_time(tmp_path):
    path = tmp_path / "runs" / "x"
    with lock.held(path):
        with pytest.raises(Mistake) as caught, lock.held(path):
            pass
        assert str(caught.value).startswith(f"--out {path} is in use by process ")
        with lock.held(tmp_path / "other"):
            pass
    with lock.held(path):
        pass


def test_a_process_that_is_killed_holds_nothing(tmp_path):
    code = """if True:
        import pathlib, sys
        from ltjax import lock
        with lock.held(pathlib.Path(sys.argv[1])):
            print("held", flush=True)
            sys.stdin.read()
        """
    with subprocess.Popen(
        (sys.executable, "-c", code, tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        refused = pytest.raises(Mistake, match=f"in use by process {other.pid} on ")
        with refused, lock.held(tmp_path):
            pass
        other.kill()
        other.wait()
        with lock.held(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Mistake, match="cannot be written"):
        lock.held(tmp_path / "file" / "x").__enter__()
