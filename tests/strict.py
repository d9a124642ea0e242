"""Strict settings for every test: two virtual devices, no silent broadcasting."""

import contextlib
import os
import sys

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture(scope="session")
def hastily(tmp_path_factory):
    """Builds contexts in which equal programs are compiled once in all, hastily.

    Once for all processes of the tests: what one has compiled another finds.
    """
    own = tmp_path_factory.getbasetemp()  # of one of two processes lies in that of both
    cache = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    inside = []
    settings = (  # with their defaults
        ("jax_disable_most_optimizations", True, False),
        ("jax_compilation_cache_dir", str(cache), None),
        ("jax_persistent_cache_min_compile_time_secs", 0, 1.0),
        ("jax_persistent_cache_min_entry_size_bytes", -1, 0),
    )

    def settle(at):
        # Whether there is a cache is otherwise settled by the first program.
        compilation_cache.reset_cache()
        for name, *values in settings:
            jax.config.update(name, values[at])

    @contextlib.contextmanager
    def context():
        if not inside:
            settle(0)
        inside.append(True)
        try:
            yield
        finally:
            inside.pop()
            if not inside:
                settle(1)

    return context


@pytest.fixture(scope="module")
def compiled_once(hastily):
    """Compiling takes most of the time: do it hastily, and once for equal programs."""
    with hastily():
        yield


@pytest.fixture(scope="module")
def thin(compiled_once):
    """Where stages are tested and no network is: two layers in place of a ResNet."""
    from tiny import thinned

    with pytest.MonkeyPatch.context() as patch:
        thinned(patch.setattr)
        yield


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, hastily):
    """One run for all modules, of a thin network and without a page."""
    from tiny import Place, thinned

    with hastily(), _pageless(), pytest.MonkeyPatch.context() as patch:
        thinned(patch.setattr)
        return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def place(finished_run, thin):
    """A finished run, its config and its data; not to be changed."""
    return finished_run


@pytest.fixture(scope="module", autouse=True)
def pages(request):
    """A page takes as long as a tiny run: only modules with `PAGES` have them made."""
    made = "ltjax.run" not in sys.modules or hasattr(request.module, "PAGES")
    with contextlib.nullcontext() if made else _pageless():
        yield


@contextlib.contextmanager
def _pageless():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ltjax.report.page.made", lambda out, data: "no page")
        yield
