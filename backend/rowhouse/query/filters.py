"""The filters of a list: which operators a column has, what each takes, and its SQL."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import sqlalchemy as sa
from annotated_types import MaxLen, MinLen
from pydantic import Field

from rowhouse.db.sql_functions import TRIGRAM
from rowhouse.schemas.columns import Column
from rowhouse.schemas.field_types import Filtering

MAX_CHOICES = 100
MAX_PATTERN = 1000


def folded_like(column: Any, pattern: Any) -> Any:
    r"""Whether `column` matches a LIKE pattern in any case; `\\` escapes. The database folds both sides, by one function."""
    return sa.func.rowhouse_fold(column).like(sa.func.rowhouse_fold(pattern), escape="\\")


Comparison = Callable[[Any, Any], Any]
COMPARISONS: dict[str, tuple[Comparison, str]] = {
    "eq": (lambda column, value: column == value, "this value"),
    "ne": (lambda column, value: column != value, "another value, and not null"),
    "lt": (lambda column, value: column < value, "less than this"),
    "lte": (lambda column, value: column <= value, "at most this"),
    "gt": (lambda column, value: column > value, "greater than this"),
    "gte": (lambda column, value: column >= value, "at least this"),
    "in": (lambda column, values: column.in_(values), "one of these, separated by commas"),
    "not_in": (lambda column, values: column.not_in(values), "none of these, separated by commas, and not null"),
    "isnull": (lambda _column, condition: condition, "null (`true`) or is not (`false`)"),
    "contains": (folded_like, "contains this text, in any case"),
    "startswith": (folded_like, "starts with this text, in any case"),
    "endswith": (folded_like, "ends with this text, in any case"),
}
PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}
TEXT_OF = "_text_of_{}"
LISTS = frozenset({"in", "not_in"})
LEVELS = {
    **dict.fromkeys(("eq", "ne"), Filtering.BOOLEAN),
    **dict.fromkeys(("in", "not_in"), Filtering.EQUALITY),
    **dict.fromkeys(("lt", "lte", "gt", "gte"), Filtering.ORDER),
    **dict.fromkeys(PATTERNS, Filtering.TEXT),
}
PAGE_WORDS = frozenset({"page", "size", "skip", "limit", "sort", "search", "cursor", "fields", "expand"})


def bind_text(name: str, operator: str, text: str) -> tuple[int, dict[str, Any]]:
    """How many letters of a text to find decide how it is found, and its bind values: the LIKE pattern and the text.

    The database folds them, which leaves the escapes as they are: no other character becomes one of them.
    """
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return min(len(text.casefold()), TRIGRAM), {name: PATTERNS[operator].format(escaped), TEXT_OF.format(name): text}


def text_of(name: str) -> sa.BindParameter[str]:
    """The text that `bind_text` binds."""
    return sa.bindparam(TEXT_OF.format(name), type_=sa.String())


def operators_of(column: Column) -> tuple[str, ...]:
    """Return the filter operators of a column's type."""
    return tuple(name for name in COMPARISONS if column.type.filtering >= LEVELS.get(name, Filtering.NULL))


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a list: `price__gte`."""

    name: str
    column: Column
    operator: str


def filters_of(column: Column) -> list[Filter]:
    """Every filter of a column: the plain name for equality, then one for each operator."""
    found = [Filter(f"{column.name}__{operator}", column, operator) for operator in operators_of(column)]
    if column.name in PAGE_WORDS or column.is_json:  # `size` is the page's: a column of that name has `size__eq`
        return found
    return [Filter(column.name, column, "eq"), *found[1:]]


def filter_annotation(entry: Filter) -> Any:
    """What the query parameter of a filter takes."""
    if entry.operator == "isnull":
        return bool
    kind = entry.column.filter_annotation
    if entry.operator in PATTERNS:  # SQLite refuses longer ones
        return Annotated[kind, Field(max_length=MAX_PATTERN)]
    return Annotated[list[kind], MinLen(1), MaxLen(MAX_CHOICES)] if entry.operator in LISTS else kind  # type: ignore[valid-type]  # run time


def describe_filter(entry: Filter) -> str:
    """The filter in words, for OpenAPI."""
    return (
        f"Only rows whose `{entry.column.name}` is {COMPARISONS[entry.operator][1]}.".replace("is contains", "contains")
        .replace("is starts", "starts")
        .replace("is ends", "ends")
    )


def bind_values(entry: Filter, value: Any) -> tuple[int, dict[str, Any]]:
    """How many values the filter has (for isnull, which way it asks; for text, see `bind_text`), and each under its bind name."""
    if entry.operator == "isnull":
        return int(value), {}
    if entry.operator in PATTERNS:
        return bind_text(entry.name, entry.operator, value)
    if entry.operator in LISTS:
        return len(value), {f"{entry.name}_{position}": part for position, part in enumerate(value)}
    return 1, {entry.name: value}


def clause(entry: Filter, size: int) -> Any:
    """The WHERE clause of a filter with so many values (for isnull, whether null is asked for)."""
    column, (compare, _) = entry.column.expression, COMPARISONS[entry.operator]
    if entry.operator == "isnull":
        return column.is_(None) if size else column.is_not(None)
    if entry.operator in LISTS:
        return compare(column, [sa.bindparam(f"{entry.name}_{n}", type_=entry.column.column.type) for n in range(size)])
    kind = sa.String() if entry.operator in PATTERNS else entry.column.column.type
    return compare(column, sa.bindparam(entry.name, type_=kind))
