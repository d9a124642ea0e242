"""Words for splits, as they are met on disks."""

import pytest

from ltjax.data import splits


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("Train Test", "train test"),
        ("TRAIN VAL", "train val"),
        ("Training Testing", "train test"),
        ("training_set test_set", "train test"),
        ("train Test", "train test"),
        ("train dev", "train val"),
        ("train Validation", "train val"),
        ("train valid", "train val"),
        ("train2017 val2017", "train val"),
        ("trainset TestData", "train test"),
        ("train-images test-images", "train test"),
        # What an evaluation is follows from the others.
        ("train eval", "train val"),
        ("training validation evaluation", "train val test"),
        ("train eval test", "train val test"),
    ],
)
def test_usual_words(names, told):
    names = names.split()
    assert list(splits.told(names).values()) == told.split()


@pytest.mark.parametrize(
    "name",
    [
        "trainer",
        "train station",
        "testudo",
        "valley",
        "devil",
        "evaluate me",
        "contest",
    ],
)
def test_other_words(name):
    assert splits.told([name, "cat"]) == {}


@pytest.mark.parametrize(
    ("names", "hinted"),
    [
        (["seg_train", "seg_test", "seg_pred"], ["seg_test", "seg_train"]),
        (["Train (1)", "Test (1)"], ["Test (1)", "Train (1)"]),
        (["train station", "test tube"], []),
        (["steam_train", "toy_train"], []),
        (["cat", "dog"], []),
    ],
)
def test_words_among_others(names, hinted):
    assert splits.hinted(names) == hinted
