"""Dates that Python cannot hold, as PostgreSQL writes them, are ordered among all others."""

from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from rowhouse.db.out_of_range import OutOfRange, day_text, duration_text, instant_text, out_of_range

ORDERED: tuple[Any, ...] = (
    OutOfRange("-infinity"),
    OutOfRange("0045-01-01 BC"),
    OutOfRange("0044-03-14 BC"),
    OutOfRange("0044-03-15 BC"),
    date(1, 1, 1),
    date(9999, 12, 31),
    OutOfRange("10000-01-01"),
    OutOfRange("294276-12-31"),
    OutOfRange("infinity"),
)


def test_values_out_of_range_are_ordered() -> None:
    """Among each other and among those of Python."""
    backwards = [*ORDERED[::-1]]
    assert sorted(backwards) == [*ORDERED]
    for place, one in enumerate(ORDERED):
        for other_place, other in enumerate(ORDERED):
            found = (one < other, one <= other, one > other, one >= other)
            assert found == (place < other_place, place <= other_place, place > other_place, place >= other_place)


@pytest.mark.parametrize(
    ("days", "text"), [(-730_120, "0001-12-31 BC"), (2_921_940, "10000-01-01"), (-746_499, "0045-02-27 BC")]
)
def test_days_of_any_year(days: int, text: str) -> None:
    """The texts are those of PostgreSQL's `date '2000-01-01' + days`."""
    assert day_text(days) == text


def test_instants_and_durations() -> None:
    """With a fraction, in UTC, and with a sign."""
    assert instant_text(2_921_940 * 86_400_000_000 + 1, "+00") == "10000-01-01 00:00:00.000001+00"
    assert instant_text(-730_120 * 86_400_000_000, "") == "0001-12-31 00:00:00 BC"
    assert duration_text(1, -2, -3_000_001) == "P1M-2DT-3.000001S"
    assert OutOfRange("P10M4DT0.000000S") < OutOfRange("P0M305DT0.000000S")  # a month is 30 days
    assert OutOfRange("24:00:00") > time(23, 59)
    assert OutOfRange(duration_text(-(2**31), 0, 0)) < OutOfRange(duration_text(2**31 - 1, 0, 0))


@pytest.mark.parametrize("text", ["infinity", "-infinity", "24:00:00", "0044-03-15 00:00:00+00 BC", "P9M9DT0.000000S"])
def test_a_stored_text_is_recognised(text: str) -> None:
    """It has the methods of an instant that types of columns call."""
    found = out_of_range(text)
    assert found is not None
    assert found.utcoffset().total_seconds() == 0
    assert found.astimezone(UTC).replace(tzinfo=UTC) == text


@pytest.mark.parametrize("other", ["tomorrow", 7, None, datetime(2030, 1, 1, tzinfo=UTC)])
def test_no_other_text_is_out_of_range(other: object) -> None:
    """A cursor with it is refused."""
    assert out_of_range(other) is None
