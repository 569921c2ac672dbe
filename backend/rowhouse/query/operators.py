"""The operators of filters: `price__gte=10`, `title__contains=dune`. A new operator is one entry in `OPERATORS`.

The value of a filter never becomes SQL text. It is bound, and a small number, the variant, selects the SQL text:
compiled statements are cached by it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import sqlalchemy as sa
from annotated_types import MaxLen, MinLen

from rowhouse.db.sql_functions import Folded
from rowhouse.schemas.columns import Column
from rowhouse.schemas.field_types import Filtering

MAX_CHOICES = 100
MAX_PATTERN = 1000  # SQLite rejects longer ones
SEARCHED_TEXT = "_text_of_{}"


def folded_like(column: Any, pattern: Any) -> Any:
    r"""Match `column` against a LIKE pattern, ignoring case; `\\` escapes. The database folds the case of both."""
    return Folded(column).like(sa.func.rowhouse_fold(pattern), escape="\\")


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. This class compares a column with one value; subclasses take other values."""

    name: str
    # The types that have it.
    level: Filtering
    # The filter in OpenAPI: "Only rows whose `price` …".
    text: str
    # Returns the SQL condition from a column and the bound values.
    compare: Callable[[Any, Any], Any]

    # Whether the value is a list, written with commas.
    takes_list = False
    # Whether it searches for a text, so that a search index can help.
    finds_text = False

    def annotation(self, value: Any) -> Any:
        """Return the annotation of the query parameter; `value` is that of one value of the column."""
        return value

    def bind(self, name: str, value: Any) -> tuple[int, dict[str, Any]]:
        """Return the variant of the SQL that `value` needs, and the bind values by name."""
        return 1, {name: value}

    def clause(self, name: str, column: Column, variant: int) -> Any:  # noqa: ARG002  one value has one variant
        """Return the SQL condition with the parameters that `bind` names."""
        return self.compare(column.expression, sa.bindparam(name, type_=column.column.type))


@dataclass(frozen=True, slots=True)
class ListOperator(Operator):
    """Compares a column with a list of values. The variant is their number."""

    min_length: int = 1
    max_length: int = MAX_CHOICES

    takes_list = True

    def annotation(self, value: Any) -> Any:
        """Return the annotation of the list."""
        return Annotated[list[value], MinLen(self.min_length), MaxLen(self.max_length)]

    def bind(self, name: str, value: Any) -> tuple[int, dict[str, Any]]:
        """Number the values."""
        return len(value), {f"{name}_{position}": part for position, part in enumerate(value)}

    def clause(self, name: str, column: Column, variant: int) -> Any:
        """Compare with each value."""
        kind = column.column.type
        return self.compare(column.expression, [sa.bindparam(f"{name}_{n}", type_=kind) for n in range(variant)])


@dataclass(frozen=True, slots=True)
class TextOperator(Operator):
    """Finds a text in a column, ignoring case. The variant is 1, and 0 for an empty text, which is in every row."""

    pattern: str = "%{}%"

    finds_text = True

    def annotation(self, value: Any) -> Any:
        """Return the annotation of the text."""
        return Annotated[value, MaxLen(MAX_PATTERN)]

    def bind(self, name: str, value: Any) -> tuple[int, dict[str, Any]]:
        """Bind the LIKE pattern, and the text for the search index.

        The database folds the pattern. Folding changes no escape: no other character becomes one.
        """
        escaped = re.sub(r"([\\%_])", r"\\\1", value)
        bound = {name: self.pattern.format(escaped), SEARCHED_TEXT.format(name): value}
        return int(bool(value)), bound

    def clause(self, name: str, column: Column, variant: int) -> Any:  # noqa: ARG002  all texts have one SQL
        """Compare with the pattern."""
        return self.compare(column.expression, sa.bindparam(name, type_=sa.String()))


@dataclass(frozen=True, slots=True)
class NullOperator(Operator):
    """Compares a column with null. The variant is 1 for rows with null and 0 for the others; nothing is bound."""

    def annotation(self, value: Any) -> Any:  # noqa: ARG002  the same for every column
        """Return `bool`."""
        return bool

    def bind(self, name: str, value: Any) -> tuple[int, dict[str, Any]]:  # noqa: ARG002  nothing is bound
        """Choose the variant."""
        return int(value), {}

    def clause(self, name: str, column: Column, variant: int) -> Any:  # noqa: ARG002  as above
        """Compare with null."""
        return self.compare(column.expression, bool(variant))


def searched_text(name: str) -> sa.BindParameter[str]:
    """Return the parameter of the text that `TextOperator.bind` binds beside its pattern."""
    return sa.bindparam(SEARCHED_TEXT.format(name), type_=sa.String())


def _null(column: Any, is_null: object) -> Any:
    return column.is_(None) if is_null else column.is_not(None)


EQUAL = Operator("eq", Filtering.BOOLEAN, "is this value", lambda column, value: column == value)
CONTAINS = TextOperator("contains", Filtering.TEXT, "contains this text, in any case", folded_like, pattern="%{}%")
OPERATORS: tuple[Operator, ...] = (
    EQUAL,
    Operator("ne", Filtering.BOOLEAN, "is another value, and not null", lambda column, value: column != value),
    Operator("lt", Filtering.ORDER, "is less than this", lambda column, value: column < value),
    Operator("lte", Filtering.ORDER, "is at most this", lambda column, value: column <= value),
    Operator("gt", Filtering.ORDER, "is greater than this", lambda column, value: column > value),
    Operator("gte", Filtering.ORDER, "is at least this", lambda column, value: column >= value),
    ListOperator(
        "between",
        Filtering.ORDER,
        "is at least the first and at most the second of these",
        lambda column, values: sa.and_(column >= values[0], column <= values[1]),
        min_length=2,
        max_length=2,
    ),
    ListOperator(
        "in",
        Filtering.EQUALITY,
        "is one of these, separated by commas as in CSV",
        lambda column, values: column.in_(values),
    ),
    ListOperator(
        "not_in",
        Filtering.EQUALITY,
        "differs from all of these, separated by commas as in CSV, and is not null",
        lambda column, values: column.not_in(values),
    ),
    NullOperator("isnull", Filtering.NULL, "is null (`true`) or is not (`false`)", _null),
    CONTAINS,
    TextOperator("startswith", Filtering.TEXT, "starts with this text, in any case", folded_like, pattern="{}%"),
    TextOperator("endswith", Filtering.TEXT, "ends with this text, in any case", folded_like, pattern="%{}"),
)


def operators_of(column: Column) -> tuple[Operator, ...]:
    """Return the operators of a column's type."""
    return tuple(operator for operator in OPERATORS if operator.level <= column.type.filtering)
