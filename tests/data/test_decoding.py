"""Image files to RGB pixels, against Pillow's own words and NumPy."""

import concurrent.futures
import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from ltjax.data import decoding

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
RGB = Image.fromarray(PIXELS)
GREY = RGB.convert("L")
AVIF = pytest.mark.skipif(
    "AVIF" not in decoding._FORMATS, reason="Pillow reads no AVIF"
)


def encoded(image, form, **more):
    file = io.BytesIO()
    image.save(file, form, **more)
    return file.getvalue()


def decoded(data, at_least=None):
    """Pixels and Pillow's mode of an encoded image."""
    with decoding.opened(data, at_least) as seen:
        assert seen.image.mode == "RGB"
        return np.asarray(seen.image), seen


def refused(data):
    with pytest.raises(decoding.Unreadable) as caught, decoding.opened(data):
        pass
    assert "\n" not in caught.value.reason
    return caught.value


@pytest.mark.parametrize(
    ("image", "form", "mode", "expected"),
    [
        (RGB, "PNG", "RGB", RGB),
        (RGB, "BMP", "RGB", RGB),
        (RGB, "PPM", "RGB", RGB),
        (RGB, "TIFF", "RGB", RGB),
        (GREY, "PNG", "L", GREY.convert("RGB")),
        (GREY, "PPM", "L", GREY.convert("RGB")),
        (RGB.quantize(64), "PNG", "P", RGB.quantize(64).convert("RGB")),
        (RGB.convert("1"), "PNG", "1", RGB.convert("1").convert("RGB")),
        (RGB.convert("CMYK"), "TIFF", "CMYK", RGB.convert("CMYK").convert("RGB")),
        (GREY.convert("LA"), "PNG", "LA", GREY.convert("RGB")),
    ],
)
def test_modes_become_rgb(image, form, mode, expected):
    pixels, seen = decoded(encoded(image, form))
    np.testing.assert_array_equal(pixels, np.asarray(expected))
    assert (seen.mode, seen.animated, seen.turned) == (mode, False, False)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_of_16_bits_the_upper_8_are_kept(form):
    deep = RNG.integers(0, 2**16, (12, 20), dtype=np.uint16)
    pixels, _ = decoded(encoded(Image.fromarray(deep), form))
    np.testing.assert_array_equal(pixels, np.dstack([deep >> 8] * 3))


def test_cmyk_jpeg_is_as_pillow_converts_it():
    data = encoded(RGB.convert("CMYK"), "JPEG")
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    np.testing.assert_array_equal(decoded(data)[0], np.asarray(expected))


