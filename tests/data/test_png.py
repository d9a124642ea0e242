"""PNG files whose texts and profiles are too long for a decoder."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from ltjax.data import decoding, png

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
LONG = zlib.compress(bytes(3 * 2**20), 9)  # 3 MiB in 3 KB
XMP = b'<x tiff:Orientation="6"/>'
EXIF = Image.Exif()
EXIF[0x0112] = 6
EXIF = EXIF.tobytes()
PROFILE = b"\nexif\n%8d\n%s\n" % (len(EXIF), EXIF.hex().encode())


def chunk(kind, body):
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def saved(**more):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG", **more)
    return file.getvalue()


def with_chunks(*chunks, at_end=False):
    """A file with chunks before its pixels, or after them."""
    whole = saved()
    at = len(whole) - 12 if at_end else 33  # of IEND; after IHDR
    return whole[:at] + b"".join(chunks) + whole[at:]


LONG_ONES = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + LONG),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + LONG),
    "xmp": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
    "exif text": chunk(b"zTXt", b"Raw profile type exif\0\0" + LONG),
    "iCCP": chunk(b"iCCP", b"ICC Profile\0\0" + LONG),
    "plain": chunk(b"tEXt", b"Comment\0" + bytes(65 * 2**20)),
    "many": 70 * chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**20 - 1), 9)),
    "other method": chunk(b"iCCP", b"ICC Profile\0\7" + LONG),
    "cut gAMA": chunk(b"gAMA", b"\0"),
}


@pytest.mark.parametrize("name", LONG_ONES)
@pytest.mark.parametrize("at_end", [False, True])
def test_pixels_are_read_whatever_is_written_beside_them(name, at_end):
    before = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    data = with_chunks(LONG_ONES[name], at_end=at_end)
    if not at_end:  # what this is about: Pillow alone refuses them
        with (
            pytest.raises((ValueError, OSError)),
            Image.open(io.BytesIO(data)) as image,
        ):
            image.load()
    with decoding.opened(data) as seen:
        np.testing.assert_array_equal(np.asarray(seen.image), PIXELS)
    assert before == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)
    assert png.needed(data) == saved()


@pytest.mark.parametrize(
    "turn",
    [
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
        chunk(b"tEXt", b"Raw profile type exif\0" + PROFILE),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(PROFILE)),
        chunk(b"eXIf", EXIF.removeprefix(b"Exif\0\0")),
    ],
)
@pytest.mark.parametrize("at_end", [False, True])
def test_an_orientation_in_a_text_still_turns(turn, at_end):
    data = with_chunks(turn, at_end=at_end)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == (20, 12, 3)
    with decoding.opened(with_chunks(turn, LONG_ONES["iCCP"], at_end=at_end)) as seen:
        np.testing.assert_array_equal(np.asarray(seen.image), expected)


def test_a_text_that_comes_again_and_again_is_kept_once():
    turn = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    assert png.needed(with_chunks(*100 * [turn])) == with_chunks(turn)


def test_what_pixels_need_stays():
    other = Image.fromarray(255 - PIXELS)
    frames = saved(save_all=True, append_images=[other])
    clear = saved(transparency=(1, 2, 3))
    for data in (saved(), frames, clear, b"", b"GIF89a", saved()[:8]):
        assert png.needed(data) is data


def test_a_file_cut_within_a_text_is_truncated():
    data = with_chunks(LONG_ONES["zTXt"])
    with pytest.raises(decoding.Unreadable) as caught, decoding.opened(data[:200]):
        pass
    assert caught.value.kind in ("truncated", "broken")
