"""One process at a time works in the folder of a run."""

import contextlib
import os
import socket

from ltjax.mistake import Mistake

NAME = ".lock"
# Windows lets nobody read what is locked, so a byte beyond the text is.
_BEYOND = 2**30


@contextlib.contextmanager
def held(path):
    """A context in which the folder `path`, made if need be, is this process's alone.

    The kernel ends it with the process, however that ends. Raises `Mistake` where
    another process has it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise Mistake(f"--out {path} cannot be written: {error.strerror}") from error
    with file:
        if not _taken(file.fileno()):
            file.seek(0)
            raise Mistake(
                f"--out {path} is in use by {file.read() or 'another process'}; wait "
                "for its end, or give another --out"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _taken(descriptor):
    """Locks an open file; False where another process has it."""
    try:
        import fcntl
    except ImportError:
        return _taken_on_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def _taken_on_windows(descriptor):
    try:
        import msvcrt
    except ImportError:  # neither has locks
        return True
    os.lseek(descriptor, _BEYOND, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    except OSError:
        pass
    return True
