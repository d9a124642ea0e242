"""How a teacher is asked, which an objective says of itself."""

from typing import NamedTuple


class Lesson(NamedTuple):
    """What an objective with a teacher wants of it."""

    experts: bool = False  # only a network of several teaches, each on its own
    training: bool = False  # its batch norm takes the statistics of the batch
    own_moments: bool = False  # its pixels are scaled as it knows them, or as here
    antialias: bool = False  # of images that are brought to its size
    files: bool = False  # it may be a file of released weights
    needed: bool = False  # without one there is nothing to learn
