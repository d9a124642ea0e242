from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltjax.data import longtail
from ltjax.data.dataset import Split
from ltjax.mistake import Mistake

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

CIFAR100_LT100 = [
    *(500, 477, 455, 434, 415, 396, 378, 361, 344, 328, 314, 299, 286, 273, 260, 248),
    *(237, 226, 216, 206, 197, 188, 179, 171, 163, 156, 149, 142, 135, 129, 123, 118),
    *(112, 107, 102, 98, 93, 89, 85, 81, 77, 74, 70, 67, 64, 61, 58, 56, 53, 51, 48),
    *(46, 44, 42, 40, 38, 36, 35, 33, 32, 30, 29, 27, 26, 25, 24, 23, 22, 21, 20, 19),
    *(18, 17, 16, 15, 15, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 7, 6),
    *(6, 6, 6, 5, 5, 5, 5),
]
FASHION_LT = {
    100: [6000, 3596, 2156, 1292, 774, 464, 278, 166, 100, 60],
    10: [6000, 4645, 3596, 2784, 2156, 1669, 1292, 1000, 774, 600],
}


def shared(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the repository")
    return np.load(path, allow_pickle=False)


def split_of(labels):
    """A split whose images tell their row: image i holds the bytes of i."""
    rows = np.arange(len(labels), dtype=np.uint32)
    image = rows.view(np.uint8).reshape(-1, 2, 2, 1)
    return Split(image, np.asarray(labels, np.int32))


def rows_of(split):
    return np.ascontiguousarray(split.image).reshape(-1, 4).view(np.uint32)[:, 0]


@pytest.mark.parametrize(
    ("classes", "largest", "imbalance_factor", "total"),
    [
        (10, 5000, 10, 20_431),
        (10, 5000, 50, 13_996),
        (10, 5000, 100, 12_406),
        (10, 5000, 200, 11_203),
        (100, 500, 10, 19_573),
        (100, 500, 50, 12_608),
        (100, 500, 100, 10_847),
        (100, 500, 200, 9_502),
        (10, 6000, 10, 24_516),
        (10, 6000, 50, 16_796),
        (10, 6000, 100, 14_886),
    ],
)
def test_published_totals(classes, largest, imbalance_factor, total):
    counts = longtail.exponential_counts(classes, largest, imbalance_factor)
    assert counts.sum() == total
    assert counts.dtype.kind == "i"


def test_published_counts_of_each_class():
    counts = longtail.exponential_counts(100, 500, 100)
    np.testing.assert_array_equal(counts, CIFAR100_LT100)
    for factor, wanted in FASHION_LT.items():
        counts = longtail.exponential_counts(10, 6000, factor)
        np.testing.assert_array_equal(counts, wanted)


@settings(database=None, derandomize=True, deadline=None)
@given(
    classes=st.integers(1, 300),
    largest=st.one_of(st.sampled_from([0, 1, 2**53]), st.integers(0, 10**7)),
    imbalance_factor=st.floats(1, 1e9),
)
def test_counts_fall_from_largest_to_largest_over_factor(
    classes, largest, imbalance_factor
):
    counts = longtail.exponential_counts(classes, largest, imbalance_factor)
    assert counts.shape == (classes,)
    assert counts[0] == largest
    assert (np.diff(counts) <= 0).all()
    assert (counts >= 0).all()
    if classes > 1:
        for c in range(classes):
            exact = largest * imbalance_factor ** (-c / (classes - 1))
            # The cut takes less than 1; the last bits of 1 / factor and of the power
            # can move a count across it, and count by themselves when it is huge.
            assert abs(counts[c] - exact) <= 1 + 1e-14 * exact


def test_one_class_keeps_all_and_factor_one_is_balanced():
    np.testing.assert_array_equal(longtail.exponential_counts(1, 7, 100), [7])
    np.testing.assert_array_equal(longtail.exponential_counts(4, 7, 1), [7] * 4)


def test_subset_is_the_legacy_draw():
    labels = np.repeat([0, 1, 2], 500)
    rows = longtail.subset(labels, [5, 5, 5])
    wanted = [
        *(90, 254, 283, 445, 461),
        *(500 + np.array([277, 307, 436, 88, 261])),
        *(1000 + np.array([52, 34, 347, 492, 196])),
    ]
    np.testing.assert_array_equal(rows, wanted)


@pytest.mark.parametrize("seed", [0, 3])
def test_subset_equals_the_loop_of_the_paper(seed):
    labels = np.random.default_rng(1).integers(0, 7, 400)
    labels[labels == 4] = 5  # class 4 is absent: nothing is drawn for it
    counts = np.array([30, 0, 12, 7, 0, 80, 1])
    state = np.random.get_state()
    np.random.seed(seed)
    wanted = []
    for c in range(7):
        rows = np.where(labels == c)[0]
        np.random.shuffle(rows)
        wanted.extend(rows[: counts[c]])
    np.random.set_state(state)
    rows = longtail.subset(labels, counts, seed)
    np.testing.assert_array_equal(rows, wanted)
    found = np.bincount(labels[rows], minlength=7)
    np.testing.assert_array_equal(found, counts)


def test_subset_leaves_its_arguments_and_the_global_generator_alone():
    labels = np.random.default_rng(1).integers(0, 5, 100)
    before, state = labels.copy(), np.random.get_state()[1].copy()
    first = longtail.subset(labels, [5] * 5)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    np.testing.assert_array_equal(first, longtail.subset(labels, [5] * 5))


def test_a_smaller_profile_is_part_of_a_larger_one():
    labels = np.tile(np.arange(10), 100)
    small, large = (
        set(longtail.subset(labels, longtail.exponential_counts(10, 100, factor)))
        for factor in (50, 10)
    )
    assert small < large


def test_subset_of_cifar100_is_the_shared_one():
    labels = np.full(50_000, -1)
    for part in ("lt100_train", "lt10_more_train", "full_more_train"):
        packed = shared(f"cifar100_{part}.npz")
        labels[packed["index"]] = packed["label"]
    kept = shared("cifar100_lt100_train.npz")
    in_drawn_order = np.lexsort((kept["rank"], kept["label"]))
    rows = longtail.subset(labels, longtail.exponential_counts(100, 500, 100))
    np.testing.assert_array_equal(rows, kept["index"][in_drawn_order])


@pytest.mark.parametrize(
    ("member", "images", "sizes"),
    [
        ("imagenet_lt_train", 115_846, (385, 479, 136)),
        ("places_lt_train", 62_500, (131, 163, 71)),
    ],
)
def test_groups_of_large_sets(member, images, sizes):
    counts = shared("lt_class_counts.npz")[member]
    groups = longtail.groups(counts)
    assert counts.sum() == images
    assert tuple(int(mask.sum()) for mask in groups.values()) == sizes


def test_groups_of_cifar100():
    groups = longtail.groups(np.array(CIFAR100_LT100))
    sizes = {name: int(mask.sum()) for name, mask in groups.items()}
    assert sizes == {"many": 35, "medium": 35, "few": 30}
    assert not longtail.groups(longtail.exponential_counts(100, 500, 10))["few"].any()


@pytest.mark.parametrize(
    ("classes", "largest", "factor", "total"),
    [
        (100, 500, 100, 10_847),
        (100, 500, 50, 12_608),
        (100, 500, 10, 19_573),
        (10, 5000, 100, 12_406),
        (10, 5000, 50, 13_996),
        (10, 5000, 10, 20_431),
    ],
)
def test_images_of_each_cifar(classes, largest, factor, total):
    assert longtail.exponential_counts(classes, largest, factor).sum() == total


@pytest.mark.parametrize(("factor", "sizes"), [(50, (41, 41, 18)), (10, (69, 31, 0))])
def test_groups_of_other_factors(factor, sizes):
    groups = longtail.groups(longtail.exponential_counts(100, 500, factor))
    assert tuple(int(mask.sum()) for mask in groups.values()) == sizes


def test_counts_of_cifar10():
    counts = longtail.exponential_counts(10, 5000, 100)
    wanted = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    np.testing.assert_array_equal(counts, wanted)


def test_the_draw_of_seed_0():
    """The first five of three classes of 500, as the legacy generator shuffles them."""
    labels = np.repeat([0, 1, 2], 500)
    rows = longtail.subset(labels, np.array([500, 500, 500]), seed=0)
    wanted = [
        [90, 254, 283, 445, 461],
        [277, 307, 436, 88, 261],
        [52, 34, 347, 492, 196],
    ]
    found = rows.reshape(3, 500)[:, :5] - 500 * np.arange(3)[:, None]
    np.testing.assert_array_equal(found, wanted)


def test_groups_at_their_edges():
    groups = longtail.groups([0, 1, 19, 20, 100, 101, 10**12])
    np.testing.assert_array_equal(groups["few"], [1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(groups["medium"], [0, 0, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(groups["many"], [0, 0, 0, 0, 0, 1, 1])
    assert all(mask.dtype == bool for mask in groups.values())


@settings(database=None, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=50))
def test_each_class_is_in_one_group(counts):
    masks = np.stack(list(longtail.groups(counts).values()))
    assert (masks.sum(0) == 1).all()


def test_class_counts_includes_absent_classes():
    counts = longtail.class_counts(np.array([2, 0, 2], np.uint8), 4)
    np.testing.assert_array_equal(counts, [1, 0, 2, 0])


def test_tailed_without_a_factor_is_the_split_itself():
    split = split_of([0, 0, 0, 1])
    assert longtail.tailed(split, 2, None) is split


def test_tailed_keeps_a_split_that_has_the_profile():
    labels = np.repeat(np.arange(5), longtail.exponential_counts(5, 40, 10))
    split = split_of(np.random.default_rng(0).permutation(labels))
    assert longtail.tailed(split, 5, 10) is split
    assert longtail.tailed(split, 5, 10, largest=40) is split


def test_tailed_draws_from_a_balanced_split():
    split = split_of(np.random.default_rng(0).permutation(np.repeat(np.arange(5), 40)))
    tail = longtail.tailed(split, 5, 10)
    wanted = longtail.exponential_counts(5, 40, 10)
    np.testing.assert_array_equal(np.bincount(tail.label), wanted)
    rows = longtail.subset(split.label, wanted)
    np.testing.assert_array_equal(rows_of(tail), rows)
    np.testing.assert_array_equal(tail.label, split.label[rows])
    other = longtail.tailed(split, 5, 10, seed=1)
    np.testing.assert_array_equal(np.bincount(other.label), wanted)
    assert set(rows_of(other)) != set(rows)


def test_tailed_starts_from_the_smallest_class_or_as_told():
    labels = np.repeat([0, 1, 2], [31, 20, 35])
    tail = longtail.tailed(split_of(labels), 3, 4)
    np.testing.assert_array_equal(np.bincount(tail.label), [20, 10, 5])
    tail = longtail.tailed(split_of(labels), 3, 4, largest=30)
    np.testing.assert_array_equal(np.bincount(tail.label), [30, 15, 7])


def test_tailed_takes_a_set_for_balanced_up_to_a_factor_of_two():
    tail = longtail.tailed(split_of(np.repeat([0, 1], [20, 40])), 2, 10)
    np.testing.assert_array_equal(np.bincount(tail.label), [20, 2])
    with pytest.raises(Mistake, match="class 0 has 20 training images"):
        longtail.tailed(split_of(np.repeat([0, 1], [20, 41])), 2, 10)


def test_ranks_are_the_places_in_the_published_draw():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(3), 500))
    rank = longtail.ranks(labels, 3)
    firsts = [
        [90, 254, 283, 445, 461],
        [277, 307, 436, 88, 261],
        [52, 34, 347, 492, 196],
    ]
    for name, first in enumerate(firsts):
        ranked = rank[labels == name]
        np.testing.assert_array_equal(np.argsort(ranked)[:5], first)
        np.testing.assert_array_equal(np.sort(ranked), np.arange(500))


def test_cifar_files_hold_the_ranks_of_our_draw():
    parts = [
        shared(f"cifar100_{part}_train.npz")
        for part in ("lt100", "lt10_more", "full_more")
    ]
    index, label, rank = (
        np.concatenate([part[name] for part in parts])
        for name in ("index", "label", "rank")
    )
    official = np.argsort(index)
    ours = longtail.ranks(label[official], 100)
    np.testing.assert_array_equal(ours, rank[official])


def test_a_file_with_ranks_is_cut_like_the_whole_set_it_came_from():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 40))
    whole = split_of(labels)
    rank = longtail.ranks(labels, 5)
    tail = longtail.tailed(whole, 5, 20)
    profile = longtail.exponential_counts(5, 40, 4)
    part = longtail.taken(
        whole._replace(rank=rank), np.flatnonzero(rank < profile[labels])
    )
    cut = longtail.tailed(part, 5, 20, largest=40)
    np.testing.assert_array_equal(rows_of(cut), rows_of(tail))
    # Ranks that have gaps cannot supply the profile.
    gap = part._replace(rank=part.rank + 1)
    with pytest.raises(Mistake, match="class 0 has 39 images, wanted 40"):
        longtail.tailed(gap, 5, 20, largest=40)


