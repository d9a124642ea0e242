import numpy as np
import pytest

from ltjax.data import partition

COUNTS = [400, 40, 21, 20, 19, 5, 4, 3, 2, 1, 0]
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(11), COUNTS))


def test_who_can_afford_how_many():
    assert partition.affordable(COUNTS, 10).tolist() == [
        *(10, 10, 10, 10),  # half is left
        *(9, 2, 2, 1),  # n // 2, and two are left
        *(0, 0, 0),
    ]
    assert partition.affordable([7, 3], 1).tolist() == [1, 1]


@pytest.mark.parametrize("per_class", [1, 3, 10, 1000])
def test_every_class_gives_what_it_can_afford(per_class):
    test = partition.stratified(LABELS, 11, per_class)
    given = np.bincount(LABELS[test], minlength=11)
    np.testing.assert_array_equal(given, partition.affordable(COUNTS, per_class))
    left = COUNTS - given
    assert (left >= np.minimum(COUNTS, 2)).all()
    assert (2 * left >= COUNTS).all()


def test_the_split_is_a_function_of_labels_and_seed():
    drawn = [partition.stratified(LABELS, 11, 10, seed) for seed in (0, 0, 1)]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    # A class is drawn by itself: others may grow and shrink.
    fewer = LABELS[LABELS != 1]
    alone = partition.stratified(fewer, 11, 10)
    np.testing.assert_array_equal(alone, drawn[0][LABELS != 1])


def test_every_image_may_be_drawn():
    labels = np.zeros(6, int)
    often = sum(
        partition.stratified(labels, 1, 2, seed).astype(int) for seed in range(600)
    )
    # 200 each, with a standard deviation of 11.5.
    assert (np.abs(often - 200) < 60).all()


def test_images_that_occur_twice_train():
    copies = np.zeros(len(LABELS), bool)
    copies[np.flatnonzero(LABELS == 0)[:395]] = True
    test = partition.stratified(LABELS, 11, 10, copies=copies)
    assert not (test & copies).any()
    assert np.bincount(LABELS[test]).tolist() == [5, 10, 10, 10, 9, 2, 2, 1]


def test_repeated():
    digests = [b"a", b"b\0", b"a", b"b", b"c", b"a"]
    assert partition.repeated(digests).tolist() == [1, 0, 1, 0, 0, 1]
    assert partition.repeated([]).tolist() == []


def test_digests_of_arrays():
    images = np.zeros((4, 2, 3, 1), np.uint8)
    images[2, 0, 0] = 1
    assert partition.repeated(partition.digests(images)).tolist() == [1, 1, 0, 1]


def digests_of(labels):
    """Images of which no two are equal."""
    return [f"{at} {label}".encode() for at, label in enumerate(labels)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5])
def test_a_class_spares_a_share_of_its_images_or_none(share):
    held = partition.spared(LABELS, 11, share, digests_of(LABELS))
    given = np.bincount(LABELS[held], minlength=11)
    np.testing.assert_array_equal(given, partition.spare(COUNTS, share))
    for count, some in zip(COUNTS, given):
        # In whole numbers: shares here are hundredths.
        wanted = -(-round(100 * share) * count // 100)
        assert some == (wanted if count >= 5 else 0)
        assert count - some >= min(count, 2)


def test_who_is_held_out_does_not_depend_on_order_or_other_classes():
    digests = np.array(digests_of(LABELS), object)
    held = partition.spared(LABELS, 11, 0.2, digests)
    order = np.random.default_rng(1).permutation(len(LABELS))
    again = partition.spared(LABELS[order], 11, 0.2, digests[order])
    np.testing.assert_array_equal(again, held[order])
    others = LABELS != 1
    alone = partition.spared(LABELS[others], 11, 0.2, digests[others])
    np.testing.assert_array_equal(alone, held[others])
    another = partition.spared(LABELS, 11, 0.2, digests, seed=1)
    assert (another != held).any()
    assert another.sum() == held.sum()


def test_copies_are_not_held_out():
    labels = np.repeat([0, 1], (10, 6))
    digests = [b"same"] * 8 + [b"a", b"b"] + [b"c", b"c", b"d", b"e", b"f", b"g"]
    held = partition.spared(labels, 2, 0.5, digests)
    assert not held[:8].any()
    assert held[8:10].all()  # fewer than asked for
    assert not held[10:12].any()
    assert held[12:].sum() == 3
