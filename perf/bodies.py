"""Makes values that the schemas of an OpenAPI document take: bodies and query parameters, another one each time.

It knows the schema and two habits of the contract: a member `…_id` refers to a row, and instants are a slot in time, so that
whatever starts also ends later. It sends nothing: rows to refer to come from the caller.
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

from perf.operations import Schema
from perf.patterns import matching

# Numbers stay within so many steps of the first one.
STEPS = 1000
UNBOUNDED = 2**62
MAX_TEXT = 1000
SLOT_LENGTH = timedelta(minutes=15)
REFERENCE = re.compile(r"\w_id$")
ENDING = ("end", "last", "until")
# The key of a row of the collection, or None where there cannot be one.
Refer = Callable[[str], object]


class UnmakeableError(ValueError):
    """A schema that this module cannot make a value for; the message names the member."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a value is for: the `name` of its member, the `number` of its body, a slot that is free from `start` on."""

    name: str
    number: int
    start: datetime
    refer: Refer

    @property
    def instant(self) -> datetime:
        """`end_time` ends the slot; every other instant is its start."""
        return self.start + SLOT_LENGTH if self.name.startswith(ENDING) else self.start


# So that nobody runs out of what others take: there is plenty of everything, and each takes one.
AMOUNTS: Mapping[str, int] = {"stock": 1_000_000, "quantity": 1}
# What a body refers to that names the row it is about, as the elements of a batch do.
OWN_ROW = ""


class Bodies:
    """Makes values for one document; `targets` says which collection a member such as `book_id` refers to."""

    def __init__(self, document: Mapping[str, Any], targets: Mapping[str, str]) -> None:
        self._schemas: Mapping[str, Schema] = document.get("components", {}).get("schemas", {})
        self._targets = targets
        self._numbers = itertools.count()

    def next_number(self) -> int:
        """A number for the next body; the elements of a batch may share one."""
        return next(self._numbers)

    def make(self, schema: Schema, *, refer: Refer, start: datetime, name: str = "", number: int | None = None) -> Any:
        """A valid value for a body or for the parameter `name`.

        Raises:
            UnmakeableError: for a schema that it does not understand.
        """
        number = self.next_number() if number is None else number
        return self._value(schema, Use(name=name, number=number, start=start, refer=refer))

    def _resolve(self, schema: Schema) -> Schema:
        """The schema behind a reference, and of a choice the first that is not null."""
        if "$ref" in schema:
            return self._resolve(self._schemas[schema["$ref"].rpartition("/")[2]])
        for word in ("anyOf", "oneOf", "allOf"):
            arms = [arm for arm in schema.get(word, ()) if arm.get("type") != "null"]
            if arms:
                return self._resolve(arms[0])
        return schema

    def _value(self, schema: Schema, use: Use) -> Any:
        found = self._resolve(schema)
        if "const" in found or "enum" in found:
            return random.choice(found.get("enum", [found.get("const")]))
        kind = found.get("type")
        if kind == "object":
            return self._object(found, use)
        if kind == "array":
            items = found.get("items") or {"type": "string"}
            return [self._value(items, use) for _ in range(max(1, found.get("minItems", 1)))]
        maker = MAKERS.get((kind, found.get("format")))
        if maker is None:
            raise UnmakeableError(f"{use.name or 'body'}: perf.bodies makes no {kind} of format {found.get('format')}")
        return maker(found, use)

    def _object(self, schema: Schema, use: Use) -> dict[str, Any]:
        """Every member but those that refer to a row where there is none."""
        made = {}
        for name, member in schema.get("properties", {}).items():
            own_use = Use(name=name, number=use.number, start=use.start, refer=use.refer)
            value = self._member(member, own_use)
            if value is not None:
                made[name] = value
            elif name in schema.get("required", ()):
                raise UnmakeableError(f"{name}: there is no row that it could refer to")
        return made

    def _member(self, schema: Schema, use: Use) -> Any:
        """The value of a member; None leaves it out."""
        if use.name == "id":
            return use.refer(OWN_ROW)
        if use.name in self._targets:
            return use.refer(self._targets[use.name])
        found = self._resolve(schema)
        if use.name in AMOUNTS and found.get("type") == "integer":
            return AMOUNTS[use.name]
        if REFERENCE.search(use.name) and (found.get("type") == "integer" or found.get("format") == "uuid"):
            return None
        if "default" in schema and ("enum" in found or found.get("type") == "boolean"):
            # The default is the state in which a new row is of use: an available charge point, a plain user.
            return schema["default"]
        return self._value(schema, use)


def number(schema: Schema, position: int) -> int | float:
    """The number at `position` among the first that the schema takes, small ones above zero where it can be, then over again."""
    is_whole = schema.get("type") == "integer"
    step = Decimal(str(schema.get("multipleOf", 1 if is_whole else "0.01")))
    least = max(
        _count(schema, "minimum", step, ROUND_CEILING), _count(schema, "exclusiveMinimum", step, ROUND_FLOOR) + 1
    )
    most = min(
        _count(schema, "maximum", step, ROUND_FLOOR), _count(schema, "exclusiveMaximum", step, ROUND_CEILING) - 1
    )
    if most < least:
        raise UnmakeableError(f"there is no multiple of {step} within the bounds of {dict(schema)}")
    first = max(least, min(1, most - STEPS))
    found = step * (first + position % (min(most - first, STEPS) + 1))
    return int(found) if is_whole else float(found)


def _count(schema: Schema, word: str, step: Decimal, rounding: str) -> int:
    """A bound in steps from zero; far away where there is none."""
    if word not in schema:
        return -UNBOUNDED if word in ("minimum", "exclusiveMinimum") else UNBOUNDED
    return int((Decimal(str(schema[word])) / step).to_integral_value(rounding))


def unique_text(schema: Schema, use: Use) -> str:
    """Text that no other call gives, as far as the schema leaves room for 16 random digits."""
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", MAX_TEXT)
    text = f"{use.name.replace('_', ' ')} {uuid.uuid4().hex[:16]}".strip()[-longest:].ljust(shortest, "x")
    pattern = schema.get("pattern")
    if pattern is None or re.search(pattern, text):
        return text
    found = matching(pattern, fits=lambda candidate: shortest <= len(candidate) <= longest)
    if found is None:
        raise UnmakeableError(
            f"{use.name}: no text of {shortest} to {longest} letters was found that matches {pattern}"
        )
    return found


MAKERS: Mapping[tuple[str | None, str | None], Callable[[Schema, Use], Any]] = {
    ("boolean", None): lambda _schema, _use: random.choice((True, False)),
    ("integer", None): lambda schema, use: number(schema, use.number),
    ("number", None): lambda schema, use: number(schema, use.number),
    ("string", None): unique_text,
    ("string", "password"): unique_text,
    ("string", "email"): lambda _schema, _use: f"load-{uuid.uuid4().hex}@example.com",
    ("string", "uuid"): lambda _schema, _use: str(uuid.uuid4()),
    ("string", "date-time"): lambda _schema, use: use.instant.isoformat().replace("+00:00", "Z"),
    ("string", "date"): lambda _schema, use: use.instant.date().isoformat(),
    ("string", "time"): lambda _schema, use: use.instant.time().isoformat(),
    ("string", "duration"): lambda _schema, use: f"PT{use.number % 60 + 1}M",
}
