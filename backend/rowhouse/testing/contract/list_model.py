"""Computes in plain Python which rows a list should select and how it should sort them."""

import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

Row = dict[str, Any]
KeyOf = Callable[[Row], Any]
Compare = Callable[[Any, Any], bool]
DURATION = TypeAdapter(timedelta)
TEXT_KINDS = frozenset({"string", "email"})
ORDERED_KINDS = TEXT_KINDS | {"integer", "number", "date-time", "date", "time", "duration"}
EQUALITY = {"eq", "ne", "in", "not_in", "isnull"}
ORDER = {"lt", "lte", "gt", "gte", "between"}
LISTS = {"in", "not_in", "between"}
MATCHES = {"contains", "startswith", "endswith"}


def operators(kind: str) -> set[str]:
    """The operators that a column of this kind has (docs/contract.md §3)."""
    if kind in ("object", "array", "base64"):
        return {"isnull"}
    if kind == "boolean":
        return {"eq", "ne", "isnull"}
    return EQUALITY | (ORDER if kind in ORDERED_KINDS else set()) | (MATCHES if kind in TEXT_KINDS else set())


def comparable(kind: str, value: Any) -> Any:
    """A value that Python orders as both databases should."""
    if kind == "date-time":
        return datetime.fromisoformat(value)
    return DURATION.validate_python(value) if kind == "duration" else value


def folded(text: str) -> str:
    """Text without its case; composed, so that accents count."""
    return unicodedata.normalize("NFC", text.casefold())


COMPARISONS: dict[str, Compare] = {
    "eq": lambda stored, asked: bool(stored == asked),
    "ne": lambda stored, asked: bool(stored != asked),
    "lt": lambda stored, asked: bool(stored < asked),
    "lte": lambda stored, asked: bool(stored <= asked),
    "gt": lambda stored, asked: bool(stored > asked),
    "gte": lambda stored, asked: bool(stored >= asked),
    "contains": lambda stored, asked: folded(asked) in folded(stored),
    "startswith": lambda stored, asked: folded(stored).startswith(folded(asked)),
    "endswith": lambda stored, asked: folded(stored).endswith(folded(asked)),
}


def selects(kind: str, operator: str, stored: Any, asked: Any) -> bool:
    """Whether a filter selects a stored value. No comparison selects null."""
    if operator == "isnull":
        return (stored is None) is asked
    if stored is None:
        return False
    if operator in ("in", "not_in"):
        found = comparable(kind, stored) in [comparable(kind, value) for value in asked]
        return found == (operator == "in")
    if operator == "between":
        least, greatest = (comparable(kind, value) for value in asked)
        return bool(least <= comparable(kind, stored) <= greatest)
    return COMPARISONS[operator](comparable(kind, stored), comparable(kind, asked))


def written(asked: Any) -> str:
    """A value as a query string has it."""
    if isinstance(asked, bool):
        return str(asked).lower()
    return ",".join(quoted(written(value)) for value in asked) if isinstance(asked, list) else str(asked)


def quoted(text: str) -> str:
    """A value of a list: in double quotes, as in CSV, if it holds a comma or a quote."""
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if "," in text or '"' in text else text


def sorted_ids(rows: list[Row], name: str, kind: str, *, descending: bool, key: KeyOf) -> list[Any]:
    """Return the keys of the rows in the order of one column.

    Nulls are last ascending and first descending. The key breaks ties upwards.
    """
    by_key = sorted(rows, key=key)
    full = [row for row in by_key if row[name] is not None]
    empty = [key(row) for row in by_key if row[name] is None]
    full.sort(key=lambda row: str(row[name]) if kind == "enum" else comparable(kind, row[name]), reverse=descending)
    keys = [key(row) for row in full]  # a stable sort in reverse keeps ties in the order of their keys
    return [*empty, *keys] if descending else [*keys, *empty]
