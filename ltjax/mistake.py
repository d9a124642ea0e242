"""The one exception that means: the user can put this right."""


class Mistake(ValueError):
    """A user's mistake, told in one line.

    The message names the thing, what was found and what would be right. The command
    line prints it and exits with 2; every other exception is our own failure.
    """
