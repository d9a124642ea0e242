"""Features in files: every bit comes back, and what is harmed is found."""

import errno
import hashlib
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ltjax.mistake import Mistake
from ltjax.workdir import feature_file, seal

ARRAY = np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32)


def write(file, array=ARRAY, cuts=(2, 3), place=np.asarray, dtype=None, made=None):
    like = jax.ShapeDtypeStruct(array.shape, dtype or array.dtype)
    parts = [place(part) for part in np.split(array, cuts, axis=1)]
    digest = feature_file.write(file, like, iter(parts))
    feature_file.seal(file, like, digest, made)


@pytest.mark.parametrize("at_once", [1, 2 * 3 * 5 * 4, 2**26])
@pytest.mark.parametrize("place", [np.asarray, jnp.asarray])
def test_every_bit_comes_back(tmp_path, monkeypatch, at_once, place):
    monkeypatch.setattr(feature_file, "_AT_ONCE", at_once)
    file = feature_file.file_of(tmp_path / "features", "view0")
    assert not feature_file.there(file)
    write(file, place=place, made={"data": "feed"})
    assert feature_file.damage(file) is None
    for found in (feature_file.mapped(file), feature_file.loaded(file)):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, ARRAY)
    assert isinstance(feature_file.mapped(file), np.memmap)
    # An ordinary file of NumPy, one image after the other.
    saved = np.load(file, allow_pickle=False)
    np.testing.assert_array_equal(saved, np.moveaxis(ARRAY, 1, 0))
    record = json.loads(file.with_suffix(".json").read_text())
    assert record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["data"] == "feed"


def test_experts_and_half_the_bits(tmp_path):
    file, array = tmp_path / "view0.npy", ARRAY.reshape(3, 7, 5, 1)
    write(file, array, dtype=jnp.dtype("bfloat16"))
    found = feature_file.mapped(file)
    assert (found.shape, found.dtype) == (array.shape, jnp.bfloat16)
    np.testing.assert_array_equal(found, array.astype(jnp.bfloat16))
    assert file.stat().st_size < feature_file.loaded(file).nbytes + 200


def flip(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)


def record_of(file):
    return file.with_suffix(".json")


DAMAGES = {
    "it is not what was written": flip,
    "it is missing": lambda file: file.unlink(),
    "it has no record": lambda file: record_of(file).unlink(),
    "its record cannot be read": lambda file: record_of(file).write_text("[1]"),
    "its format is 2, not 1": lambda file: record_of(file).write_text(
        json.dumps({"format": 2, "sha256": ""})
    ),
}


@pytest.mark.parametrize("says", DAMAGES)
def test_damage_is_found(tmp_path, says):
    file = tmp_path / "test.npy"
    write(file)
    DAMAGES[says](file)
    assert feature_file.damage(file).startswith(says)
    assert feature_file.there(file)
    write(file)
    assert feature_file.damage(file) is None


def test_a_full_disk_is_told_in_a_line_and_nothing_is_left(tmp_path, monkeypatch):
    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(feature_file.os, "fsync", full)
    file = tmp_path / "test.npy"
    with pytest.raises(
        Mistake, match=r"test\.npy cannot be written: No space left on "
    ):
        write(file)
    assert not feature_file.there(file)


def test_a_disk_that_changes_bits_is_found(tmp_path, monkeypatch):
    digest = seal.checksum

    def changed(file):
        flip(file)
        return digest(file)

    monkeypatch.setattr(seal, "checksum", changed)
    with pytest.raises(Mistake, match="not what was written; is the disk sound"):
        write(tmp_path / "test.npy")
    assert not feature_file.there(tmp_path / "test.npy")


def test_what_cannot_be_computed_is_no_fault_of_the_disk(tmp_path):
    def parts():
        yield ARRAY[:, :2]
        raise OSError(errno.EIO, "a picture is gone")

    file, like = tmp_path / "x.npy", jax.ShapeDtypeStruct(ARRAY.shape, ARRAY.dtype)
    with pytest.raises(OSError, match="a picture is gone"):
        feature_file.write(file, like, parts())
    assert not feature_file.there(file)


def test_a_file_that_is_mapped_stays_as_it_was(tmp_path):
    file = tmp_path / "x.npy"
    write(file)
    found = feature_file.mapped(file)
    write(file, ARRAY + 1)
    np.testing.assert_array_equal(found, ARRAY)
