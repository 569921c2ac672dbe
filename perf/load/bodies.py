"""Generate values for the schemas of an OpenAPI document: bodies and query parameters, a different one each time.

It uses the schema and two conventions of docs/contract.md: a member `…_id` refers to a row, and the instants of a body
are a time slot, so everything ends after it starts. It sends nothing: the caller supplies the rows to refer to.
"""

import itertools
import random
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import rstr

from perf.load.operations import Schema

# Numbers stay within this number of steps from the first one.
STEPS = 1000
UNBOUNDED = 2**62
MAX_TEXT = 1000
# How many texts are generated for a pattern until one fits its limits.
ATTEMPTS = 200
SLOT_LENGTH = timedelta(minutes=15)
REFERENCE = re.compile(r"\w_id$")
ENDING = ("end", "last", "until")
# Returns the key of a row of the collection, or None if there is none.
Refer = Callable[[str], object]


class UnsupportedSchemaError(ValueError):
    """This module cannot generate a value for a schema. The message names the member."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where a value is used: the `name` of its member, the `number` of its body, and the `start` of its time slot."""

    name: str
    number: int
    start: datetime
    refer: Refer

    @property
    def instant(self) -> datetime:
        """Return the end of the slot for a member such as `end_time`, and its start for any other."""
        return self.start + SLOT_LENGTH if self.name.startswith(ENDING) else self.start


# Stands for the row that a body itself is about: the elements of a batch name theirs.
OWN_ROW = ""


class Bodies:
    """Generates values for one document.

    `targets` is the collection that a member such as `book_id` refers to, `amounts` the value of an integer member.
    """

    def __init__(
        self, document: Mapping[str, Any], targets: Mapping[str, str], *, amounts: Mapping[str, int] | None = None
    ) -> None:
        self._schemas: Mapping[str, Schema] = document.get("components", {}).get("schemas", {})
        self._targets = targets
        self._amounts = amounts or {}
        self._numbers = itertools.count()

    def next_number(self) -> int:
        """Return a number for the next body. The elements of a batch may share one."""
        return next(self._numbers)

    def generate(
        self, schema: Schema, *, refer: Refer, start: datetime, name: str = "", number: int | None = None
    ) -> Any:
        """Return a valid value for a body or for the parameter `name`.

        Raises:
            UnsupportedSchemaError: the schema is not understood.
        """
        number = self.next_number() if number is None else number
        return self._value(schema, Context(name=name, number=number, start=start, refer=refer))

    def _resolve(self, schema: Schema) -> Schema:
        """Follow a reference; of a choice, return the first schema that is not null."""
        if "$ref" in schema:
            return self._resolve(self._schemas[schema["$ref"].rpartition("/")[2]])
        for word in ("anyOf", "oneOf", "allOf"):
            arms = [arm for arm in schema.get(word, ()) if arm.get("type") != "null"]
            if arms:
                return self._resolve(arms[0])
        return schema

    def _value(self, schema: Schema, context: Context) -> Any:
        found = self._resolve(schema)
        if "const" in found or "enum" in found:
            return random.choice(found.get("enum", [found.get("const")]))
        kind = found.get("type")
        if kind == "object":
            return self._object(found, context)
        if kind == "array":
            items = found.get("items") or {"type": "string"}
            return [self._value(items, context) for _ in range(max(1, found.get("minItems", 1)))]
        generator = GENERATORS.get((kind, found.get("format")))
        if generator is None:
            raise UnsupportedSchemaError(
                f"{context.name or 'body'}: perf.load.bodies generates no {kind} of format {found.get('format')}"
            )
        return generator(found, context)

    def _object(self, schema: Schema, context: Context) -> dict[str, Any]:
        """Return an object without the members that refer to a row if there is none."""
        members = {}
        for name, member in schema.get("properties", {}).items():
            own = Context(name=name, number=context.number, start=context.start, refer=context.refer)
            value = self._member(member, own)
            if value is not None:
                members[name] = value
            elif name in schema.get("required", ()):
                raise UnsupportedSchemaError(f"{name}: there is no row to refer to")
        return members

    def _member(self, schema: Schema, context: Context) -> Any:
        """Return the value of a member; None leaves it out."""
        if context.name == "id":
            return context.refer(OWN_ROW)
        if context.name in self._targets:
            return context.refer(self._targets[context.name])
        found = self._resolve(schema)
        if context.name in self._amounts and found.get("type") == "integer":
            return self._amounts[context.name]
        if REFERENCE.search(context.name) and (found.get("type") == "integer" or found.get("format") == "uuid"):
            return None
        if "default" in schema and ("enum" in found or found.get("type") == "boolean"):
            # The default is the state in which other operations can use the row, such as an available charge point.
            return schema["default"]
        return self._value(schema, context)


