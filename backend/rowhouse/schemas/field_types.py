"""The scalar types of the wire: what JSON may hold for each column type, strictly and alike on both databases."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    EmailStr,
    Field,
    PlainSerializer,
    TypeAdapter,
)
from pydantic_core import PydanticCustomError

NO_NUL = r"^[^\x00]*$"
MAX_EXACT_DIGITS = 15
EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
HOUR_MINUTE = r"([01]\d|2[0-3]):[0-5]\d"
INSTANT = re.compile(
    rf"^\d{{4}}-\d\d-\d\d[Tt ]{HOUR_MINUTE}:[0-5]\d(\.\d{{1,6}}\d*)?([Zz]|[+-]{HOUR_MINUTE})$"
)  # no leap seconds, which neither Python nor SQLite can hold
DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?\Z")
DATE, TIME = re.compile(r"^\d{4}-\d\d-\d\d$"), re.compile(r"^\d\d:\d\d(:\d\d(\.\d{1,6})?)?$")


def _parsing(kind: Any, pattern: re.Pattern[str], what: str) -> Callable[[Any], Any]:
    """Read text of exactly this form; pydantic alone would also take a number of seconds, and a number is no instant."""
    adapter = TypeAdapter(kind)

    def parse(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if not pattern.match(value):
            raise PydanticCustomError("format", f"Input should be {what}")
        return adapter.validate_python(value)

    return parse


def _parse_decimal(value: Any) -> Any:
    """Read a JSON number or plain digits; Python alone would also take `1_0`, ` 1 ` and the digits of other scripts."""
    if isinstance(value, str):
        if not DECIMAL.match(value):
            raise PydanticCustomError("format", "Input should be a decimal number, as 12.50")
        return Decimal(value)
    return Decimal(str(value)) if type(value) in (int, float) else value


def _in_utc(value: datetime) -> datetime:
    """The same instant in UTC, within the years that both databases can hold."""
    if not EARLIEST < value.replace(tzinfo=UTC) < LATEST:
        raise ValueError("the year must lie between 1 and 9999")
    return value.astimezone(UTC)


def refuse_nul(value: str) -> str:
    """Text as PostgreSQL can hold it."""
    if "\x00" in value:
        raise ValueError("text must not contain the NUL character")
    return value


def check_json(value: Any) -> Any:
    """Refuse what PostgreSQL's JSON cannot hold: NUL, NaN and numbers past 64 bits."""
    match value:
        case str():
            refuse_nul(value)
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  NaN
            raise ValueError("NaN and Infinity are not JSON")
        case int() if abs(value) >= 2**63:
            raise ValueError("integers must fit in 64 bits")
        case dict() | list():
            for part in [*value, *value.values()] if isinstance(value, dict) else value:
                check_json(part)
    return value


def member_of(kind: type[Enum]) -> Callable[[Any], Any]:
    """Find a member by a value of exactly its type; pydantic alone would take `true` for 1."""
    members = {(type(member.value), member.value): member for member in kind}
    return lambda value: members.get((type(value), value)) if isinstance(value, (str, int, float)) else None


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(
        _parsing(datetime, INSTANT, "an RFC 3339 instant with its offset and no leap second, as 2030-01-31T12:00:00Z")
    ),
    AfterValidator(_in_utc),
]
"""An instant in a path, a query or a body: RFC 3339 with an offset, converted to UTC.

Example:
    def read_availability(start: Annotated[Instant, Query()], session: SessionDep) -> Availability: ...
"""
CalendarDate = Annotated[date, BeforeValidator(_parsing(date, DATE, "a date, as 2030-01-31"))]
WallTime = Annotated[time, BeforeValidator(_parsing(time, TIME, "a time of day without offset, as 12:00:00"))]
Duration = Annotated[timedelta, Field(ge=timedelta(days=-36500), le=timedelta(days=36500))]
ExactDecimal = Annotated[Decimal, BeforeValidator(_parse_decimal), PlainSerializer(float, return_type=float)]
"""A decimal that is exact in Python and a number in JSON.

Example:
    class Line(BaseModel):
        unit_price: ExactDecimal
"""
# The scalar types that an entity may have, each with what the wire takes for it. Enums and JSON come beside them.
FIELD_TYPES: dict[Any, Any] = {
    datetime: Instant,
    AwareDatetime: Instant,
    date: CalendarDate,
    time: WallTime,
    timedelta: Duration,
    Decimal: ExactDecimal,
    int: int,
    float: float,
    bool: bool,
    str: str,
    EmailStr: EmailStr,
    UUID: UUID,
}
