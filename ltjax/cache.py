"""Where compiled programs are kept, from one command to the next."""

import os
from pathlib import Path


def keep():
    """Has JAX keep them, if it is not imported yet and nobody asked for another place.

    Half of a small run is compilation, of many programs that take less than the second
    from which JAX would keep them by itself.
    """
    place = Path.home() / ".cache" / "ltjax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(place))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
