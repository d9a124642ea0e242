"""The exception that ends a run which was asked to stop."""


class Stopped(Exception):
    """A run that stopped, with all it did saved: the same command goes on from there.

    `code` is the exit code, `where` says in words how far it is.
    """

    def __init__(self, code, where):
        """Takes both."""
        super().__init__(where)
        self.code, self.where = code, where
