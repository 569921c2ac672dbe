"""The filters of a list: which operators a column has, what each takes, and its SQL."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import sqlalchemy as sa
from annotated_types import MaxLen, MinLen
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
)

from rowhouse.db.sql_functions import TRIGRAM
from rowhouse.schemas.columns import Column, integer_range
from rowhouse.schemas.field_types import NO_NUL, ExactDecimal

MAX_CHOICES = 100
MAX_PATTERN = 1000
INTEGER_TEXT = re.compile(r"-?[0-9]{1,20}\Z")
NUMBER_TEXT = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\Z")


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
    "contains": (folded_like, "contains this text, in any case"),
    "startswith": (folded_like, "starts with this text, in any case"),
    "endswith": (folded_like, "ends with this text, in any case"),
    "isnull": (lambda _column, condition: condition, "null (`true`) or is not (`false`)"),
}
PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}
TEXT_OF = "_text_of_{}"
LISTS = frozenset({"in", "not_in"})
EQUALITY = ("eq", "ne", "in", "not_in", "isnull")
ORDERED = ("eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "isnull")
TEXT = (*ORDERED, "contains", "startswith", "endswith")
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
    """The filter operators that the type of `column` supports."""
    kind = column.base
    if column.is_json:
        return ("isnull",)
    if kind is bool:
        return ("eq", "ne", "isnull")
    if isinstance(column.column.type, sa.Uuid | sa.Enum) or (isinstance(kind, type) and issubclass(kind, Enum)):
        return EQUALITY
    if isinstance(column.column.type, sa.String):
        return TEXT
    return ORDERED


def refuse_unless(pattern: re.Pattern[str], what: str) -> BeforeValidator:
    """Refuse text that is not of exactly this form; pydantic alone is more generous."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not pattern.match(value):
            raise ValueError(f"write {what}")
        return value

    return BeforeValidator(check)


def _shortest_decimal(value: float) -> Decimal:
    """The decimal that a JSON number stands for; against at most 15 digits it compares alike on both databases."""
    return Decimal(str(value))


def filter_type(column: Column) -> Any:
    """What a filter on `column` takes: the column's type and range, without its business constraints."""
    kind = column.base
    if kind is int:
        # The bounds stand before the check of the text: pydantic writes those that follow it wrongly into OpenAPI.
        return Annotated[(int, *integer_range(column.column), refuse_unless(INTEGER_TEXT, "a whole number"))]
    if kind is float:
        return Annotated[float, refuse_unless(NUMBER_TEXT, "a number")]
    if kind is ExactDecimal:
        return Annotated[float, refuse_unless(NUMBER_TEXT, "a number"), AfterValidator(_shortest_decimal)]
    if isinstance(column.column.type, sa.Enum):
        return kind
    if isinstance(column.column.type, sa.String) and not (isinstance(kind, type) and issubclass(kind, Enum)):
        return Annotated[str, Field(pattern=NO_NUL)]
    return kind


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
    kind = filter_type(entry.column)
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
