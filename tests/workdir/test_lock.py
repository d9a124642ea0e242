import os
import subprocess
import sys
import types

import pytest

from ltjax.mistake import Mistake
from ltjax.workdir import lock


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
        from ltjax.workdir import lock
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


class Windows(types.ModuleType):
    """The `msvcrt` of Windows: a byte of a file is locked until its file is closed."""

    LK_NBLCK = 2

    def __init__(self):
        super().__init__("msvcrt")
        self.locked = {}

    def locking(self, descriptor, mode, count):
        assert (mode, count) == (self.LK_NBLCK, 1)
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        # What is locked can be read by nobody else, so it must lie beyond the text.
        assert os.lseek(descriptor, 0, os.SEEK_CUR) > 10_000
        other = self.locked.get(name)
        # A number that is given again belongs to a new file.
        if other not in (None, descriptor) and self._open(other, name):
            raise PermissionError(13, "Permission denied")
        self.locked[name] = descriptor

    def _open(self, descriptor, name):
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}") == name
        except OSError:
            return False


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux's /proc")
def test_windows_locks_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", Windows())
    test_one_at_a_time(tmp_path)
    (said,) = {
        (tmp_path / name / lock.NAME).read_text() for name in ("runs/x", "other")
    }
    assert said.startswith(f"process {os.getpid()} on ")


def test_without_locks_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    with lock.held(tmp_path), lock.held(tmp_path):
        assert (tmp_path / lock.NAME).exists()
