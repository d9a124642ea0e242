"""Folders of empty files, and what is refused about them."""

import pytest

from ltjax.mistake import Mistake


def grow(root, *names):
    """Makes empty files; a name that ends in "/" is a folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if name.endswith("/") else path.touch()
    return root


def refused(call, *arguments):
    """The one line of a `Mistake` that the call raises."""
    with pytest.raises(Mistake) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def rows(found):
    """(path, class, split) of each image of a `Listing`."""
    names = [found.classes[label] for label in found.label]
    return list(zip(found.paths, names, found.split))