@AVIF
def test_avif_is_as_pillow_decodes_it():
    data = encoded(Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]])), "AVIF")
    with Image.open(io.BytesIO(data)) as image:
        layers = np.asarray(image.convert("RGBA"), float)
    cover = layers[..., 3:] / 255
    pixels, seen = decoded(data)
    assert seen.mode == "RGBA"
    np.testing.assert_allclose(
        pixels, cover * layers[..., :3] + (1 - cover) * 255, atol=0.501
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_a_known_range_are_refused(dtype):
    error = refused(encoded(Image.fromarray(np.ones((4, 4), dtype)), "TIFF"))
    assert error.kind == "refused"
    assert error.reason == (
        "32-bit pixels, 1 to 1, of no known range; --data.range LOW HIGH gives that of "
        "the whole set"
    )


@pytest.mark.parametrize("tag", range(10))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_images_stand_upright(tag, form):
    exif = Image.Exif()
    exif[0x0112] = tag
    data = encoded(RGB, form, exif=exif.tobytes())
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(decoded(data)[0], expected)


def test_the_first_frame_is_taken():
    other = Image.fromarray(255 - PIXELS)
    data = encoded(RGB, "PNG", save_all=True, append_images=[other])
    pixels, seen = decoded(data)
    np.testing.assert_array_equal(pixels, PIXELS)
    assert seen.animated
    still = RGB.quantize(200)
    data = encoded(still, "GIF", save_all=True, append_images=[other.quantize(200)])
    pixels, seen = decoded(data)
    np.testing.assert_array_equal(pixels, np.asarray(still.convert("RGB")))
    assert seen.animated


@pytest.mark.parametrize(
    "form",
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        pytest.param(("AVIF", {}), marks=AVIF),
    ],
)
@pytest.mark.filterwarnings("ignore:(Corrupt EXIF data|Truncated File Read)")
def test_no_cut_file_gives_other_pixels(form):
    """What is cut is refused, but for a few bytes at the end that hold no pixels."""
    name, more = form
    data = encoded(RGB, name, **more)
    whole = decoded(data)[0]
    kinds = {refused(b"").kind}
    for length in range(0, len(data), max(1, len(data) // 100)):
        for at_least in (None, 4):
            try:
                pixels, _ = decoded(data[:length], at_least)
            except decoding.Unreadable as error:
                kinds.add(error.kind)
            else:
                assert at_least or (pixels == whole).all()
                assert length > len(data) - 24
    assert kinds <= {"empty", "truncated", "broken"}
    assert "empty" in kinds


@pytest.mark.parametrize("data", [b"x", b"not an image " * 50, b"\x00" * 1000])
def test_other_bytes_are_broken(data):
    assert refused(data).kind == "broken"


def test_images_beyond_the_bound_are_refused_unread(monkeypatch):
    data = encoded(RGB, "PNG")
    monkeypatch.setattr(decoding, "MOST_PIXELS", 239)
    error = refused(data)
    assert (error.kind, error.reason) == ("refused", "20 x 12 pixels; at most 239")
    monkeypatch.setattr(decoding, "MOST_PIXELS", 240)
    decoded(data)


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_bomb_is_refused_by_its_header(side):
    """100 and 400 megapixels in a kilobyte or so; no pixel is decoded."""
    head = b"P6 %d %d 255\n" % (side, side)
    assert refused(head + bytes(100)).kind == "refused"


def held_by_another():
    """Whether a thread other than a new one holds a large picture."""

    def attempt():
        free = decoding._one_at_a_time.acquire(blocking=False)
        if free:
            decoding._one_at_a_time.release()
        return not free

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(attempt).result()


def test_large_images_are_held_one_at_a_time(monkeypatch):
    data = encoded(RGB, "PNG")
    monkeypatch.setattr(decoding, "_LARGE", 239)
    with decoding.opened(data), decoding.opened(data):  # one thread may hold several
        assert held_by_another()
    assert not held_by_another()
    refused(data[:-80])
    assert not held_by_another()
    monkeypatch.setattr(decoding, "_LARGE", 240)
    with decoding.opened(data):
        assert not held_by_another()


@pytest.mark.parametrize(
    ("raised", "kind", "reason"),
    [
        (MemoryError(), "refused", "more than the memory holds"),
        (ValueError("one\ntwo"), "broken", "one"),
    ],
)
def test_what_fails_while_a_picture_is_used_is_of_that_picture(raised, kind, reason):
    with (
        pytest.raises(decoding.Unreadable) as caught,
        decoding.opened(encoded(RGB, "PNG")),
    ):
        raise raised
    assert (caught.value.kind, caught.value.reason) == (kind, reason)


def test_files_that_cannot_be_opened(tmp_path):
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name, reason in (
        ("nothing.jpg", "No such file or directory"),
        ("folder.jpg", "not a file"),
        ("loop.jpg", "Too many levels of symbolic links"),
        ("null\0.jpg", "a name with a null byte"),
    ):
        with pytest.raises(decoding.Unreadable) as caught:
            decoding.read(tmp_path / name)
        assert (caught.value.kind, caught.value.reason) == ("unreadable", reason)


def test_a_file_that_memory_does_not_hold(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"12345")

    def full(*_):
        raise MemoryError

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(decoding.Unreadable, match="more than the memory holds"):
        decoding.read(tmp_path / "a.png")


def test_files_too_long_are_not_read(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"12345")
    monkeypatch.setattr(decoding, "MOST_BYTES", 4)
    with pytest.raises(decoding.Unreadable, match="5 bytes; at most 4"):
        decoding.read(tmp_path / "a.png")


# One shape


def test_square_of_the_same_size_is_the_image():
    image = Image.fromarray(PIXELS[:, :12])
    np.testing.assert_array_equal(decoding.square(image, 12), PIXELS[:, :12])


@pytest.mark.parametrize("turn", [False, True])
def test_square_keeps_the_middle_of_the_longer_side(turn):
    pixels = PIXELS.transpose(1, 0, 2) if turn else PIXELS
    found = decoding.square(Image.fromarray(np.ascontiguousarray(pixels)), 12)
    middle = PIXELS[:, 4:16]
    np.testing.assert_array_equal(found, middle.transpose(1, 0, 2) if turn else middle)


def test_square_halves_with_a_filter_twice_as_wide():
    """A triangle over 4 pixels: weights 1, 3, 3, 1 in eighths, clipped at the edge."""
    image = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    weights = np.zeros((8, 16))
    for row in range(8):
        for offset, weight in zip(range(-1, 3), (1, 3, 3, 1)):
            if 0 <= 2 * row + offset < 16:
                weights[row, 2 * row + offset] = weight
    weights /= weights.sum(1, keepdims=True)
    expected = np.einsum("ik,jl,klc->ijc", weights, weights, image)
    found = decoding.square(Image.fromarray(image), 8)
    # Pillow rounds after each of its two passes.
    np.testing.assert_allclose(found, expected, atol=1.01)


def test_a_faster_decoding_of_large_jpegs_looks_the_same():
    x, y = np.meshgrid(np.arange(800), np.arange(640))
    smooth = np.dstack([x / 4, y / 4, (x + y) / 8]).astype(np.uint8)
    data = encoded(Image.fromarray(smooth), "JPEG", quality=90)
    with decoding.opened(data) as whole, decoding.opened(data, 64) as fast:
        assert fast.image.size == (100, 80)
        near = decoding.square(fast.image, 32).astype(int)
        np.testing.assert_allclose(near, decoding.square(whole.image, 32), atol=3)


# Equal pictures


def test_digests_are_equal_for_equal_pictures_only(monkeypatch):
    same = [decoding.digest(decoded(encoded(RGB, f))[1].image) for f in ("PNG", "BMP")]
    assert same[0] == same[1]
    changed = PIXELS.copy()
    changed[-1, -1, -1] ^= 1
    others = [changed, PIXELS[:-1], PIXELS.reshape(20, 12, 3), PIXELS[:, ::-1]]
    digests = [
        decoding.digest(Image.fromarray(np.ascontiguousarray(o))) for o in others
    ]
    assert len({same[0], *digests}) == 5
    # However many rows are hashed at a time.
    monkeypatch.setattr(decoding, "_STRIP", 45)
    assert decoding.digest(RGB) == same[0]
