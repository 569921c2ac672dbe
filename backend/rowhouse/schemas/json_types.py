"""JSON values of scalar columns: strict annotations that accept the same values on both databases.

pydantic alone is more generous: it reads a number as an instant, `1_0` as a number and `true` as 1.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError, to_json, to_jsonable_python

NO_NUL = r"^[^\x00]*$"
EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
HOUR_MINUTE = r"([01]\d|2[0-3]):[0-5]\d"
# No leap seconds: neither Python nor SQLite can store them.
INSTANT = re.compile(rf"^\d{{4}}-\d\d-\d\d[Tt ]{HOUR_MINUTE}:[0-5]\d(\.\d{{1,6}}\d*)?([Zz]|[+-]{HOUR_MINUTE})$")
DATE, TIME = re.compile(r"^\d{4}-\d\d-\d\d$"), re.compile(r"^\d\d:\d\d(:\d\d(\.\d{1,6})?)?$")
DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?\Z")
INTEGER_TEXT = re.compile(r"-?[0-9]{1,20}\Z")
BASE64 = re.compile(r"^(?:[A-Za-z0-9+/_\-]{4})*(?:[A-Za-z0-9+/_\-]{2}==|[A-Za-z0-9+/_\-]{3}=)?$")
PLAIN_ALPHABET = str.maketrans("-_", "+/")
NUMBER_TEXT = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\Z")


@cache  # columns of one type then have equal annotations, which `rowhouse.query.parameters` prepares once
def require_format(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    """Reject text that does not match `pattern`; pydantic alone accepts more forms."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not pattern.match(value):
            raise ValueError(f"write {what}")
        return value

    return BeforeValidator(check)


def _parsing(kind: Any, pattern: re.Pattern[str], what: str) -> Callable[[Any], Any]:
    """Parse text that matches `pattern`; pydantic alone also accepts a number of seconds."""
    adapter = TypeAdapter(kind)

    def parse(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if not pattern.match(value):
            raise PydanticCustomError("format", f"Input should be {what}")
        return adapter.validate_python(value)

    return parse


def _parse_base64(value: Any) -> Any:
    """Return the bytes of a base64 text. Its two alphabets are accepted, that of RFC 4648 and that of URLs."""
    if not isinstance(value, str):
        return value
    try:
        return b64decode(value.translate(PLAIN_ALPHABET), validate=True)
    except ValueError as error:
        raise PydanticCustomError("format", "Input should be base64") from error


def _parse_decimal(value: Any) -> Any:
    """Parse a JSON number or plain digits; Python alone also accepts `1_0`, ` 1 ` and the digits of other scripts."""
    if isinstance(value, str):
        if not DECIMAL.match(value):
            raise PydanticCustomError("format", "Input should be a decimal number, as 12.50")
        return Decimal(value)
    return Decimal(str(value)) if type(value) in (int, float) else value


def _in_utc(value: datetime) -> datetime:
    """Convert an instant to UTC. One on the calendar's first or last day would leave it in other time zones."""
    if not EARLIEST <= value <= LATEST:
        raise ValueError("must lie between 0001-01-02T00:00:00Z and 9999-12-30T00:00:00Z")
    return value.astimezone(UTC)


def _shortest_decimal(value: float) -> Decimal:
    """Return the decimal with the fewest digits that reads as this number.

    It compares equal to a stored decimal of up to 15 digits on both databases.
    """
    return Decimal(str(value))


def reject_nul(value: str) -> str:
    """Reject text with a NUL character, which PostgreSQL cannot store."""
    if "\x00" in value:
        raise ValueError("text must not contain the NUL character")
    return value


def check_json(value: Any) -> Any:
    """Reject documents that PostgreSQL's JSON cannot store: NUL, NaN, and integers beyond 64 bits."""
    match value:
        case str():
            reject_nul(value)
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  NaN
            raise ValueError("NaN and Infinity are not JSON")
        case int() if abs(value) >= 2**63:
            raise ValueError("integers must fit in 64 bits")
        case dict() | list():
            for part in [*value, *value.values()] if isinstance(value, dict) else value:
                check_json(part)
    return value


def as_document(value: Any) -> Any:
    """Return a document as JSON has it: models as objects, sets as lists, dates and decimals as text.

    Raises:
        ValueError: as `check_json`.
    """
    return check_json(to_jsonable_python(value))


def _address_text(value: Any) -> Any:
    """Return the text of an object of `ipaddress`, as PostgreSQL's driver returns one for `INET`."""
    return str(value) if type(value).__module__ == "ipaddress" else value


def member_of(kind: type[Enum]) -> Callable[[Any], Any]:
    """Return a function that finds a member by a value of exactly its type; pydantic alone accepts `true` for 1."""
    members = {(type(member.value), member.value): member for member in kind}
    return lambda value: members.get((type(value), value)) if isinstance(value, (str, int, float)) else None


def member_of_text(kind: type[Enum]) -> Callable[[Any], Any]:
    """Return a function that finds a member by the text of its value in JSON. Other values it returns as they are."""
    members = {
        member.value if isinstance(member.value, str) else to_json(member.value).decode(): member for member in kind
    }
    return lambda value: members.get(value, value) if isinstance(value, str) else value


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
Base64 = Annotated[
    bytes,
    BeforeValidator(_parse_base64),
    PlainSerializer(lambda value: b64encode(value).decode(), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "pattern": BASE64.pattern}),
]
"""Bytes in JSON, as base64 (RFC 4648, section 4)."""
ExactDecimal = Annotated[Decimal, BeforeValidator(_parse_decimal), PlainSerializer(float, return_type=float)]
"""A decimal that is exact in Python and a number in JSON.

Example:
    class Line(BaseModel):
        unit_price: ExactDecimal
"""

# A text in a response, of a column whose values may be objects in a session.
AddressText = Annotated[str, BeforeValidator(_address_text)]
# Values in a query string. Integers have none of their own: theirs has the range of the column.
NumberText = Annotated[float, require_format(NUMBER_TEXT, "a number")]
DecimalText = Annotated[float, require_format(NUMBER_TEXT, "a number"), AfterValidator(_shortest_decimal)]
FilterText = Annotated[str, Field(pattern=NO_NUL)]
