"""The members of an entity as people read and write them: labels, inputs, and the text of a value.

Derived from the JSON schemas of the entity. A form sends texts; `Field.token` turns one into the JSON of a request. It
does not validate: a text that is no valid value is sent as it is, so that the API's own error stands at the field.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import Column

Schema = Mapping[str, Any]
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,99})")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# A text that may be longer is written in several lines.
LONG_TEXT = 255
# In a list; the page of the row shows all of it.
SHOWN_IN_LIST = 80
MISSING = "missing"
NOTHING = "-"
YES, NO = "yes", "no"
NULL, TRUE, FALSE = "null", "true", "false"


class Kind(StrEnum):
    """How a value is written in a form."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    INSTANT = "instant"
    DATE = "date"
    TIME = "time"
    DOCUMENT = "document"
    # A UUID, a duration, an e-mail address: a text with a format.
    FORMATTED = "formatted"


FORMATS = {"date-time": Kind.INSTANT, "date": Kind.DATE, "time": Kind.TIME}
TYPES = {"boolean": Kind.BOOLEAN, "integer": Kind.INTEGER, "number": Kind.NUMBER}


class TextError(ValueError):
    """A text that cannot be sent to the API at all. The message stands at the field."""


@dataclass(frozen=True, slots=True)
class Field:
    """One member. `choices` are an enum's values as JSON; `default` is the JSON value of the schema, or MISSING."""

    name: str
    label: str
    kind: Kind
    nullable: bool = False
    required: bool = False
    default: Any = MISSING
    choices: tuple[str, ...] = ()
    help: str = ""
    max_length: int | None = None

    @property
    def is_long(self) -> bool:
        """Whether it is a text of several lines."""
        return self.kind is Kind.TEXT and (self.max_length is None or self.max_length > LONG_TEXT)

    @property
    def can_be_empty(self) -> bool:
        """Whether the empty text and null are two values, between which a form has to ask."""
        return self.kind is Kind.TEXT and self.nullable

    def text(self, value: Any, zone: tzinfo) -> str:
        """Return the text of a JSON value in a form. Null is the empty text."""
        if value is None:
            return ""
        if self.kind in (Kind.CHOICE, Kind.BOOLEAN):
            return json.dumps(plain(value))
        if self.kind is Kind.DOCUMENT:
            return json.dumps(plain(value), indent=2, ensure_ascii=False)
        if self.kind is Kind.INSTANT:
            return local_text(value, zone)
        return format(value, "f") if isinstance(value, Decimal) else str(value)

    def shown(self, value: Any, zone: tzinfo) -> str:
        """Return a JSON value for reading."""
        if value is None:
            return NOTHING
        if self.kind is Kind.BOOLEAN:
            return YES if value else NO
        if self.kind is Kind.CHOICE:
            return str(value)
        if self.kind is Kind.INSTANT:
            return local_text(value, zone).replace("T", " ")
        return self.text(value, zone)

    def shortened(self, value: Any, zone: tzinfo) -> str:
        """Return a JSON value for a list."""
        text = self.shown(value, zone)
        if self.kind is Kind.INSTANT:
            return text.partition(".")[0]
        return text if len(text) <= SHOWN_IN_LIST else f"{text[: SHOWN_IN_LIST - 1]}…"

    def token(self, text: str, zone: tzinfo) -> str:
        """Return the JSON of a text that is not empty.

        Raises:
            TextError: a JSON document that is malformed.
        """
        stripped = text.strip()
        if self.kind is Kind.DOCUMENT:
            return _document(text)
        if self.kind is Kind.INSTANT:
            return json.dumps(instant_of(stripped, zone))
        is_literal = {
            Kind.INTEGER: INTEGER.fullmatch(stripped) is not None,
            Kind.NUMBER: NUMBER.fullmatch(stripped) is not None,
            Kind.BOOLEAN: stripped in (TRUE, FALSE),
            Kind.CHOICE: stripped in self.choices,
        }
        if is_literal.get(self.kind):
            return stripped
        return json.dumps(text if self.kind is Kind.TEXT else stripped)


