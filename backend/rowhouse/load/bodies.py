"""Generate values for the schemas of an OpenAPI document: bodies and query parameters, a different one each time.

The values are those of `rowhouse.testing.bodies`. Here they get what a load needs: the rows to refer to, free time
slots, and texts that no other user has. `Hints` adds the rules of a table, which a document cannot express. Without
them, a member `…_id` refers to a row, and a member such as `end_time` is a slot after its start. Sends nothing: the
caller supplies rows.
"""

import itertools
import random
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from rowhouse.load.hints import NO_HINTS, Hints
from rowhouse.load.operations import Schema
from rowhouse.schemas.links import LINKS
from rowhouse.testing.bodies.maker import SLOT, in_order
from rowhouse.testing.bodies.values import UnguessableError, Values

# Numbers stay within this number of steps from the first one, so that sums of them stay small.
STEPS = 1000
SLOTS_FROM, SLOTS_UNTIL = timedelta(hours=1), timedelta(days=80)
# The days of an interval are within this number of days.
DAYS = 20_000
REFERENCE = re.compile(r"\w_id$")
ENDING = ("end", "last", "until")
FORMATS = ("date", "time", "date-time", "duration", "uuid", "email", "password", "uri", "json-string")
# Returns the key of a row of the collection, or None if there is none.
Refer = Callable[[str], object]
# What a project says of its classes where nothing can be guessed, as the fixture `contract_values` does.
SaidValues = Mapping[str, Mapping[str, Any]]


class UnsupportedSchemaError(ValueError):
    """This module cannot generate a value for a schema. The message names the member."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where a value is used: the `name` of its member, the `number` of its body, and the `start` of its time slot."""

    name: str
    number: int
    start: datetime
    refer: Refer
    # The key of the row that the body is about, by its members.
    key: Mapping[str, Any] = field(default_factory=dict)
    hints: Hints = NO_HINTS
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def instant(self) -> datetime:
        """Return the end of the slot for a member such as `end_time`, and its start for any other."""
        return self.start + SLOT if self.name.startswith(ENDING) else self.start

    def of(self, name: str, hints: Hints, said: Mapping[str, Any]) -> "Context":
        """Return the context of a member."""
        return replace(self, name=name, hints=hints, said=said)


