"""Valid values from a JSON schema: what a client that knows nothing but the OpenAPI document would send.

The value number n is always the same, and other numbers give other values as far as the type allows; every fourth value
of a nullable member is null.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

Schema = Mapping[str, Any]
TEXTS = ("Straße", "äpfel", "Zebra", "Σίσυφος", "100% sure", "snake_case", "😀 smile", "apple", "back\\slash", "Éclair")
FIRST_INSTANT = datetime(2030, 1, 1, tzinfo=UTC)
FIRST_DAY = date(2030, 1, 1)
SPREAD = 50


class Bodies:
    """Makes values for the schemas of one OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas: Mapping[str, Schema] = document["components"]["schemas"]

    def resolve(self, schema: Schema) -> Schema:
        """The schema behind a reference, and of a choice the first that is not null."""
        if "$ref" in schema:
            return self.resolve(self._schemas[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return self.resolve(next(arm for arm in schema["anyOf"] if arm.get("type") != "null"))
        return schema

    def kind(self, schema: Schema) -> str:
        """What a value is: `integer`, `number`, `boolean`, `enum`, `object`, `array`, `string` or a string's format."""
        found = self.resolve(schema)
        if "enum" in found or "const" in found:
            return "enum"
        return str(found.get("format", found["type"]))

    def value(self, schema: Schema, number: int) -> Any:
        """The value number `number`."""
        if nullable(schema) and number % 4 == 3:
            return None
        found = self.resolve(schema)
        return MAKERS[self.kind(schema)](found, number)

    def members(self, name: str) -> Mapping[str, Schema]:
        """The members of a schema by its name, as `BookCreate`; none where there is no such schema."""
        members: Mapping[str, Schema] = self._schemas.get(name, {}).get("properties", {})
        return members

    def required(self, name: str) -> list[str]:
        """The members that must be there."""
        return list(self._schemas.get(name, {}).get("required", ()))


def nullable(schema: Schema) -> bool:
    """Whether null is a value."""
    return any(arm.get("type") == "null" for arm in schema.get("anyOf", ()))


def text(schema: Schema, number: int) -> str:
    """Text of many scripts that ends in its number and fits."""
    ending = f" {number}"
    room = schema.get("maxLength", 100) - len(ending)
    found = TEXTS[number % len(TEXTS)][:room] + ending
    return found.rjust(schema.get("minLength", 0), "x")


def integer(schema: Schema, number: int) -> int:
    """A whole number near zero, or far from it where the column is wide."""
    low = int(max(schema.get("minimum", -SPREAD), schema.get("exclusiveMinimum", -SPREAD - 1) + 1, -SPREAD))
    high = int(min(schema.get("maximum", SPREAD), schema.get("exclusiveMaximum", SPREAD + 1) - 1, SPREAD))
    near = low + number * 7 % (high - low + 1)
    return near * 2**40 if schema.get("maximum", 0) >= 2**63 - 1 and low < 0 else near


def decimal(schema: Schema, number: int) -> float:
    """A number with as many places as the schema has, or quarters."""
    step = schema.get("multipleOf", 0.25)
    low = max(schema.get("minimum", -3), schema.get("exclusiveMinimum", -3), -3)
    return round(float(min(low + (number * 37 % 100 + 1) * step, schema.get("maximum", 1000))), 6)


def instant(_schema: Schema, number: int) -> str:
    """An instant of 2030, written in UTC or with an offset."""
    moment = FIRST_INSTANT + timedelta(minutes=number * 37 % 2000, microseconds=number % 3)
    return moment.isoformat() if number % 2 else (moment + timedelta(hours=2)).isoformat()[:-6] + "+02:00"


def day(_schema: Schema, number: int) -> str:
    """A day of 2030."""
    return (FIRST_DAY + timedelta(days=number * 7 % 50)).isoformat()


def clock(_schema: Schema, number: int) -> str:
    """A time of day."""
    return f"{number % 24:02}:{number * 7 % 60:02}:{number * 11 % 60:02}"


def duration(_schema: Schema, number: int) -> str:
    """A duration in minutes, backwards too."""
    minutes = number * 17 % 3000 - 1000
    return f"{'-' if minutes < 0 else ''}PT{abs(minutes)}M"


def identifier(_schema: Schema, number: int) -> str:
    """A UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def choice(schema: Schema, number: int) -> Any:
    """One of the values."""
    values = schema.get("enum", [schema.get("const")])
    return values[number % len(values)]


def document(_schema: Schema, number: int) -> dict[str, Any]:
    """A JSON object with some depth."""
    return {"number": number, "deep": [{"ä": None, "list": [1.5, True, "x", 2**60]}]}


MAKERS: dict[str, Callable[[Schema, int], Any]] = {
    "string": text,
    "password": lambda _schema, number: f"password-{number}",
    "email": lambda _schema, number: f"person-{number}@example.com",
    "integer": integer,
    "number": decimal,
    "boolean": lambda _schema, number: number % 2 == 0,
    "date-time": instant,
    "date": day,
    "time": clock,
    "duration": duration,
    "uuid": identifier,
    "enum": choice,
    "object": document,
    "array": lambda _schema, number: [f"tag {number}", "ä"],
}