def _document(text: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TextError(f"This is not valid JSON: {error}.") from error
    return text


def plain(value: Any) -> Any:
    """Return a JSON value with floats instead of `Decimal`: documents have no exact decimals."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


class Table(NamedTuple):
    """The elements of a document that is a list of the same members: labels, and a text for each value."""

    labels: list[str]
    lines: list[list[str]]


def table_of(value: Any) -> Table | None:
    """Return a document as a table. None if it is no list of objects that have the same plain members."""
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) and one for one in value):
        return None
    names = list(value[0])
    if any(list(one) != names or not all(map(_is_plain, one.values())) for one in value):
        return None
    return Table(list(map(label_of, names)), [[_plain_text(part) for part in one.values()] for one in value])


def _is_plain(value: Any) -> bool:
    return not isinstance(value, (dict, list))


def _plain_text(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return YES if value else NO
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def local_text(value: str, zone: tzinfo) -> str:
    """Return an instant in a zone as `2026-05-01T10:00:00`; with the fraction of a second only if there is one."""
    try:
        local = datetime.fromisoformat(value).astimezone(zone).replace(tzinfo=None)
    except OverflowError:  # at the first or the last instant of the calendar
        return value
    return local.isoformat(timespec="auto" if local.microsecond else "seconds")


def instant_of(text: str, zone: tzinfo) -> str:
    """Return a local text as RFC 3339 in UTC. A text with an offset, or one that is no instant, stays as it is."""
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is not None:
            return text
        return read.replace(tzinfo=zone).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return text


def label_of(name: str) -> str:
    """Return a name for people: `price_per_kwh` is "Price per kwh"."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def fields_of(schema: Schema, resource: Resource) -> dict[str, Field]:
    """Return the members of a JSON schema of a resource, in its order."""
    definitions = schema.get("$defs", {})
    required = frozenset(schema.get("required", ()))
    return {
        name: _field(name, part, definitions, column=resource.columns.get(name), required=name in required)
        for name, part in schema.get("properties", {}).items()
    }


def _field(name: str, schema: Schema, definitions: Schema, *, column: Column | None, required: bool) -> Field:
    arms = [_resolved(arm, definitions) for arm in _resolved(schema, definitions).get("anyOf", [schema])]
    values = [arm for arm in arms if arm.get("type") != "null"]
    first: Schema = values[0] if values else {}
    kind = Kind.DOCUMENT if column is not None and not column.is_comparable else _kind(values)
    if kind is Kind.CHOICE:
        choices = tuple(json.dumps(value) for arm in values for value in arm.get("enum", [arm.get("const")]))
    else:
        choices = (TRUE, FALSE) if kind is Kind.BOOLEAN else ()
    return Field(
        name=name,
        label=label_of(name.removesuffix("_id") if column is not None and column.column.foreign_keys else name),
        kind=kind,
        nullable=len(values) < len(arms),
        required=required,
        default=schema.get("default", MISSING),
        choices=choices,
        help=schema.get("description", ""),
        max_length=first.get("maxLength"),
    )


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    reference = str(schema.get("$ref", ""))
    return {**schema, **definitions[reference.rpartition("/")[2]]} if reference else schema


def _kind(arms: list[Schema]) -> Kind:
    types = {str(arm.get("type", "")) for arm in arms}
    if any("enum" in arm or "const" in arm for arm in arms):
        return Kind.CHOICE
    if types == {"number", "string"}:
        return Kind.DECIMAL
    if types == {"string"}:
        stated = arms[0].get("format")
        return Kind.TEXT if stated is None else FORMATS.get(stated, Kind.FORMATTED)
    return TYPES.get(next(iter(types)), Kind.DOCUMENT) if len(types) == 1 else Kind.DOCUMENT