class Bodies:
    """Generates values for one document.

    `targets` is the collection that a member such as `book_id` refers to, `amounts` the value of an integer member,
    `hints` has the rules of tables by the names of their schemas, `said` the values that a project gives.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        targets: Mapping[str, str],
        *,
        amounts: Mapping[str, int] | None = None,
        hints: Mapping[str, Hints] | None = None,
        said: SaidValues | None = None,
    ) -> None:
        self._values = Values(document.get("components", {}).get("schemas", {}))
        self._targets = targets
        self._amounts = amounts or {}
        self._hints = hints or {}
        self._said = said or {}
        self._numbers = itertools.count()
        # Other users and other runs begin elsewhere, so unique texts and numbers differ.
        self._serials = itertools.count(secrets.randbits(44))

    def next_number(self) -> int:
        """Return a number for the next body. The elements of a batch may share one."""
        return next(self._numbers)

    def generate(
        self,
        schema: Schema,
        *,
        refer: Refer,
        start: datetime,
        name: str = "",
        number: int | None = None,
        key: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a valid value for a body or for the parameter `name`. `key` has the members of a row's key.

        Raises:
            UnsupportedSchemaError: the schema is not understood.
        """
        number = self.next_number() if number is None else number
        return self._value(schema, Context(name=name, number=number, start=start, refer=refer, key=key or {}))

    def _value(self, schema: Schema, context: Context) -> Any:
        found = {**self._values.resolve(schema), **context.hints.bounds.get(context.name, {})}
        if "const" in found or "enum" in found:
            return random.choice(found.get("enum", [found.get("const")]))
        kind = found.get("type", "object")
        if kind == "object" and "properties" in found:
            return self._object(schema, found, context)
        if kind == "array":
            items = found.get("items") or {"type": "string"}
            return [self._value(items, context) for _ in range(max(1, found.get("minItems", 1)))]
        return self._leaf(found, str(found.get("format", kind)), context)

    def _leaf(self, schema: Schema, kind: str, context: Context) -> Any:
        is_unique = context.name in context.hints.unique
        if kind == "date-time":
            return context.instant.isoformat().replace("+00:00", "Z")
        if kind in ("date", "time") and not is_unique:
            return getattr(context.instant, kind)().isoformat()
        number = next(self._serials)
        if kind == "boolean":
            return number % 2 == 0
        if kind in ("integer", "number") and not is_unique:
            number = context.number % STEPS
        elif kind in ("date", "time", "duration"):
            number %= DAYS
        try:
            return self._values.value(_known(schema, context), number, is_unique=True)
        except UnguessableError as error:
            raise UnsupportedSchemaError(f"{context.name or 'body'}: {error}") from error

    def _object(self, schema: Schema, found: Schema, context: Context) -> dict[str, Any]:
        """Return an object without the members that refer to a row if there is none."""
        schema_name = schema.get("$ref", "").rpartition("/")[2]
        hints = self._hints.get(schema_name, NO_HINTS)
        said = self._said.get(hints.name or re.sub("(Create|Update|Batch|Put)+$", "", schema_name), {})
        # The members of one reference of several columns are those of one row.
        whole = replace(context, refer=cache(context.refer))
        members = {}
        for name, member in found["properties"].items():
            if context.key and name in hints.fixed:
                continue
            value = self._member(member, (whole if name in hints.parts else context).of(name, hints, said))
            if value is not None:
                members[name] = value
            elif name in found.get("required", ()):
                raise UnsupportedSchemaError(f"{name}: there is no row to refer to")
        return in_order(members, hints.pairs, said.keys())

    def _member(self, schema: Schema, context: Context) -> Any:
        """Return the value of a member; None leaves it out."""
        name = context.name
        if name in context.said:
            value = context.said[name]
            return value(next(self._serials)) if callable(value) else value
        if name in context.key:
            return context.key[name]
        if name in context.hints.targets or name in self._targets:
            target = context.hints.targets.get(name, self._targets.get(name))
            key: Any = context.refer(target) if target else None
            return key[context.hints.parts[name]] if key is not None and name in context.hints.parts else key
        return self._own_value(schema, context)

    def _own_value(self, schema: Schema, context: Context) -> Any:
        """Return the value of a member that refers to no known collection."""
        found, name = self._values.resolve(schema), context.name
        if LINKS in schema:
            return None
        if name in self._amounts and found.get("type") == "integer":
            return self._amounts[name]
        if REFERENCE.search(name) and (found.get("type") == "integer" or found.get("format") == "uuid"):
            return None
        if "default" in schema and ("enum" in found or found.get("type") == "boolean"):
            # The default is the state in which other operations can use the row, such as an available charge point.
            return schema["default"]
        return self._value(schema, context)


def _known(schema: Schema, context: Context) -> Schema:
    """Return a schema that values can be made for.

    Raises:
        UnsupportedSchemaError: they cannot.
    """
    kind, form = schema.get("type", "object"), schema.get("format")
    if kind == "null" or (kind == "string" and form not in (None, *FORMATS)):
        raise UnsupportedSchemaError(f"{context.name or 'body'}: rowhouse.load generates no {kind} of format {form}")
    return {**schema, "format": "string"} if form in ("uri", "json-string") else schema


def free_slots() -> Iterator[datetime]:
    """Yield the starts of time slots from an hour ahead, for 80 days."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + SLOTS_FROM + SLOT
    starts = (first + SLOT * position for position in itertools.count())
    return itertools.takewhile(lambda start: start < first + SLOTS_UNTIL, starts)
