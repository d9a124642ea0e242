"""What is transparent and what has more than 8 bits, against the equations."""

import io
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from ltjax.data import decoding, rendering
from ltjax.data.rendering import Rendering

RNG = np.random.default_rng(0)
SIZE = 6, 9
RGB = RNG.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, SIZE, dtype=np.uint8)
ALPHA[0, :3] = 0, 255, 128
COLOURS = (255, 255, 255), (0, 0, 0), (10, 200, 90)


def encoded(image, form, **more):
    file = io.BytesIO()
    image.save(file, form, **more)
    return file.getvalue()


def seen(data, *how):
    with decoding.opened(data, shown=Rendering(*how)) as found:
        return np.asarray(found.image)


def reason(data, *how):
    with pytest.raises(decoding.Unreadable) as caught:
        seen(data, *how)
    assert caught.value.kind == "refused"
    return caught.value.reason


def over(colours, alpha, background):
    """Of colours [H, W, 3] and alpha [H, W] in 0..1, the levels before a colour."""
    cover = np.asarray(alpha, float)[..., None]
    return 255 * (cover * colours + (1 - cover) * np.array(background) / 255)


def png(depth, kind, samples, clear=b"", palette=b""):
    """A PNG of samples [H, W, channels] of so many bits, by the standard's words."""

    def chunk(name, body):
        crc = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + crc

    height, width, _ = samples.shape
    if depth == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        bits = samples[..., None] >> np.arange(depth - 1, -1, -1) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(bool), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + (chunk(b"PLTE", palette) if palette else b"")
        + (chunk(b"tRNS", clear) if clear else b"")
        + chunk(b"IDAT", zlib.compress(body))
        + chunk(b"IEND", b"")
    )


def tiff(samples, order, associated=False, bits=None):
    """A TIFF of samples [H, W, 1 or 4], integers, in one strip of this byte order."""
    height, width, channels = samples.shape
    pixels = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    if bits:
        each = samples >> np.arange(bits - 1, -1, -1) & 1
        pixels = np.packbits(each.reshape(height, -1).astype(bool), axis=1).tobytes()
    bits = bits or 8 * samples.dtype.itemsize
    tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [1]),
        262: (3, [2 if channels > 1 else 1]),
        273: (4, [300]),
        277: (3, [channels]),
        279: (4, [len(pixels)]),
        339: (3, [2 if samples.dtype.kind == "i" else 1] * channels),
    }
    if associated:
        tags[338] = (3, [1])
    data, beyond = struct.pack(order + "H", len(tags)), b""
    for tag, (kind, values) in sorted(tags.items()):
        body = struct.pack(order + {3: "H", 4: "I"}[kind] * len(values), *values)
        if len(body) > 4:
            place, beyond = 200 + len(beyond), beyond + body
            body = struct.pack(order + "I", place)
        head = struct.pack(order + "HHI", tag, kind, len(values))
        data += head + body.ljust(4, b"\0")
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + data
    data = (data.ljust(200, b"\0") + beyond).ljust(300, b"\0")
    return data + pixels


def test_the_encoders_of_these_tests_are_understood():
    np.testing.assert_array_equal(seen(png(8, 2, RGB)), RGB)
    whole = np.dstack([RGB, np.full(SIZE, 255, np.uint8)])
    for order in "<>":
        np.testing.assert_array_equal(seen(tiff(whole, order)), RGB)


# Transparency


