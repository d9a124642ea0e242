"""Why a file gives no picture."""


class Unreadable(Exception):
    """A file that gives no picture.

    `kind` is "empty", "truncated", "broken" or "unreadable" where there is no full
    image, and "refused" where there may be one that is not taken, as one too large.
    """

    def __init__(self, kind, reason):
        """The kind, and the reason as words for the user."""
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason
