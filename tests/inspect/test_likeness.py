"""Near copies and bursts, of pictures with structure."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from ltjax.inspect import likeness


def picture(seed, side=120):
    """Smooth noise: as a photograph, it has light and shade."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3)).astype(np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def encoded(image, **how):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **how)
    return Image.open(io.BytesIO(stream.getvalue()))


CHANGES = {
    "encoded": lambda image: encoded(image, quality=30),
    "smaller": lambda image: image.resize((50, 50), Image.Resampling.BICUBIC),
    "larger": lambda image: image.resize((301, 301), Image.Resampling.LANCZOS),
    "cropped": lambda image: image.crop((2, 2, 118, 118)),
    "darker": lambda image: image.point(lambda value: int(value * 0.8)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_changed_a_little_is_found(change):
    images = [picture(seed) for seed in range(20)]
    hashes = [likeness.difference_hash(each) for each in images]
    changed = [likeness.difference_hash(change(each)) for each in images]
    pairs = set(likeness.near(hashes + changed))
    found = sum((at, at + 20) in pairs for at in range(20))
    assert found >= 18
    assert all(j - i == 20 for i, j in pairs)  # and nothing else


def test_pairs_are_those_of_all_comparisons():
    rng = np.random.default_rng(0)
    hashes = [int(each) for each in rng.integers(0, 2**63, 40)]
    hashes += [each ^ (1 << 5) ^ (1 << 40) ^ (7 << 20) for each in hashes[:10]]
    hashes += [None, None]
    for most in (0, 3, 5, 30):
        wanted = [
            (i, j)
            for i, j in itertools.combinations(range(50), 2)
            if (hashes[i] ^ hashes[j]).bit_count() <= most
        ]
        assert likeness.near(hashes, most) == wanted


def test_pictures_without_structure_are_like_nothing():
    plain = [likeness.difference_hash(Image.new("L", (30, 20), v)) for v in (0, 255)]
    assert plain == [None, None]
    assert likeness.near(plain) == []
    assert likeness.near([]) == []


def test_bursts_count_up_and_look_alike():
    hashes = [likeness.difference_hash(picture(seed)) for seed in (1, 1, 1, 2, 3, 4)]
    names = ["IMG_0008.jpg", "IMG_0009.jpg", "IMG_0010.jpg", "IMG_0011.jpg"]
    paths = [f"cat/{name}" for name in [*names, "IMG_0012.jpg", "x.jpg"]]
    none = [None] * 6
    assert likeness.bursts(paths, hashes, none) == [[0, 1, 2]]
    # Another folder, or a gap, is another occasion.
    assert (
        likeness.bursts([f"{at}/{p}" for at, p in enumerate(paths)], hashes, none) == []
    )
    gap = [*paths[:1], "cat/IMG_0019.jpg", *paths[2:]]
    assert likeness.bursts(gap, hashes, none) == []
    # Where both files tell when, that counts, whatever is seen.
    times = [0.0, 4.0, 5000.0, 5003.0, 5012.0, None]
    assert likeness.bursts(paths, hashes, times) == [[2, 3, 4]]
