"""The kinds of columns that a chain draws from: what the class says, and a value for each row."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

Make = Callable[[int], Any]
DAY = date(2030, 1, 1)
INSTANT = datetime(2030, 1, 1, tzinfo=UTC)
# The tenth row begins long after the ninth has ended: intervals never overlap.
PACE = 10
LENGTH = 5


@dataclass(frozen=True)
class Kind:
    """One kind of column. `make` returns the value of row n, and for 0 the default."""

    annotation: Any
    make: Make
    options: Mapping[str, Any] = field(default_factory=dict)
    # Kinds of one family hold each other's values; a column may go from one to another.
    family: str = ""
    # Whether each row has another value, so that the column may be unique.
    is_distinct: bool = True
    has_index: bool = True
    # Whether a default of the class can be written for the rows that are there, on both databases.
    can_fill: bool = True


def _text(number: int) -> str:
    return f"é{number}'s"


def _price(number: int) -> Decimal:
    return Decimal(number) + Decimal("0.25")


KINDS: Mapping[str, Kind] = {
    "small": Kind(int, int, {"sa_type": sa.SmallInteger}, "number"),
    "whole": Kind(int, int, {}, "number"),
    "big": Kind(int, int, {"sa_type": sa.BigInteger}, "number"),
    "short": Kind(str, _text, {"max_length": 12}, "text"),
    "long": Kind(str, _text, {"max_length": 40}, "text"),
    "text": Kind(str, _text, {}, "text"),
    "price": Kind(Decimal, _price, {"max_digits": 8, "decimal_places": 2}, "decimal"),
    "amount": Kind(Decimal, _price, {"max_digits": 12, "decimal_places": 4}, "decimal"),
    "ratio": Kind(float, lambda number: number + 0.5),
    "flag": Kind(bool, lambda number: number % 2 == 0, is_distinct=False),
    "day": Kind(date, lambda number: DAY + timedelta(days=number)),
    "instant": Kind(datetime, lambda number: INSTANT + timedelta(hours=number), can_fill=False),
    "clock": Kind(time, lambda number: time(number, 30)),
    "span": Kind(timedelta, lambda number: timedelta(minutes=number), can_fill=False),
    "code": Kind(UUID, lambda number: UUID(int=number)),
    "document": Kind(
        dict[str, Any], lambda number: {"ü": [number]}, {"sa_type": sa.JSON}, is_distinct=False, has_index=False
    ),
    "binary": Kind(
        dict[str, Any],
        lambda number: {"n": number},
        {"sa_type": sa.JSON().with_variant(JSONB(), "postgresql")},
        is_distinct=False,
        has_index=False,
    ),
    "starts": Kind(int, lambda number: number * PACE),
    "ends": Kind(int, lambda number: number * PACE + LENGTH if number else 0),
    "starts_on": Kind(date, lambda number: DAY + timedelta(days=number * PACE)),
    "ends_on": Kind(date, lambda number: DAY + timedelta(days=number * PACE + LENGTH if number else 0)),
    "starts_at": Kind(datetime, lambda number: INSTANT + timedelta(hours=number * PACE), can_fill=False),
    "ends_at": Kind(
        datetime, lambda number: INSTANT + timedelta(hours=number * PACE + LENGTH if number else 0), can_fill=False
    ),
}
INTERVALS = {"starts": "ends", "starts_on": "ends_on", "starts_at": "ends_at"}
NUMBERS = ("small", "whole", "big")
TEXTS = ("short", "long", "text")
# An enum of Python's, and one of the database's: the values of a row are the first two members.
MEMBERS = ("new", "on hold", "it's done", "gone", "a member that makes the type longer than it was")
ENUMS = ("colour", "state")
USED_MEMBERS = 2
# A reference has the type of the key that it refers to.
KEYS: Mapping[str, Kind] = {
    "whole": Kind(int, int),
    "big": Kind(int, int, {"sa_type": sa.BigInteger}),
    "uuid": Kind(UUID, lambda number: UUID(int=number + 1000)),
}


def enum_kind(name: str, members: tuple[str, ...], *, is_native: bool) -> Kind:
    """Return a column of these members."""
    if is_native:
        return Kind(
            str,
            lambda number: members[number % USED_MEMBERS],
            {"sa_type": sa.Enum(*members, name=name)},
            is_distinct=False,
        )
    make: Any = enum.StrEnum  # mypy wants members that are known beforehand
    made = make("Colour", {f"M{n}": member for n, member in enumerate(members)})
    return Kind(made, lambda number: made(members[number % USED_MEMBERS]), is_distinct=False)