def number(schema: Schema, position: int) -> int | float:
    """Return the number at `position` among the first 1,001 that the schema allows, small positive ones if possible."""
    is_whole = schema.get("type") == "integer"
    step = Decimal(str(schema.get("multipleOf", 1 if is_whole else "0.01")))
    least = max(
        _count(schema, "minimum", step, ROUND_CEILING), _count(schema, "exclusiveMinimum", step, ROUND_FLOOR) + 1
    )
    most = min(
        _count(schema, "maximum", step, ROUND_FLOOR), _count(schema, "exclusiveMaximum", step, ROUND_CEILING) - 1
    )
    if most < least:
        raise UnsupportedSchemaError(f"there is no multiple of {step} within the bounds of {dict(schema)}")
    first = max(least, min(1, most - STEPS))
    found = step * (first + position % (min(most - first, STEPS) + 1))
    return int(found) if is_whole else float(found)


def _count(schema: Schema, word: str, step: Decimal, rounding: str) -> int:
    """Return a bound in steps from zero; a very distant one if there is none."""
    if word not in schema:
        return -UNBOUNDED if word in ("minimum", "exclusiveMinimum") else UNBOUNDED
    return int((Decimal(str(schema[word])) / step).to_integral_value(rounding))


def unique_text(schema: Schema, context: Context) -> str:
    """Return text that no other call returns, as far as the schema leaves room for 16 random digits."""
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", MAX_TEXT)
    text = f"{context.name.replace('_', ' ')} {uuid.uuid4().hex[:16]}".strip()[-longest:].ljust(shortest, "x")
    pattern = schema.get("pattern")
    if pattern is None or re.search(pattern, text):
        return text
    found = matching_text(pattern, shortest=shortest, longest=longest)
    if found is None:
        raise UnsupportedSchemaError(
            f"{context.name}: no text of {shortest} to {longest} letters was found that matches {pattern}"
        )
    return found


def matching_text(pattern: str, *, shortest: int = 0, longest: int = MAX_TEXT) -> str | None:
    """Return a random printable text that matches a regular expression; None if none was found."""
    for _ in range(ATTEMPTS):
        text = rstr.xeger(pattern)
        # rstr repeats `+` and `*` up to 100 times, so the beginning may be what fits.
        for candidate in (text, text[:longest]):
            is_right_length = shortest <= len(candidate) <= longest
            if is_right_length and candidate.isprintable() and re.search(pattern, candidate):
                return candidate
    return None


GENERATORS: Mapping[tuple[str | None, str | None], Callable[[Schema, Context], Any]] = {
    ("boolean", None): lambda _schema, _context: random.choice((True, False)),
    ("integer", None): lambda schema, context: number(schema, context.number),
    ("number", None): lambda schema, context: number(schema, context.number),
    ("string", None): unique_text,
    ("string", "password"): unique_text,
    ("string", "email"): lambda _schema, _context: f"load-{uuid.uuid4().hex}@example.com",
    ("string", "uuid"): lambda _schema, _context: str(uuid.uuid4()),
    ("string", "date-time"): lambda _schema, context: context.instant.isoformat().replace("+00:00", "Z"),
    ("string", "date"): lambda _schema, context: context.instant.date().isoformat(),
    ("string", "time"): lambda _schema, context: context.instant.time().isoformat(),
    ("string", "duration"): lambda _schema, context: f"PT{context.number % 60 + 1}M",
}
