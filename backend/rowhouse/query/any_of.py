"""The query parameter `any`, which joins filters by OR: `any=[{"price__lt": 5}, {"stock": 0, "title": "Emma"}]`.

Its value is JSON: a list of branches. A row must meet all filters of one branch, beside every other filter (decision
0053). The names and the values are those of the query. A value is validated as the text that a query would have, so
that it means the same and has the same errors.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import sqlalchemy as sa
from annotated_types import MaxLen
from pydantic import Field

from rowhouse.core.errors import InvalidInputError
from rowhouse.query.filters import ANY, Filter
from rowhouse.query.list_query import Branch
from rowhouse.query.parameters import Fault, Parameter, QueryParameters
from rowhouse.query.query_string import split_values
from rowhouse.query.related_filters import RelatedFilters

MAX_BRANCHES = 10
MAX_TEXT = 4000
EXAMPLE = '[{"price__lt": 5}, {"stock": 0}]'
SCALAR = ["string", "number", "boolean"]
CONTENT = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_BRANCHES,
    "items": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": [*SCALAR, "array"], "items": {"type": SCALAR}},
    },
}
# A text, because generated clients have no parameters with JSON content.
JSON_TEXT = Annotated[
    str,
    MaxLen(MAX_TEXT),
    Field(json_schema_extra={"contentMediaType": "application/json", "contentSchema": CONTENT}),
]
PARAMETER = Parameter(
    JSON_TEXT,
    f"Filters joined by OR, as JSON: `{EXAMPLE}`. Only rows that meet all filters of one object. Each filter has the "
    "name and the value that it has as a parameter; a list of values may be a JSON array.",
)
Members = Mapping[str, Any]
# The name and the variant of each filter of each branch.
Branches = tuple[tuple[tuple[str, int], ...], ...]


class _Object(list[tuple[str, Any]]):
    """A JSON object with all of its members, also repeated ones."""


class AnyOf:
    """Reads the parameter `any` of one list, and writes its SQL condition."""

    def __init__(self, filters: Mapping[str, Filter], related: RelatedFilters) -> None:
        self._filters = filters
        self._related = related
        self._known = QueryParameters(filters, self._described, further=related, noun="filter")

    def _described(self, name: str) -> Parameter:
        return self._filters[name].parameter if name in self._filters else self._related.parameter(name)

    def read(self, text: str) -> tuple[list[Members], list[Fault]]:
        """Return the values of the filters of each branch, and every fault with the position of its branch."""
        branches: list[Members] = []
        faults: list[Fault] = []
        try:
            for position, branch in enumerate(_parsed(text)):
                values, wrong = self._read_branch(branch, position)
                branches.append(values)
                faults += wrong
        except InvalidInputError as error:
            faults += error.errors
        return branches, faults

    def _read_branch(self, branch: Any, position: int) -> tuple[Members, list[Fault]]:
        place = ("query", ANY, position)
        if not isinstance(branch, _Object) or not branch:
            message = f"write an object with at least one filter, as in {EXAMPLE}"
            return {}, InvalidInputError.at(*place, message=message, kind="object_type").errors
        parts: dict[str, Any] = {}
        faults: list[Fault] = []
        for name, value in branch:
            try:
                if name in parts:
                    raise InvalidInputError.at(*place, name, message="give this filter once", kind="repeated")
                parts[name] = self._part(name, value, place) if name in self._known else value
            except InvalidInputError as error:
                faults += error.errors
        values, wrong = self._known.read(parts, *place)
        return values, [*faults, *wrong]

    def _part(self, name: str, value: Any, place: tuple[str | int, ...]) -> Any:
        """Return a value as a query has it: a text, or a list of texts.

        Raises:
            InvalidInputError: 422, it is neither a scalar nor a list where the filter takes one.
        """
        own = self._filters.get(name)
        takes_list = self._related.takes_list(name) if own is None else own.operator.takes_list
        if takes_list and type(value) is list:
            return [_text(part, *place, name) for part in value]
        text = _text(value, *place, name)
        return split_values(text, *place, name) if takes_list else text

    def bind(self, branches: Sequence[Members]) -> tuple[Branches, dict[str, Any]]:
        """Return the branches with the variant of the SQL of each filter, and the bind values by name."""
        found, bound = [], {}
        for position, values in enumerate(branches):
            filters = []
            for name in sorted(values):
                variant, parts = self._filter(position, name).bind(values[name])
                filters.append((name, variant))
                bound.update(parts)
            found.append(tuple(filters))
        return tuple(found), bound

    def is_own(self, branches: Sequence[Members]) -> bool:
        """Return whether no filter is over a relation."""
        return all(name in self._filters for values in branches for name in values)

    def with_related(self, branches: Sequence[Members]) -> Sequence[Branch]:
        """Return the branches with the conditions on related rows apart, because these depend on the caller."""
        return [self._with_related(position, values) for position, values in enumerate(branches)]

    def _with_related(self, position: int, values: Members) -> Branch:
        own = sorted(values.keys() & self._filters.keys())
        related = {name: values[name] for name in values.keys() - self._filters.keys()}
        return Branch(
            self._related.conditions(related, prefix=_prefix(position)),
            [self._filter(position, name).condition(values[name]) for name in own],
        )

    def clause(self, branches: Branches, write: Callable[[str, Filter, int], Any]) -> Any:
        """Return the SQL condition of the branches.

        `write` returns that of a filter, from its name and the filter under the name of its parameter in SQL.
        """
        conditions = []
        for position, filters in enumerate(branches):
            written = [write(name, self._filter(position, name), variant) for name, variant in filters]
            conditions.append(sa.and_(*written))
        return sa.or_(*conditions)

    def _filter(self, position: int, name: str) -> Filter:
        """Return a filter under the name of its parameter in SQL."""
        return replace(self._filters[name], name=f"{_prefix(position)}{name}")


def _prefix(position: int) -> str:
    """Return how the names of a branch's parameters in SQL begin: several branches may have one filter."""
    return f"_any_{position}_"


def _parsed(text: str) -> list[Any]:
    """Return the branches. Numbers are left as text.

    Raises:
        InvalidInputError: 422, it is no JSON, or no list of 1 to `MAX_BRANCHES`.
    """
    try:
        found = json.loads(
            text, object_pairs_hook=_Object, parse_int=str, parse_float=str, parse_constant=_reject_constant
        )
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair cannot be encoded
    except (ValueError, RecursionError) as error:
        message = f"write JSON, as in {EXAMPLE}"
        raise InvalidInputError.at("query", ANY, message=message, kind="json_invalid") from error
    if type(found) is not list or not 1 <= len(found) <= MAX_BRANCHES:
        message = f"write a list of 1 to {MAX_BRANCHES} objects, as in {EXAMPLE}"
        raise InvalidInputError.at("query", ANY, message=message, kind="list_type")
    return found


def _reject_constant(word: str) -> str:
    raise ValueError(f"{word} is no JSON")


def _text(value: Any, *place: str | int) -> str:
    """Return a scalar as a query has it.

    Raises:
        InvalidInputError: 422, it is null, an object or a list.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    message = "null is no value; use `__isnull`" if value is None else "write one text, number or boolean"
    raise InvalidInputError.at(*place, message=message, kind="scalar_type")