@pytest.mark.parametrize("background", COLOURS)
@pytest.mark.parametrize(
    ("form", "more"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_colours_with_alpha(form, more, background):
    data = encoded(Image.fromarray(np.dstack([RGB, ALPHA])), form, **more)
    expected = over(RGB / 255, ALPHA / 255, background)
    np.testing.assert_allclose(seen(data, background), expected, atol=0.501)
    np.testing.assert_array_equal(seen(data, None), RGB)


@pytest.mark.parametrize("background", COLOURS)
def test_grey_with_alpha(background):
    image = Image.merge("LA", [Image.fromarray(part) for part in (RGB[..., 0], ALPHA)])
    expected = over(RGB[..., :1] / 255, ALPHA / 255, background)
    data = encoded(image, "PNG")
    np.testing.assert_allclose(seen(data, background), expected, atol=0.501)
    grey = np.repeat(RGB[..., :1], 3, -1)
    np.testing.assert_array_equal(seen(data, None), grey)
    palette = Image.fromarray(RGB[..., 0]).convert("P")
    palette.putalpha(Image.fromarray(ALPHA))
    assert palette.mode == "PA"
    shown = rendering.rgb(palette, 8, Rendering(background))
    np.testing.assert_allclose(np.asarray(shown), expected, atol=0.501)


@pytest.mark.parametrize("alphas", [(0,), (255, 0), (7, 99, 255, 180)])
def test_palettes_with_alpha(alphas):
    numbers = RNG.integers(0, 4, (*SIZE, 1))
    palette = RNG.integers(0, 256, (4, 3), dtype=np.uint8)
    data = png(2, 3, numbers, bytes(alphas), palette.tobytes())
    all_alphas = np.array([*alphas, 255, 255, 255, 255])[:4]
    colours, alpha = palette[numbers[..., 0]], all_alphas[numbers[..., 0]]
    for background in COLOURS:
        expected = over(colours / 255, alpha / 255, background)
        np.testing.assert_allclose(seen(data, background), expected, atol=0.501)
    np.testing.assert_array_equal(seen(data, None), colours)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("background", COLOURS)
def test_one_grey_that_is_transparent(depth, background):
    most = 2**depth - 1
    samples = RNG.integers(0, min(most, 5) + 1, (*SIZE, 1)) * (most // min(most, 5))
    clear = int(samples[2, 3, 0])
    data = png(depth, 0, samples, struct.pack(">H", clear))
    expected = np.where(samples == clear, background, 255 * samples // most)
    np.testing.assert_array_equal(seen(data, background), expected)


@pytest.mark.parametrize("depth", [8, 16])
def test_one_colour_that_is_transparent(depth):
    samples = RNG.integers(0, 2, (*SIZE, 3)) * (2**depth - 1)
    clear = samples[2, 3]
    data = png(depth, 2, samples, struct.pack(">3H", *clear))
    is_clear = (samples == clear).all(-1, keepdims=True)
    expected = np.where(is_clear, (10, 200, 90), 255 * samples // (2**depth - 1))
    np.testing.assert_array_equal(seen(data, (10, 200, 90)), expected)


@pytest.mark.parametrize(("kind", "channels"), [(4, 2), (6, 4)])
def test_alpha_of_16_bits(kind, channels):
    samples = RNG.integers(0, 2**16, (*SIZE, channels))
    values = samples / 65535
    expected = over(values[..., :-1], values[..., -1], (10, 200, 90))
    found = seen(png(16, kind, samples), (10, 200, 90))
    # The upper 8 bits of colours and alpha: each less than a level below.
    np.testing.assert_allclose(found, expected, atol=2)


@pytest.mark.parametrize("depth", [8, 16])
def test_colours_that_alpha_was_multiplied_with(depth):
    """A TIFF with associated alpha is shown as if it were written the plain way."""
    factor, alpha = (2**depth - 1) / 255, np.maximum(ALPHA, 1)[..., None] / 255
    ready = np.rint(RGB * alpha * factor)
    samples = np.dstack([ready, alpha * 255 * factor]).astype(f"u{depth // 8}")
    data = tiff(samples, "<", associated=True)
    for background in COLOURS:
        expected = ready / factor + (1 - alpha) * np.array(background)
        np.testing.assert_allclose(seen(data, background), expected, atol=2)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_what_is_opaque_is_not_changed(mode):
    image = Image.fromarray(RGB).convert(mode)
    for background in (None, *COLOURS):
        found = seen(encoded(image, "PNG"), background)
        np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))


def test_transparency_is_turned_with_the_image():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(np.dstack([RGB, ALPHA])), "PNG", exif=exif.tobytes())
    expected = over(RGB / 255, ALPHA / 255, COLOURS[0])
    np.testing.assert_allclose(seen(data), np.rot90(expected, -1), atol=0.501)


def test_colours_in_words():
    assert rendering.of_words("white", None) == Rendering()
    assert rendering.of_words("#0ac85a", (0, 4095)) == Rendering(COLOURS[2], (0, 4095))
    assert rendering.of_words(None, None).background is None


# More than 8 bits


def levels(values, low, high):
    """In fractions, and so without a rounding of their own."""

    def level(value):
        share = Fraction(value.item() - low) / Fraction(high - low)
        return round(255 * min(max(share, 0), 1))

    return np.array([[[level(value)] * 3 for value in row] for row in values])


TWELVE = RNG.integers(0, 4096, SIZE, dtype=np.uint16)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("span", [(0, 4095), (100, 3000), (0, 65535), (-50, 5000)])
def test_a_range_of_16_bits(form, span):
    data = encoded(Image.fromarray(TWELVE), form)
    np.testing.assert_array_equal(seen(data, None, span), levels(TWELVE, *span))
    np.testing.assert_array_equal(seen(data), np.dstack([TWELVE >> 8] * 3))


@pytest.mark.parametrize("order", "<>")
def test_the_order_of_bytes_makes_no_difference(order):
    data = tiff(TWELVE[..., None], order)
    np.testing.assert_array_equal(seen(data, None, (0, 4095)), levels(TWELVE, 0, 4095))
    np.testing.assert_array_equal(seen(data), np.dstack([TWELVE >> 8] * 3))


def test_a_file_that_says_it_has_12_bits():
    data = tiff(TWELVE[..., None], "<", bits=12)
    np.testing.assert_array_equal(seen(data), np.dstack([TWELVE >> 4] * 3))
    found = seen(data, None, (0, 4095))
    np.testing.assert_array_equal(found, levels(TWELVE, 0, 4095))


def test_signed_pixels():
    values = RNG.integers(-500, 500, (*SIZE, 1), dtype=np.int16)
    found = seen(tiff(values, "<"), None, (-400, 400))
    np.testing.assert_array_equal(found, levels(values[..., 0], -400, 400))
    assert "16-bit pixels, -" in reason(tiff(values, "<"))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_a_range_of_32_bits(dtype):
    values = RNG.uniform(-300, 900, SIZE).astype(dtype)
    data = encoded(Image.fromarray(values), "TIFF")
    found = seen(data, None, (-250.5, 700))
    np.testing.assert_array_equal(found, levels(values, -250.5, 700))
    assert f"32-bit pixels, {values.min():.6g} to {values.max():.6g}" in reason(data)


def test_what_is_no_number_is_black_and_infinity_the_ends():
    values = np.array([[np.nan, -np.inf, np.inf, 0.5]], np.float32)
    data = encoded(Image.fromarray(values), "TIFF")
    assert seen(data, None, (0.0, 1.0))[0, :, 0].tolist() == [0, 0, 255, 128]
    assert rendering.span(Image.fromarray(values)) == (0.5, 0.5)
    nothing = encoded(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF")
    assert "nan to nan" in reason(nothing)


def test_a_range_is_for_grey_images_of_more_than_8_bits():
    span = (0, 4095)
    data = encoded(Image.fromarray(RGB), "PNG")
    np.testing.assert_array_equal(seen(data, None, span), RGB)
    deep = png(16, 2, RNG.integers(0, 2**16, (*SIZE, 3)))
    assert "colours of 16 bits, of which 8 can be read" in reason(deep, None, span)
    assert seen(deep).shape == (*SIZE, 3)


def test_strips_are_one_image(monkeypatch):
    data = encoded(Image.fromarray(TWELVE), "PNG")
    whole = seen(data, None, (0, 4095))
    monkeypatch.setattr(rendering, "_STRIP", 10)
    np.testing.assert_array_equal(seen(data, None, (0, 4095)), whole)
    ends = rendering.span(Image.fromarray(TWELVE))
    assert ends == (TWELVE.min(), TWELVE.max())


def test_a_16_bit_bitmap_has_8_bit_colours():
    """Its pixels have 16 bits in all, of three colours."""
    head = struct.pack("<2sIHHIIiiHH", b"BM", 58, 0, 0, 54, 40, 2, 1, 1, 16)
    data = head + bytes(24 + 4)  # nothing is packed; two pixels
    with decoding.decoded(data) as found:
        assert (found.image.mode, found.bits) == ("RGB", 8)
