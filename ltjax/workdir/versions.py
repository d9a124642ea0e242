"""Which source is in use."""

import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax

import ltjax
from ltjax import machine
from ltjax.workdir.files import read_json, writable, write_json


def commit():
    """The commit of the source in use, with "-dirty" after it; None outside git."""
    here = Path(__file__).parent

    def git(*words):
        return subprocess.run(
            ("git", *words), cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # Installed elsewhere than in its own checkout, the package has no commit.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        dirty = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("-dirty" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return None


_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def versions():
    """What a run that goes on has to share with the one that began, to be the same."""
    from ltjax.workdir import checkpoint  # late: it needs orbax

    return {
        "checkpoint format": checkpoint.FORMAT,
        "ltjax": _minor(ltjax.__version__),
        "jax": _minor(jax.__version__),
    }


def _minor(version):
    return ".".join(version.split(".")[:2])


def record_versions(path, say=lambda line: None):
    """Adds this process to `versions.json`: time, commit, packages, devices, processor.

    Says where the run began on others, which round otherwise.
    """
    file = path / "versions.json"
    sessions = read_json(file) if file.exists() else []
    sessions.append(
        {
            "started": now(),
            "commit": commit(),
            "python": platform.python_version(),
            "packages": {
                "ltjax": ltjax.__version__,
                **packages(),
            },
            "devices": [device.device_kind for device in jax.devices()],
            "processor": machine.processor(),
        }
    )
    began, here = _calculator(sessions[0]), _calculator(sessions[-1])
    if began and began != here:
        say(
            f"this run began on {began}; here is {here}, where sums round otherwise: "
            "the last bits will differ"
        )
    with writable(path):
        write_json(file, sessions)


def _calculator(session):
    """What a session's numbers come from, in words; None where an old one has none."""
    kind = session["devices"][0]
    return session.get("processor") if kind == "cpu" else kind


def packages():
    """Versions of the packages that make the numbers, without ltjax itself."""
    # Without ltjax itself: a checkout need not be installed.
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def now():
    """The time, in UTC, as it is written in records."""
    return datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")
