"""Valid values from a JSON schema, for a client that knows nothing else.

Value number n is always the same. Other numbers give other values as far as the type allows, and always do for a member
that must be unique. Every fourth value of a nullable member is null. Sends nothing and knows no entity.
"""

import re
import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from random import Random
from typing import Any

Schema = Mapping[str, Any]
TEXTS = ("Straße", "äpfel", "Zebra", "Σίσυφος", "100% sure", "snake_case", "😀 smile", "apple", "back\\slash", "Éclair")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FIRST_DAY = date(2030, 1, 1)
# Numbers without bounds stay within this distance from zero.
SPREAD = 50
# How many texts are generated for a pattern until one fits its length.
ATTEMPTS = 100
UNBOUNDED = 2**62


class UnguessableError(ValueError):
    """No value can be derived from a schema."""


class Values:
    """Makes values for schemas that may refer to `definitions`. Dates are near `first_day`."""

    def __init__(self, definitions: Mapping[str, Schema], *, first_day: date = FIRST_DAY) -> None:
        self._definitions = definitions
        self.first_day = first_day
        self._makers: dict[str, Callable[[Schema, int], Any]] = {
            **MAKERS,
            "date-time": self._instant,
            "date": self._day,
            "array": self._array,
            "object": self._object,
        }

    def resolve(self, schema: Schema) -> Schema:
        """Return the schema behind a reference, and of a choice the first that is not null."""
        if "$ref" in schema:
            return self.resolve(self._definitions[schema["$ref"].rpartition("/")[2]])
        for word in ("anyOf", "oneOf", "allOf"):
            if word in schema:
                return self.resolve(next(arm for arm in schema[word] if arm.get("type") != "null"))
        return schema

    def kind(self, schema: Schema) -> str:
        """Return the kind of a value: its JSON type, `enum`, or the format or the encoding of a string."""
        found = self.resolve(schema)
        if "enum" in found or "const" in found:
            return "enum"
        return str(found.get("contentEncoding") or found.get("format", found.get("type", "object")))

    def value(self, schema: Schema, number: int, *, is_unique: bool = False) -> Any:
        """Return the value with this number.

        Raises:
            UnguessableError: no value was found that the schema allows.
        """
        if nullable(schema) and number % 4 == 3 and not is_unique:
            return None
        found, kind = self.resolve(schema), self.kind(schema)
        maker = self._makers.get(kind) or self._makers[str(found.get("type", "object"))]
        if is_unique:
            maker = UNIQUE.get(kind, maker)
            if kind == "date":
                return (self.first_day + timedelta(days=number)).isoformat()
            if kind == "date-time":
                return self._at(timedelta(hours=number))
        return maker(found, number)

    def _at(self, after: timedelta) -> str:
        return (datetime.combine(self.first_day, time(), UTC) + after).isoformat()

    def _instant(self, _schema: Schema, number: int) -> str:
        """Return an instant, written in UTC or with an offset."""
        first = datetime.combine(self.first_day, time(), UTC)
        moment = first + timedelta(minutes=number * 37 % 2000, microseconds=number % 3)
        return moment.isoformat() if number % 2 else (moment + timedelta(hours=2)).isoformat()[:-6] + "+02:00"

    def _day(self, _schema: Schema, number: int) -> str:
        return (self.first_day + timedelta(days=number * 7 % 50)).isoformat()

    def _array(self, schema: Schema, number: int) -> list[Any]:
        items, least = schema.get("items", {}), schema.get("minItems", 0)
        count = min(max(2, least), schema.get("maxItems", 2 + least))
        if self.resolve(items).get("type", "string") == "string" and self.kind(items) in ("string", "object"):
            texts = [f"tag {number}", "ä", *(f"tag {number} {position}" for position in range(2, count))]
            return texts[:count] if "maxLength" not in items else [text(items, number + n) for n in range(count)]
        return [self.value(items, number + position, is_unique=True) for position in range(count)]

    def _object(self, schema: Schema, number: int) -> dict[str, Any]:
        members = schema.get("properties")
        if members:
            return {name: self.value(member, number) for name, member in members.items()}
        further = schema.get("additionalProperties")
        if isinstance(further, Mapping) and further:
            return {"first": self.value(further, number), "second": self.value(further, number + 1)}
        return {"number": number, "deep": [{"ä": None, "list": [1.5, True, "x", 2**60]}]}


def nullable(schema: Schema) -> bool:
    """Return whether null is a value."""
    return any(arm.get("type") == "null" for arm in schema.get("anyOf", ()))


def text(schema: Schema, number: int) -> str:
    """Return text of many scripts that ends in its number and fits.

    Raises:
        UnguessableError: no text was found that matches the pattern.
    """
    ending = f" {number}"
    longest: int = schema.get("maxLength", 100)
    room = longest - len(ending)
    found = TEXTS[number % len(TEXTS)][:room] + ending if room > 0 else code(longest, number)
    found = found.rjust(schema.get("minLength", 0), "x")
    pattern = schema.get("pattern")
    return found if pattern is None or re.search(pattern, found) else matching(pattern, schema, number)


def code(length: int, number: int) -> str:
    """Return upper-case letters, others for each number as far as the length allows."""
    letters = ""
    for _ in range(length):
        number, position = divmod(number, len(LETTERS))
        letters = LETTERS[position] + letters
    return letters


