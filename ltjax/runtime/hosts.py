"""The processes of a run, one for every host; usually there is one.

Each has all images, computes the same batches and runs the same programs, over the
devices of all. The first one alone writes files; checkpoints are written together.
"""

import hashlib
import json
import socket

import jax
import numpy as np
from jax.experimental import multihost_utils

from ltjax.mistake import Mistake
from ltjax.runtime import shortage


class _Told(Mistake):
    """A mistake of one process that all have heard of."""


def join(coordinator=None, count=None, index=None, detect=False):
    """Makes this process the one numbered `index` of `count`; before any computation.

    `coordinator` is the address HOST:PORT at which process 0 can be reached. With
    `detect` JAX finds what is not given: it knows Slurm, Open MPI, Cloud TPUs and, with
    its extra `k8s`, Kubernetes. Without anything the process stays alone. Raises
    `Mistake` for half an address, or where the others cannot be found.
    """
    given = {"coordinator": coordinator, "count": count, "index": index}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given) and not detect:
        return
    if missing and not detect:
        raise Mistake(
            f"hosts.{missing[0]} is None; give hosts.coordinator, hosts.count and "
            "hosts.index, or --hosts.detect"
        )
    if count is not None and count < 1:
        raise Mistake(f"hosts.count is {count}; it must be at least 1")
    if index is not None and not 0 <= index < (count or index + 1):
        raise Mistake(f"hosts.index is {index}; it must be in 0..hosts.count - 1")
    if coordinator is not None:
        port = coordinator.rpartition(":")[2]
        if not port.isdigit() or not 0 < int(port) < 2**16:
            raise Mistake(f"hosts.coordinator is {coordinator!r}; it must be HOST:PORT")
        if index == 0:
            _check_free(int(port))
    # With it SIGTERM would be noted and not reach the handlers of the command line.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(coordinator, count, index)
    except (RuntimeError, ValueError, OSError) as error:
        line = str(error).splitlines()[0]
        raise Mistake(f"the hosts of the run do not meet: {line}") from error


def _check_free(port):
    # JAX would end the process with a segmentation fault.
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("", port))
        except OSError as error:
            raise Mistake(
                f"hosts.coordinator names port {port}: {error.strerror}; give another"
            ) from error


def first():
    """Whether this is the process that writes files."""
    return jax.process_index() == 0


def together(action):
    """The value of `action()`, done in every process, when all have done it.

    A `Mistake` of one, or memory that was used up, is raised in all: none waits for
    another that has gone. An action may itself bring things together.
    """
    if jax.process_count() == 1:
        return action()
    value, said = None, None
    try:
        value = action()
    except _Told:
        raise
    except Mistake as mistake:
        said = str(mistake)
    except OSError as error:  # a full disk, say
        said = f"{error.filename}: {error.strerror or error}"
    except (RuntimeError, MemoryError) as error:
        said = shortage.told(error)
        if said is None:
            raise
    _exchanged("together", None, said)
    return value


def by_first(action):
    """Does `action()` in the first process only; all go on when it is done."""
    together(action if first() else lambda: None)


def agree(what, text):
    """Raises `Mistake` in every process unless `text()` is the same in all of them."""
    if jax.process_count() == 1:
        return
    found = gathered(hashlib.sha256(text().encode()).hexdigest())
    others = [index for index, digest in enumerate(found) if digest != found[0]]
    if others:
        raise Mistake(
            f"process {others[0]} has another {what} than process 0; all need the same "
            "command and the same files"
        )


def gathered(value):
    """What every process brings here, JSON-ready and of any length, in their order."""
    if jax.process_count() == 1:
        return [value]
    return _exchanged("gathered", value)


def divided(work, count):
    """`work(rows)` of the rows 0..count - 1: a list with something JSON-ready of each.

    Every process does its share of the rows, and all get all.
    """
    processes = jax.process_count()
    if processes == 1:
        return work(range(count))
    whole, mine = [None] * count, range(jax.process_index(), count, processes)
    for first, found in enumerate(_exchanged(f"divided {count}", work(mine))):
        whole[first::processes] = found
    return whole


def _exchanged(place, value, failed=None):
    """The values that the processes bring to a `place` of the story.

    Raises a mistake in all of them where one has `failed`, wherever that was, or has
    come to another place.
    """
    message = json.dumps({"place": place, "value": value, "failed": failed})
    found = [json.loads(message) for message in _gathered(message.encode())]
    for index, other in enumerate(found):
        if other["failed"] is not None:
            raise _Told((f"process {index}: " if index else "") + other["failed"])
    for index, other in enumerate(found):
        if other["place"] != found[0]["place"]:
            raise _Told(
                f"process {index} does something else than process 0; all need the "
                "same command and the same files"
            )
    return [other["value"] for other in found]


def _gathered(message):
    """The bytes that every process brings here."""
    length = np.array([len(message)], np.int32)
    lengths = multihost_utils.process_allgather(length).ravel()
    # A power of two: a program is compiled for every size.
    padded = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)
    padded[: len(message)] = np.frombuffer(message, np.uint8)
    rows = multihost_utils.process_allgather(padded)
    return [row[:count].tobytes() for row, count in zip(rows, lengths)]
