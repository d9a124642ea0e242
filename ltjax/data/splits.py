"""The words by which people call the splits of a set of images."""

import re

_WORDS = {
    "train": "train training trn",
    "val": "val valid validation dev",
    "test": "test tests testing tst",
    "eval": "eval evaluation",
}
_SPLIT_OF = {word: name for name, words in _WORDS.items() for word in words.split()}
_TAIL = r"(sets?|data|dataset|split|part|images?|imgs?|folder)?[\s_.-]*\d{0,4}"
_PATTERN = re.compile(rf"({'|'.join(_SPLIT_OF)})[\s_.-]*{_TAIL}")


def told(names):
    """{name: "train", "val" or "test"} of those names that are words for a split.

    Whatever the case, and with words such as `set` or a year behind. An evaluation
    tests where there is a validation and no test; otherwise it is the validation.

    >>> told(["TRAIN", "Test_Set", "val2017", "bear"])
    {'TRAIN': 'train', 'Test_Set': 'test', 'val2017': 'val'}
    >>> told(["training", "validation", "evaluation"])["evaluation"]
    'test'
    """
    matches = {name: _PATTERN.fullmatch(name.strip().casefold()) for name in names}
    known = {name: _SPLIT_OF[found[1]] for name, found in matches.items() if found}
    left = {"val", "test"} - set(known.values())
    evaluation = "test" if left == {"test"} else "val"
    return {
        name: evaluation if split == "eval" else split for name, split in known.items()
    }


def hinted(names):
    """Those of the names that have such a word among others: `seg_train`, `seg_test`.

    None, unless a word for train and another one come with the same others.
    """
    groups = {}
    for name in names:
        words = re.split(r"[\W\d_]+", name.casefold())
        splits = {_SPLIT_OF[word] for word in words if word in _SPLIT_OF}
        rest = tuple(word for word in words if word not in _SPLIT_OF)
        if len(splits) == 1:
            groups.setdefault(rest, {})[name] = splits.pop()
    for group in groups.values():
        if "train" in group.values() and len(set(group.values())) > 1:
            return sorted(group)
    return []
