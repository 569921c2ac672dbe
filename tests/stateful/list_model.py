"""A model of lists in plain Python (docs/contract.md §3): filters, search, sorting and the position after a row."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, partial
from typing import Any

from tests.stateful.model import Row
from tests.stateful.values import Plan, comparable

EQUALITY = ("eq", "ne", "in", "not_in", "isnull")
ORDERED = (*EQUALITY, "lt", "lte", "gt", "gte", "between")
OPERATORS = {
    "choice": EQUALITY,
    "integer": ORDERED,
    "decimal": ORDERED,
    "instant": ORDERED,
    "text": (*ORDERED, "contains", "startswith", "endswith"),
}


@dataclass(frozen=True)
class Filter:
    """One filter: `asked` holds what is written into the query and what it means."""

    name: str
    operator: str
    asked: tuple[tuple[Any, Any], ...]

    @property
    def parameter(self) -> str:
        """Its name in the query string."""
        return self.name if self.operator == "eq" else f"{self.name}__{self.operator}"

    @property
    def written(self) -> str:
        """Its value in the query string."""
        return ",".join(str(sent).lower() if isinstance(sent, bool) else str(sent) for sent, _ in self.asked)


@dataclass(frozen=True)
class Query:
    """What one list is asked for, its window aside."""

    filters: tuple[Filter, ...] = ()
    sort: tuple[str, ...] = ()
    search: str | None = None
    # Filters joined by OR: a row meets all of one branch.
    branches: tuple[tuple[Filter, ...], ...] = ()

    def written(self) -> dict[str, str]:
        """The query string's parameters."""
        found = {entry.parameter: entry.written for entry in self.filters}
        if self.branches:
            found["any"] = json.dumps(
                [{entry.parameter: entry.written for entry in branch} for branch in self.branches]
            )
        if self.sort:
            found["sort"] = ",".join(self.sort)
        return found if self.search is None else {**found, "search": self.search}


def selects(plan: Plan, entry: Filter, row: Row) -> bool:
    """Whether a filter selects a row; no comparison selects null."""
    kind, stored = plan.kinds[entry.name], row[entry.name]
    if entry.operator == "isnull":
        return (stored is None) is entry.asked[0][1]
    if stored is None:
        return False
    value, asked = comparable(kind, stored), [comparable(kind, meant) for _, meant in entry.asked]
    match entry.operator:
        case "eq" | "in":
            return value in asked
        case "ne" | "not_in":
            return value not in asked
        case "contains" | "startswith" | "endswith":
            return matches(entry.operator, value, asked[0])
    return compares(entry.operator, value, asked)


def compares(operator: str, value: Any, bounds: Sequence[Any]) -> bool:
    """Whether a value stands in this order to another, or between two others."""
    asked = bounds[0]
    if operator == "between":
        return bool(asked <= value <= bounds[1])
    if value == asked:
        return operator in ("lte", "gte")
    return bool(value < asked) == (operator in ("lt", "lte"))


def matches(operator: str, value: str, asked: str) -> bool:
    """Whether a text holds another, in any case."""
    text, piece = value.casefold(), asked.casefold()
    match operator:
        case "contains":
            return piece in text
        case "startswith":
            return text.startswith(piece)
    return text.endswith(piece)


def selected(plan: Plan, query: Query, rows: Sequence[Row]) -> list[Row]:
    """The rows that match every filter and the search, in the order of the sort; the key breaks ties."""
    found = [row for row in rows if all(selects(plan, entry, row) for entry in query.filters)]
    if query.branches:
        found = [row for row in found if any(all(selects(plan, e, row) for e in branch) for branch in query.branches)]
    if query.search is not None:
        found = [row for row in found if any(row[n] and matches("contains", row[n], query.search) for n in plan.search)]
    compare: Callable[[Row, Row], int] = partial(order, plan, query.sort)
    return sorted(found, key=cmp_to_key(compare))


def order(plan: Plan, sort: Sequence[str], one: Row, other: Row) -> int:
    """Negative where `one` comes first: nulls last ascending and first descending."""
    for word in (*sort, "id"):
        name = word.removeprefix("-")
        first, second = one[name], other[name]
        if first == second:
            if name == "id":
                break  # no two rows get past it, so what stands behind it decides nothing, of a row that has changed either
            continue
        sign = -1 if word.startswith("-") else 1
        if first is None or second is None:
            return sign if first is None else -sign
        kind = plan.kinds[name]
        if comparable(kind, first) != comparable(kind, second):
            return -sign if comparable(kind, first) < comparable(kind, second) else sign
    return 0


def behind(plan: Plan, query: Query, rows: Sequence[Row], last: Row) -> list[Row]:
    """Of what a query selects, the rows behind the place where `last` stood."""
    return [row for row in selected(plan, query, rows) if order(plan, query.sort, last, row) < 0]
