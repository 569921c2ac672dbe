"""The filters of a list: one query parameter for each operator of each column."""

from dataclasses import dataclass
from typing import Any

from rowhouse.db.sqlalchemy_internals import set_values
from rowhouse.query.operators import EQUAL, Operator, operators_of
from rowhouse.query.parameters import Parameter
from rowhouse.schemas.columns import Column

PAGE_WORDS = frozenset({"page", "size", "skip", "limit", "sort", "search", "cursor", "fields", "expand"})
ANY = "any"  # joins filters by OR; see `any_of`
# Parameters of exports and aggregates.
OPERATION_WORDS = frozenset({"format", "group_by", "count", "sum", "avg", "min", "max"})
RESERVED_WORDS = PAGE_WORDS | OPERATION_WORDS | {ANY}


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a list: `price__gte`."""

    name: str
    column: Column
    operator: Operator

    @property
    def bind_name(self) -> str:
        """The name of its parameter in SQL. SQLAlchemy names others `price_1`, which a column may be called too."""
        return f"_of_{self.name}"

    @property
    def parameter(self) -> Parameter:
        """The query parameter."""
        annotation = self.operator.annotation(self.column.filter_annotation)
        return Parameter(annotation, f"Only rows whose `{self.column.name}` {self.operator.text}.")

    def bind(self, value: Any) -> tuple[int, dict[str, Any]]:
        """Return the variant of the SQL that `value` needs, and the bind values by name; see `Operator`."""
        return self.operator.bind(self.bind_name, value)

    def clause(self, variant: int) -> Any:
        """Return the SQL condition of a variant."""
        return self.operator.clause(self.bind_name, self.column, variant)

    def condition(self, value: Any) -> Any:
        """Return the SQL condition with its value."""
        variant, bound = self.bind(value)
        return set_values(self.clause(variant), bound)


def filters_of(column: Column) -> list[Filter]:
    """Return every filter of a column: `price` for equality, `price__gte` for the other operators.

    A column whose name is a parameter of a list, an export or an aggregate, such as `size`, has `size__eq`.
    """
    return [Filter(_name(column.name, operator), column, operator) for operator in operators_of(column)]


def _name(column: str, operator: Operator) -> str:
    return column if operator is EQUAL and column not in RESERVED_WORDS else f"{column}__{operator.name}"
