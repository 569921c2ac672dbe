"""Dates, times and durations that PostgreSQL stores and Python cannot hold: `infinity`, years before 1 and after 9999.

Other programs store them. A row that has one is shown with the text that PostgreSQL writes, so that no list fails.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

EPOCH = date(2000, 1, 1).toordinal()
DAYS_OF_400_YEARS, MICROSECONDS_OF_A_DAY = 146_097, 86_400_000_000
INFINITY = "infinity"
END_OF_DAY = "24:00:00"
# A date or an instant of a year that has more than four digits or lies before the year 1.
FAR = re.compile(r"(?P<year>\d{4,7})(?P<rest>-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d{1,6})?(?:\+00)?)?)(?P<before> BC)?")
LONG = re.compile(r"P(?P<months>-?\d+)M(?P<days>-?\d+)DT-?\d+\.\d{6}S")


class OutOfRange(str):
    """A stored date, instant, time or duration, as PostgreSQL writes it; on SQLite, also any text of another program.

    It is earlier or later than every value that Python can hold. It has the methods that column types
    call on an instant.
    """

    __slots__ = ()

    @property
    def order(self) -> tuple[float, str]:
        """The sort key: the signed year, then the text after it."""
        if self.endswith(INFINITY):
            return (float("-inf") if self.startswith("-") else float("inf")), ""
        if found := FAR.fullmatch(self):
            year = int(found["year"])
            return (1 - year if found["before"] else year), found["rest"]
        if found := LONG.fullmatch(self):
            return int(found["months"]) * 30 + int(found["days"]), self[:]
        return float("inf"), self[:]

    def _compares(self, other: object) -> float:
        """Return a number below, at or above zero, as this one is less than, equal to or greater than another."""
        if isinstance(other, OutOfRange):
            return (self.order > other.order) - (self.order < other.order)
        return self.order[0]

    def __lt__(self, other: object) -> bool:
        return self._compares(other) < 0

    def __le__(self, other: object) -> bool:
        return self._compares(other) <= 0

    def __gt__(self, other: object) -> bool:
        return self._compares(other) > 0

    def __ge__(self, other: object) -> bool:
        return self._compares(other) >= 0

    def __float__(self) -> float:
        """Return NaN, which is null in a response: a text in a column of decimals."""
        return float("nan")

    def utcoffset(self) -> timedelta:
        """Return no offset: the text is in UTC."""
        return timedelta()

    def astimezone(self, _zone: tzinfo = UTC) -> "OutOfRange":
        """Return the same."""
        return self

    def replace(self, *_texts: Any, **_parts: Any) -> "OutOfRange":
        """Return the same."""
        return self


def out_of_range(text: object) -> OutOfRange | None:
    """Return the value that this text of a cursor or the archive stands for. None for any other text."""
    if not isinstance(text, str):
        return None
    known = text.removeprefix("-") == INFINITY or text == END_OF_DAY
    return OutOfRange(text) if known or FAR.fullmatch(text) or LONG.fullmatch(text) else None


def day_text(days: int) -> str:
    """Return a date of any year as PostgreSQL writes it, from its days since 2000-01-01."""
    cycles, day = divmod(EPOCH + days - 1, DAYS_OF_400_YEARS)
    found = date.fromordinal(day + 1)
    year = found.year + 400 * cycles
    return f"{year if year > 0 else 1 - year:04}-{found.month:02}-{found.day:02}{'' if year > 0 else ' BC'}"


def instant_text(microseconds: int, zone: str) -> str:
    """Return an instant of any year as PostgreSQL writes it, from its microseconds since 2000-01-01."""
    days, rest = divmod(microseconds, MICROSECONDS_OF_A_DAY)
    clock = (datetime.fromordinal(1) + timedelta(microseconds=rest)).time().isoformat()
    day, _, before = day_text(days).partition(" ")
    return f"{day} {clock.rstrip('0') if '.' in clock else clock}{zone}{f' {before}' if before else ''}"


def duration_text(months: int, days: int, microseconds: int) -> str:
    """Return a duration in ISO 8601."""
    sign = "-" if microseconds < 0 else ""
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    return f"P{months}M{days}DT{sign}{seconds}.{rest:06}S"