def matching(pattern: str, schema: Schema, number: int) -> str:
    """Return text that matches a pattern and has the right length.

    Raises:
        UnguessableError: none was found.
    """
    import rstr  # noqa: PLC0415  few schemas have patterns

    generator = rstr.Rstr(Random(number))  # noqa: S311  # nosec B311  the same text for the same number
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 1000)
    for _ in range(ATTEMPTS):
        found = generator.xeger(pattern)
        # It repeats `+` and `*` up to 100 times, so the beginning may be what fits.
        for candidate in (found, found[:longest]):
            if shortest <= len(candidate) <= longest and candidate.isprintable() and re.search(pattern, candidate):
                return candidate
    raise UnguessableError(f"no text of {shortest} to {longest} letters was found that matches {pattern}")


def integer_bounds(schema: Schema) -> tuple[int, int]:
    """Return the smallest and the largest whole number of a schema; 64 bits where it has no bounds."""
    low = max(schema.get("minimum", -(2**63)), schema.get("exclusiveMinimum", -(2**63) - 1) + 1)
    high = min(schema.get("maximum", 2**63 - 1), schema.get("exclusiveMaximum", 2**63) - 1)
    return int(low), int(high)


def integer(schema: Schema, number: int) -> int:
    """Return a whole number near zero, or far from it where the column is wide."""
    least, most = integer_bounds(schema)
    low = max(least, min(-SPREAD, most))
    high = min(most, SPREAD if low < SPREAD else low + SPREAD)
    near = low + number * 7 % (high - low + 1)
    return near * 2**40 if schema.get("maximum", 0) >= 2**63 - 1 and low < 0 else near


def unique_integer(schema: Schema, number: int) -> int:
    """Return a whole number from one on, another one for each number as far as the bounds allow.

    Raises:
        UnguessableError: there is none within the bounds.
    """
    least, most = integer_bounds(schema)
    if most < least:
        raise UnguessableError(f"there is no whole number within the bounds of {dict(schema)}")
    low = max(least, min(1, most))
    return low + number % (most - low + 1)


def decimal(schema: Schema, number: int) -> float:
    """Return a number with as many places as the schema has, or quarters."""
    return _stepped(schema, number * 37 % 100 + 1, lowest=-3)


def unique_decimal(schema: Schema, number: int) -> float:
    """Return a number from zero on, another one for each number as far as the bounds allow."""
    return _stepped(schema, number + 1, lowest=0)


def _stepped(schema: Schema, position: int, *, lowest: int) -> float:
    """Return the multiple at `position` of those that the schema allows, from `lowest` on if it allows that.

    Raises:
        UnguessableError: there is no multiple within the bounds.
    """
    step = Decimal(str(schema.get("multipleOf", "0.25")))
    least = max(
        _steps(schema, "minimum", step, ROUND_CEILING), _steps(schema, "exclusiveMinimum", step, ROUND_FLOOR) + 1
    )
    most = min(
        _steps(schema, "maximum", step, ROUND_FLOOR), _steps(schema, "exclusiveMaximum", step, ROUND_CEILING) - 1
    )
    if most < least:
        raise UnguessableError(f"there is no multiple of {step} within the bounds of {dict(schema)}")
    first = max(least, min(int(lowest / step), most))
    most = min(most, first + int(1000 / step))
    return float(step * (first + position % (most - first + 1)))


def _steps(schema: Schema, word: str, step: Decimal, rounding: str) -> int:
    """Return a bound in steps from zero; a very distant one if there is none."""
    if word not in schema:
        return -UNBOUNDED if word.lower().endswith("minimum") else UNBOUNDED
    return int((Decimal(str(schema[word])) / step).to_integral_value(rounding))


def clock(_schema: Schema, number: int) -> str:
    """Return a time of day."""
    return f"{number % 24:02}:{number * 7 % 60:02}:{number * 11 % 60:02}"


def duration(_schema: Schema, number: int) -> str:
    """Return a duration in minutes, backwards too."""
    minutes = number * 17 % 3000 - 1000
    return f"{'-' if minutes < 0 else ''}PT{abs(minutes)}M"


def identifier(_schema: Schema, number: int) -> str:
    """Return a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def choice(schema: Schema, number: int) -> Any:
    """Return one of the values."""
    values = schema.get("enum", [schema.get("const")])
    return values[number % len(values)]


MAKERS: dict[str, Callable[[Schema, int], Any]] = {
    "string": text,
    "base64": lambda _schema, number: b64encode(f"bytes {number}".encode()).decode(),
    "password": lambda _schema, number: f"password-{number}",
    "email": lambda _schema, number: f"person-{number}@example.com",
    "integer": integer,
    "number": decimal,
    "boolean": lambda _schema, number: number % 2 == 0,
    "time": clock,
    "duration": duration,
    "uuid": identifier,
    "enum": choice,
}
UNIQUE: dict[str, Callable[[Schema, int], Any]] = {
    "duration": lambda _schema, number: f"PT{number + 1}M",
    "integer": unique_integer,
    "number": unique_decimal,
    "time": lambda _schema, number: f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}",
}
