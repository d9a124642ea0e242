"""Dates and times as people and programs write them."""

import datetime
import functools
import re
import warnings
from typing import NamedTuple

# What `datetime` reads itself, much faster than all else is read.
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.]\d+)?)?)?")
# 2018:05:13, which cameras write, and 2018/5/13.
_YEAR_FIRST = re.compile(r"(\d{4})[:/.](\d{1,2})[:/.](\d{1,2})(?!\d)")
# 13/05/2018, of either order.
_NUMBERS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d\d)(?!\d)")
_SECONDS = re.compile(r"\d{10}(\d{3})?([.]0*)?")  # since 1970, or a thousand of them
_DEFAULTS = datetime.datetime(2000, 1, 1), datetime.datetime(2001, 2, 2)


class Moment(NamedTuple):
    """A date, and the seconds of the day where a time of day was told."""

    date: datetime.date
    seconds: float | None


@functools.lru_cache(2**16)
def parsed(text, day_first=False):
    """The `Moment` that a text tells, as its clock had it; None where it tells none.

    Of dates such as 5/6/2018, which are read either way, the month is first unless
    `day_first`. A month has to be told, a day need not be.
    """
    text = text.strip()
    if _ISO.fullmatch(text):
        try:
            found = datetime.datetime.fromisoformat(text)
        except ValueError:
            return None
        return _moment(found, len(text) > len("2018-05-13"))
    if _SECONDS.fullmatch(text):
        seconds = int(text.partition(".")[0])
        seconds = seconds / 1000 if seconds >= 10**12 else seconds
        found = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return _moment(found, True)
    return _any(text, day_first)


def order(texts):
    """Whether the day is first in dates such as 13/05/2018: True, False, or either.

    It is a tuple (day first, month first) of the numbers of texts that show it, each
    None where none does.
    """
    day = month = None
    for at, text in enumerate(texts):
        found = _NUMBERS.match(text.strip())
        if not found:
            continue
        first, second = int(found[1]), int(found[3])
        if first > 12 >= second and day is None:
            day = at
        if second > 12 >= first and month is None:
            month = at
    return day, month


def usually_day_first(texts):
    """Whether dates of which no day is above 12 are written in the German way."""
    marks = {found[2] for text in texts if (found := _NUMBERS.match(text.strip()))}
    return marks == {"."}


def _any(text, day_first):
    # Late: few sets have dates in words.
    from dateutil import parser

    text = _YEAR_FIRST.sub(r"\1-\2-\3", text)
    year_first = bool(re.match(r"\d{4}", text))
    if len(text) > 80 or not re.search(r"\d", text):
        return None
    found = []
    for default in _DEFAULTS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a time zone that it does not know
                found.append(
                    parser.parse(
                        text,
                        default=default,
                        dayfirst=day_first and not year_first,
                        yearfirst=year_first,
                    )
                )
        except (ValueError, OverflowError, TypeError, AttributeError, IndexError):
            return None
    one, other = found
    if one.month != other.month or one.year != other.year:
        return None
    return _moment(one, _tells_time(text))


def _tells_time(text):
    return bool(re.search(r"\d\s*:\s*\d|\d\s*[ap]\.?m\b|\dT\d|\d\s*h\b", text, re.I))


def _moment(found, timed):
    clock = found.hour * 3600 + found.minute * 60 + found.second
    return Moment(found.date(), clock + found.microsecond / 1e6 if timed else None)
