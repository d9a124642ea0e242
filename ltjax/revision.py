"""Which source is in use."""

import subprocess
from pathlib import Path


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
