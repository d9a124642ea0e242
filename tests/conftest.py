"""Strict settings for every test: two virtual devices, no silent broadcasting."""

import contextlib
import sys

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@contextlib.contextmanager
def hasty(cache):
    """A context in which compiling is hasty, and done once for equal programs."""
    settings = (  # with their defaults
        ("jax_disable_most_optimizations", True, False),
        ("jax_compilation_cache_dir", str(cache), None),
        ("jax_persistent_cache_min_compile_time_secs", 0, 1.0),
        ("jax_persistent_cache_min_entry_size_bytes", -1, 0),
    )
    # Whether there is a cache is otherwise settled by the first program of the process.
    compilation_cache.reset_cache()
    for name, value, _ in settings:
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, _, default in settings:
            jax.config.update(name, default)
        compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where compiled programs are kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def compiled_once(cache):
    """Compiling takes most of the time: do it hastily, and once for equal programs."""
    with hasty(cache):
        yield


@pytest.fixture(scope="session")
def place(tmp_path_factory, cache):
    """A finished run, its config and its data; for all modules, not to be changed."""
    from tiny import Place

    with hasty(cache), pytest.MonkeyPatch.context() as patch:
        patch.setattr("ltjax.run.page_made", no_page)
        return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module", autouse=True)
def pages(request):
    """A page takes as long as a tiny run: only modules with `PAGES` have them made."""
    with pytest.MonkeyPatch.context() as patch:
        if "ltjax.run" in sys.modules and not hasattr(request.module, "PAGES"):
            patch.setattr("ltjax.run.page_made", no_page)
        yield


def no_page(out, images):
    """In place of a run's page."""
    return "no page"
