"""The machine that a process works on, or the part of it that a container leaves it.

Linux limits the memory and the time on cores of control groups, in one of two versions
of which both may be there. A group's limits hold for all below it.
"""

import os
import platform
import re
from pathlib import Path

_ROOT = Path("/")
_VECTORS = re.compile(r"sse4_2|ssse3|avx\w*|fma\w*|amx\w*|asimd\w*|sve\w*")


def memory(root=_ROOT):
    """Bytes of memory that this process may use; None where the system does not tell.

    Those of the machine or, if it is less, of the smallest limit of a control group
    above the process. `root` is where `proc` and the rest of the file system begin.
    """
    found = [_physical(), *_limits(root, "memory", _memory_limit)]
    return min((size for size in found if size is not None), default=None)


def cores(root=_ROOT):
    """The cores that this process may use, and not always a whole number of them."""
    return min([_allowed(), *_limits(root, "cpu", _share)])


def threads(root=_ROOT):
    """How many threads keep these cores at work: of 1.5 cores it takes two."""
    return max(1, -int(-cores(root) // 1))


def processor(root=_ROOT):
    """What decides last bits in words: the processor's model, vectors and cores.

    XLA takes a thread for every core that the process may run on, whatever time it has
    there, and divides sums among them.
    """
    about = {}
    for line in _lines(root / "proc/cpuinfo"):
        name, colon, value = line.partition(":")
        if not line.strip() and about:  # the next core
            break
        if colon:
            about[name.strip()] = value.strip()
    model = about.get("model name") or platform.processor() or platform.machine()
    numbers = [
        f"{name} {about[name]}"
        for name in ("cpu family", "model", "CPU implementer", "CPU part")
        if name in about
    ]
    flags = about.get("flags", about.get("Features", "")).split()
    vectors = sorted({flag for flag in flags if _VECTORS.fullmatch(flag)})
    cores = _allowed()
    count = f"{cores} core" + ("s" if cores > 1 else "")
    told = model, ", ".join(numbers), " ".join(vectors), count
    return "; ".join(filter(None, told))


def _physical():
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has none of it
        return None


def _allowed():
    # A cpuset and `taskset` show here; macOS and Windows have neither.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limits(root, controller, limit):
    """`limit(folder)` of every control group of this process, less those without."""
    found = (limit(folder) for folder in _groups(root, controller))
    return [value for value in found if value is not None]


def _groups(root, controller):
    """The folders of the groups above this process that a controller may have."""
    paths = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = line.rstrip("\n").split(":", 2)
        if controllers == "" and number == "0":
            paths["cgroup2"] = path
        elif controller in controllers.split(","):
            paths["cgroup"] = path
    for line in _lines(root / "proc/self/mountinfo"):
        mounted, _, kind = line.partition(" - ")
        kind, _, options = [*kind.split(), "", "", ""][:3]
        if kind == "cgroup" and controller not in options.split(","):
            continue
        if kind not in paths:
            continue
        # Octal for blanks and the like; what is mounted may itself lie below the top.
        top, place = (
            re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), field)
            for field in mounted.split()[3:5]
        )
        base = root / place.lstrip("/")
        inner = os.path.relpath(paths[kind], top)
        # A process may also be beside what its container sees.
        below = [] if inner.startswith("..") else [p for p in inner.split("/") if p]
        yield from (base.joinpath(*below[:depth]) for depth in range(len(below) + 1))


def _memory_limit(folder):
    """Bytes; "max" of the second version is none, 2^63 of the first is beyond all."""
    found = [
        int(text)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := _text(folder / name)).isdecimal()
    ]
    # A container of the first version does not see the groups above it; this does.
    stat = _text(folder / "memory.stat")
    above = re.findall(r"^hierarchical_memory_limit (\d+)$", stat, re.MULTILINE)
    return min([*found, *map(int, above)], default=None)


def _share(folder):
    """Cores' worth of time; "max", and -1 of the first version, are no limit."""
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    if not quota:
        quota = _text(folder / "cpu.cfs_quota_us")
        period = _text(folder / "cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(period):
        return int(quota) / int(period)
    return None


def _lines(file):
    return _text(file).splitlines()


def _text(file):
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
