"""One process at a time works in the folder of a run."""

import contextlib
import fcntl
import os
import socket

from ltjax.mistake import Mistake

NAME = ".lock"


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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Mistake(
                f"--out {path} is in use by {file.read() or 'another process'}; wait "
                "for its end, or give another --out"
            ) from None
        except OSError:  # a file system without locks
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