def test_held_out_are_the_highest_ranks_and_the_rest_keeps_its_draw():
    labels = np.random.default_rng(0).permutation(
        np.repeat(np.arange(4), [30, 25, 12, 40])
    )
    split = split_of(labels)
    rest, held = longtail.hold_out(split, 4, 8)
    assert sorted([*rows_of(rest), *rows_of(held)]) == list(range(len(labels)))
    np.testing.assert_array_equal(np.bincount(held.label), [8] * 4)
    rank = longtail.ranks(labels, 4)
    for part in (rest, held):
        np.testing.assert_array_equal(part.rank, rank[rows_of(part)])
    sizes = np.bincount(labels)
    assert (held.rank >= (sizes - 8)[held.label]).all()
    # The profile of the rest is the first images of the whole set's draw.
    counts = longtail.exponential_counts(4, 22, 22)
    np.testing.assert_array_equal(
        rows_of(longtail.tailed(rest, 4, 22, largest=22)),
        longtail.subset(labels, counts),
    )


IMBALANCED = split_of(np.repeat(np.arange(10), longtail.exponential_counts(10, 50, 10)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: longtail.hold_out(split_of([0, 0, 0, 1, 1]), 2, 2),
            ["class 1 has 2 training images", "2 cannot be held out", "balanced"],
        ),
        (
            lambda: longtail.subset([0, 0, 1], [2, 2]),
            ["class 1", "1 image", "wanted 2"],
        ),
        (
            lambda: longtail.subset([0, 2, 1], [1, 1]),
            ["label 2", "row 1", "0..1"],
        ),
        (
            lambda: longtail.class_counts([0, -1], 2),
            ["label -1", "row 1", "0..1"],
        ),
        (
            lambda: longtail.class_counts([0.0, 1.0], 2),
            ["float64", "integers"],
        ),
        (
            lambda: longtail.exponential_counts(0, 5, 10),
            ["classes is 0", "1..1000000"],
        ),
        (
            lambda: longtail.exponential_counts(2, -5, 10),
            ["-5", "0..2^53"],
        ),
        (
            lambda: longtail.exponential_counts(2, 5, 0.5),
            ["imbalance_factor is 0.5", "1 (balanced) or more"],
        ),
        (
            lambda: longtail.tailed(IMBALANCED, 10, 0.99),
            ["imbalance_factor is 0.99", "1 (balanced) or more"],
        ),
        (
            lambda: longtail.tailed(IMBALANCED, 10, float("nan")),
            ["imbalance_factor is nan"],
        ),
        (
            lambda: longtail.tailed(IMBALANCED, 10, float("inf")),
            ["imbalance_factor is inf"],
        ),
        (
            lambda: longtail.tailed(IMBALANCED, 10, 10, largest=0),
            ["largest class count is 0", "1 or more"],
        ),
        (
            lambda: longtail.tailed(IMBALANCED, 10, 2),
            ["class 1 has 38 training images", "factor 2 from 50 needs 46", "None"],
        ),
        (
            lambda: longtail.tailed(IMBALANCED, 10, 100),
            ["class 1 has 38 training images", "factor 100 from 50 needs 29", "None"],
        ),
        (
            lambda: longtail.tailed(IMBALANCED, 11, 10),
            ["class 1 has 38", "factor 10 from 50 needs 39"],
        ),
        (
            lambda: longtail.tailed(IMBALANCED, 10, 10, largest=60),
            ["class 0 has 50 training images", "factor 10 from 60 needs 60"],
        ),
    ],
)
def test_mistakes(call, words):
    with pytest.raises(Mistake) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_without_a_draw_the_first_images_of_a_class_are_kept():
    labels = np.array([2, 0, 1, 1, 0, 2, 2, 0])
    rank = longtail.in_order(labels, 3)
    np.testing.assert_array_equal(rank, [0, 0, 0, 1, 1, 1, 2, 2])
