"""Any arrays whatever: a data set whose laws hold comes out, or a `Mistake`."""

import zipfile

import numpy as np
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ltjax.data import dataset, longtail, sources
from ltjax.data.dataset import Split
from ltjax.mistake import Mistake

often = settings(
    database=None,
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SIDES = st.sampled_from([0, 1, 2, 3, 5, 8])
DTYPES = st.one_of(
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.boolean_dtypes(),
    hnp.unicode_string_dtypes(max_len=2),
    hnp.datetime64_dtypes(),
    hnp.complex_number_dtypes(),
    st.just(np.dtype(np.uint8)),
)
COUNTS = st.one_of(
    st.integers(-2, 12),
    st.sampled_from([10**6, 10**6 + 1, 2**31, 2**53, 2**63, 10**30, -(10**30)]),
)
FACTORS = st.one_of(
    st.floats(0.5, 300), st.sampled_from([1, 1e300, float("nan"), float("inf"), -1])
)


@st.composite
def images(draw):
    if draw(st.booleans()):  # those that could be right
        count = draw(st.integers(0, 12))
        return np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2, 1)
    shape = tuple(draw(st.lists(SIDES, max_size=5)))
    return draw(hnp.arrays(draw(DTYPES), shape, fill=st.nothing()))


@st.composite
def any_labels(draw):
    if draw(st.booleans()):
        values = st.sampled_from([-1, 0, 1, 2, 3, 999_999, 10**6, 2**31, 2**63 - 1])
        small = st.integers(0, 3)
        found = draw(st.lists(draw(st.sampled_from([small, small, values]))))
        return np.array(found, np.int64)
    shape = draw(st.sampled_from([(), (0,), (3,), (2, 2), (12,)]))
    return draw(hnp.arrays(draw(DTYPES), shape))


@st.composite
def pairs(draw):
    image, label = draw(images()), draw(any_labels())
    if label.ndim == 1 and draw(st.booleans()):  # as many of the one as of the other
        pixels = np.arange(4 * len(label)) // draw(st.sampled_from([1, 8]))
        image = pixels.astype(np.uint8).reshape(-1, 2, 2, 1)
    return image, label


def outcome(call):
    """What comes out, or None after a `Mistake`, whose message is one line."""
    try:
        return call()
    except Mistake as mistake:
        message = str(mistake)
    assert message
    assert "\n" not in message
    return None


@often
@given(pair=pairs(), classes=st.none() | COUNTS)
@example((np.zeros((3, 2, 2, 1), np.uint8), np.array([0, 1, 2])), None)
@example((np.zeros((3, 2, 2), np.uint8), np.array([0, 1, 2])), 3)
@example((np.zeros((2, 2, 2, 1), np.uint8), np.array([0, 2**64 - 1], np.uint64)), None)
@example((np.zeros((2, 2, 2, 1), np.uint8), np.array([0, 1])), 10**30)
def test_any_arrays(pair, classes):
    image, label = pair
    split = outcome(lambda: dataset.checked("a.npz", image, label, classes))
    right = (
        image.dtype == np.uint8
        and image.ndim in (3, 4)
        and image.size > 0
        and label.shape == image.shape[:1]
        and label.dtype.kind in "iu"
        and (classes is None or 1 <= classes <= 10**6)
        and all(0 <= int(y) < (classes or 10**6) for y in label)
    )
    if split is None:
        # Nothing that could be trained on is refused, but channels that come first.
        assert not right or image.shape[1] in (1, 3)
        return
    assert right
    assert (split.image.dtype, split.image.ndim) == (np.uint8, 4)
    np.testing.assert_array_equal(split.image.ravel(), image.ravel())
    assert split.label.dtype == np.int32
    np.testing.assert_array_equal(split.label, label)


@often
@given(
    train=pairs(),
    test=st.none() | pairs(),
    classes=st.none() | st.integers(0, 5),
    per_class=st.integers(1, 5),
)
@example(
    (np.arange(48, dtype=np.uint8).reshape(12, 2, 2, 1), np.arange(12) % 3), None, 4, 2
)
def test_any_files(tmp_path_factory, train, test, classes, per_class):
    place = tmp_path_factory.mktemp("files")
    paths = [place / "train.npz", None if test is None else place / "test.npz"]
    for path, arrays in zip(paths, (train, test)):
        if arrays is not None:
            np.savez(path, image=arrays[0], label=arrays[1])
    data = outcome(lambda: sources.npz(*paths, classes, per_class))
    if data is None:
        return
    assert data.train.image.shape[1:] == data.test.image.shape[1:]
    assert classes in (None, data.classes)
    for split in (data.train, data.test):
        assert len(split.label) == len(split.image) > 0
        assert split.label.min() >= 0
        assert split.label.max() < data.classes
    if test is None:  # every image is in one of the two
        found = np.concatenate([data.train.label, data.test.label])
        np.testing.assert_array_equal(np.sort(found), np.sort(train[1]))


@often
@given(content=st.binary(max_size=300), archive=st.booleans())
def test_any_bytes(tmp_path_factory, content, archive):
    """A file of any bytes, or an .npz with a member of any bytes."""
    path = tmp_path_factory.mktemp("bytes") / "a.npz"
    if archive:
        with zipfile.ZipFile(path, "w") as file:
            for name in ("image.npy", "label.npy"):
                file.writestr(name, b"\x93NUMPY\x01\x00" + content)
    else:
        path.write_bytes(content)
    assert outcome(lambda: sources.npz_split(path)) is None


@often
@given(classes=COUNTS, largest=COUNTS, factor=FACTORS)
@example(10**6, 2**53, 1e300)
@example(10**30, 1, 2.0)
@example(3, 10**30, 2.0)
def test_any_profile(classes, largest, factor):
    counts = outcome(lambda: longtail.exponential_counts(classes, largest, factor))
    right = 1 <= classes <= 10**6 and 0 <= largest <= 2**53 and 1 <= factor < np.inf
    assert (counts is not None) == right
    if counts is None:
        return
    assert counts.shape == (classes,)
    assert counts[0] == largest
    assert counts.min() >= 0
    assert (np.diff(counts) <= 0).all()


@often
@given(
    label=st.lists(st.integers(0, 3), max_size=40),
    factor=FACTORS,
    largest=st.none() | COUNTS,
    held=st.integers(0, 4),
    seed=st.integers(0, 2**32 - 1),
)
@example([0] * 9 + [1] * 9, 3.0, None, 2, 0)
@example([0, 1], 1.0, 10**30, 0, 0)
@example([], 2.0, None, 1, 0)
def test_any_tail(label, factor, largest, held, seed):
    label = np.array(label, np.int32)
    whole = Split(np.zeros((len(label), 1, 1, 1), np.uint8), label, None)
    whole = whole._replace(image=np.arange(len(label))[:, None, None, None])
    tail = outcome(lambda: longtail.tailed(whole, 4, factor, largest, seed))
    if tail is not None:
        counts = np.bincount(tail.label, minlength=4)
        assert (counts <= np.bincount(label, minlength=4)).all()
        rows = tail.image.ravel()
        assert len(set(rows)) == len(rows)
        np.testing.assert_array_equal(label[rows], tail.label)
        if largest is not None:
            assert counts[0] == largest
    assume(held)
    parts = outcome(lambda: longtail.hold_out(whole, 4, held, seed))
    if parts is not None:
        rows = [part.image.ravel() for part in parts]
        np.testing.assert_array_equal(
            np.sort(np.concatenate(rows)), whole.image.ravel()
        )
        assert np.bincount(parts[1].label, minlength=4).tolist() == [held] * 4
