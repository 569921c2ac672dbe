"""Which types of SQLAlchemy hold which types of Python, and what a JSON column would lose.

A column whose two types differ stores another value than it was given, or fails at the first write, and each database
does so in its own way. Types of a project's own and types that only PostgreSQL has are not looked at.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, get_args
from uuid import UUID

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, EmailStr, SecretBytes, SecretStr
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.ranges import AbstractRange
from sqlmodel import UTCDateTime

from rowhouse.entities.model import InstantWithoutZone

# Those of one kind of value. Instants have types of this engine, too.
FAMILIES: dict[str, tuple[type[Any], ...]] = {
    "Boolean": (sa.Boolean,),
    "Integer": (sa.Integer,),
    "Double": (sa.Float,),
    "Numeric": (sa.Numeric,),
    "String": (sa.String,),
    "DateTime": (sa.DateTime, UTCDateTime, InstantWithoutZone),
    "Date": (sa.Date,),
    "Time": (sa.Time,),
    "Interval": (sa.Interval,),
    "Uuid": (sa.Uuid,),
    "LargeBinary": (sa.LargeBinary,),
}
# The families that hold an annotation, the usual one first.
HOLD: dict[Any, tuple[str, ...]] = {
    bool: ("Boolean",),
    int: ("Integer",),
    float: ("Double", "Numeric"),
    Decimal: ("Numeric", "Double"),
    str: ("String",),
    EmailStr: ("String",),
    datetime: ("DateTime",),
    AwareDatetime: ("DateTime",),
    date: ("Date",),
    time: ("Time",),
    timedelta: ("Interval",),
    UUID: ("Uuid",),
    bytes: ("LargeBinary",),
}
SECRETS = (SecretStr, SecretBytes)
# They round a value to fewer digits, and only PostgreSQL has them.
ROUNDED = (postgresql.TIME, postgresql.INTERVAL)
# PostgreSQL returns a text with the server's currency, or an object, whatever was sent.
UNREADABLE = (postgresql.MONEY, postgresql.HSTORE, AbstractRange)


def check_storage(annotation: Any, stored: sa.types.TypeEngine[Any]) -> None:
    """Reject a column whose type does not hold the values of its annotation.

    Raises:
        ValueError: with the types and the fix.
    """
    if getattr(stored, "timezone", False) and isinstance(stored, sa.Time):
        raise ValueError(f"{stored!r} has a zone on PostgreSQL only, and a time of day says no instant; use sa.Time")
    if annotation is float and isinstance(stored, sa.Float) and stored.asdecimal:
        raise ValueError(f"{stored!r} gives decimals; leave asdecimal out")
    if isinstance(stored, ROUNDED) and stored.precision is not None:
        raise ValueError(f"{stored!r} rounds on PostgreSQL only; leave the type out")
    if isinstance(stored, UNREADABLE):
        use = "use sa.Numeric, sa.JSON or two columns"
        raise ValueError(f"{stored!r} returns another value than it is sent; {use}")  # noqa: TRY004  as in `field_type`
    family = next((name for name, kinds in FAMILIES.items() if isinstance(stored, kinds)), None)
    wanted = _families_of(annotation)
    if isinstance(stored, sa.Enum) or family is None or wanted is None:
        return
    if family not in wanted:
        raise ValueError(
            f"{stored!r} does not hold {annotation.__name__}; leave the type out, use sa.{wanted[0]}, "
            "or annotate the field with what the column holds"
        )


def _families_of(annotation: Any) -> tuple[str, ...] | None:
    """Return the families that hold an annotation; None if any type may."""
    parents = annotation.__mro__ if isinstance(annotation, type) else ()
    if Enum not in parents:
        return HOLD.get(annotation)
    return next((HOLD[kind] for kind in (str, int, float) if kind in parents), ("Enum",))


def lost_part(annotation: Any, seen: tuple[Any, ...] = ()) -> str | None:
    """Return which part of a document pydantic does not write, so that a JSON column would not store it."""
    if annotation in SECRETS:
        return f"and it hides the value of a {annotation.__name__}"
    if annotation in seen:
        return None
    seen = (*seen, annotation)
    fields = annotation.model_fields if isinstance(annotation, type) and issubclass(annotation, BaseModel) else {}
    for name, info in fields.items():
        if info.exclude:
            return f"and exclude=True leaves {annotation.__name__}.{name} out"
    for part in (*get_args(annotation), *(info.annotation for info in fields.values())):
        lost = lost_part(part, seen)
        if lost is not None:
            return lost
    return None
