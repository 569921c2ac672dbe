"""Examples for members of the OpenAPI document, so that `/docs` shows data: names, prices, dates.

An example comes from a member's format, its type and its name, and fits its schema. A member whose class states
examples keeps them. Must not know an entity.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rowhouse.entities.model import singular_snake

Schema = Mapping[str, Any]
BY_FORMAT = {
    "date-time": "2030-06-01T10:00:00Z",
    "date": "2030-06-01",
    "time": "10:00:00",
    "duration": "PT1H",
    "uuid": "7f1f6f2e-3c1a-4a57-9a3c-6a1f0d1c2b3e",
    "email": "ada@example.com",
    "uri": "https://example.com",
}
# The end of an interval is after its start.
LATER = {"date-time": "2030-06-01T11:00:00Z", "date": "2030-06-02", "time": "11:00:00"}
LAST = re.compile(r"(^|_)(end|ends|until|finish|finished|to|due|closes?|last)(_|$)")
# By a part of the name. The first that fits counts.
TEXTS = (
    ("password", "correct-horse"),
    ("email", "ada@example.com"),
    ("phone", "+49 731 123456"),
    ("url", "https://example.com"),
    ("image", "https://example.com/cover.jpg"),
    ("currency", "EUR"),
    ("country", "Germany"),
    ("country", "DE"),
    ("city", "Ulm"),
    ("author", "Ada Lovelace"),
    ("first_name", "Ada"),
    ("last_name", "Lovelace"),
    ("full_name", "Ada Lovelace"),
    ("username", "ada@example.com"),
    ("title", "The first {noun}"),
    ("name", "The first {noun}"),
    ("plate", "UL AB 123"),
    ("code", "A-100"),
    ("description", "A few words about it."),
    ("comment", "A few words about it."),
)
NUMBERS = (("price", 12.5), ("amount", 12.5), ("latitude", 48.4), ("longitude", 9.99), ("rating", 4), ("year", 1999))
KEY, COUNT = 1, 3
# Responses that nobody writes: their names follow from those of columns. A partial row has those of the whole one.
WITHOUT = re.compile(r"^Page_|(Aggregate|Extremes|Numbers|Filters|Partial)$")
# What the name of a schema has after the entity's.
ROLE = re.compile(r"(BatchUpdate|Deleted|Create|Update|Public|Partial|New|Change)$")


def add_examples(document: dict[str, Any]) -> None:
    """Add an example to every member of an object in the document's components that has none."""
    for title, component in document["components"]["schemas"].items():
        if "examples" in component or WITHOUT.search(title):
            continue
        noun = singular_snake(ROLE.sub("", title)).replace("_", " ")
        for name, schema in component.get("properties", {}).items():
            if "examples" in schema or "default" in schema or "$ref" in schema:
                continue
            found = next(_fitting(name, schema, noun), None)
            if found is not None:
                schema["examples"] = [found]


def _fitting(name: str, schema: Schema, noun: str) -> Iterator[Any]:
    """Yield the examples that fit a member, the best first."""
    options = schema.get("anyOf", (schema,))
    for option in options:
        for value in _candidates(name, option, noun):
            if fits(value, option):
                yield value


def _candidates(name: str, schema: Schema, noun: str) -> Iterator[Any]:
    """Yield examples of one type, the best first."""
    kind, format_ = schema.get("type"), schema.get("format")
    if format_ in BY_FORMAT:
        yield LATER[format_] if format_ in LATER and LAST.search(name) else BY_FORMAT[format_]
    elif kind == "string" and format_ in (None, "password"):
        yield from (text.format(noun=noun) for part, text in TEXTS if part in name)
        yield f"{name.replace('_', ' ').capitalize()} 1"
        yield "A-1"
    elif kind in ("integer", "number"):
        yield from _numbers(name, schema)
    elif kind == "boolean":
        yield True


def _numbers(name: str, schema: Schema) -> Iterator[Any]:
    is_key = name == "id" or name.endswith("_id")
    candidates = [KEY] if is_key else [*(number for part, number in NUMBERS if part in name), COUNT, KEY]
    candidates += [schema[bound] for bound in ("minimum", "maximum") if bound in schema]
    yield from (int(n) if schema["type"] == "integer" and n == int(n) else n for n in candidates)


def fits(value: Any, schema: Schema) -> bool:
    """Return True if a text or a number satisfies the bounds of its schema."""
    if isinstance(value, str):
        return (
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
            and ("pattern" not in schema or re.search(_python(schema["pattern"]), value) is not None)
            and value in schema.get("enum", (value,))
        )
    return (
        (schema["type"] != "integer" or value == int(value))
        and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and ("multipleOf" not in schema or _is_multiple(value, schema["multipleOf"]))
    )


def _is_multiple(value: float, step: float) -> bool:
    return abs(value / step - round(value / step)) < 1e-6  # noqa: PLR2004  the rounding of floats


def _python(pattern: str) -> str:
    """Return a pattern of JSON Schema for Python, where `$` also matches before a final line break."""
    return re.sub(r"(?<!\\)\$$", r"\\Z", pattern)
