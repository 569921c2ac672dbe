"""Filters by the columns of related entities: `category__name=Fiction`, `reviews__rating__gte=4`.

Each column of each related entity has them, so they are made when a request uses them. OpenAPI describes those of a
relation as one object, whose members are query parameters (decision 0049).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rowhouse.query.cursor import SEPARATOR
from rowhouse.query.filters import RESERVED_WORDS, Filter
from rowhouse.query.parameters import Parameter, schema_of

if TYPE_CHECKING:
    from rowhouse.query.list_parameters import ListParameters

MAX_DOCUMENTED = 10
ITEMS = {
    "integer": r"[1-9][0-9]{0,8}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}
# A text of several values, without quotes, which CSV gives a meaning.
TEXTS = {"type": "string", "pattern": r'^[^"\u0000]*$', "maxLength": 200}


class RelatedFilters:
    """The filters of one list by related rows. `related` has the parameters of the related lists by relation."""

    def __init__(self, related: "Mapping[str, ListParameters]") -> None:
        self._related = related

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def find(self, name: str) -> tuple[str, Filter] | None:
        """Return the relation and the filter of a parameter, or None if it is no such filter."""
        relation, _, inner = name.partition(SEPARATOR)
        target = self._related.get(relation)
        is_known = target is not None and inner in target.filters and inner not in target.aliases
        return self._existing(name) if is_known else None

    def takes_list(self, name: str) -> bool:
        """Return whether the value is a list, written with commas."""
        found = self.find(name)
        return found is not None and found[1].operator.takes_list

    def parameter(self, name: str) -> Parameter:
        """Return the query parameter of a filter that exists."""
        return self._existing(name)[1].parameter

    def conditions(self, given: Mapping[str, Any], *, prefix: str = "") -> dict[str, Sequence[Any]]:
        """Return the conditions on the related rows, by relation, with their values.

        The names of their parameters in SQL begin with `prefix`.
        """
        found: dict[str, list[Any]] = {}
        for name in sorted(given):
            relation, entry = self._existing(name)
            found.setdefault(relation, []).append(replace(entry, name=f"{prefix}{name}").condition(given[name]))
        return dict(found)

    def _existing(self, name: str) -> tuple[str, Filter]:
        """Return the relation and the filter of a parameter that exists."""
        relation, _, inner = name.partition(SEPARATOR)
        return relation, replace(self._related[relation].filters[inner], name=name)

    def openapi(self) -> list[dict[str, Any]]:
        """Return a parameter for each relation: an object whose members are the query parameters."""
        return [self._described(relation, target) for relation, target in self._related.items()]

    def _described(self, relation: str, target: "ListParameters") -> dict[str, Any]:
        kinds = _by_schema(target)
        example = f"{relation}__{next(iter(target.filters))}"
        whole = "|".join(kinds)
        # The name is not sent. Two parameters of one name would make the document invalid.
        is_taken = relation in RESERVED_WORDS
        return {
            "name": f"{relation}__" if is_taken else relation,
            "in": "query",
            "required": False,
            "description": f"Only rows with a related row that meets all of these filters. Each member is a query "
            f"parameter, such as `{example}`.",
            "style": "form",
            "explode": True,
            "schema": {
                "type": "object",
                "propertyNames": {"pattern": f"^{relation}__({whole})$"},
                "patternProperties": {f"^{relation}__({names})$": schema for names, schema in kinds.items()},
            },
        }


def _by_schema(target: "ListParameters") -> dict[str, Any]:
    """Return the JSON schemas of the values of filters, by a pattern of the names of the filters."""
    schemas: dict[str, Any] = {}
    columns: dict[str, dict[str, list[str]]] = {}
    for name, entry in target.filters.items():
        schema = None if name in target.aliases else _value_schema(entry)
        if schema is None:
            continue
        text = repr(schema)
        schemas[text] = schema
        suffix = name.removeprefix(entry.column.name)
        columns.setdefault(text, {}).setdefault(entry.column.name, []).append(suffix)
    return {_pattern(found): schemas[text] for text, found in columns.items()}


def _pattern(suffixes: Mapping[str, Sequence[str]]) -> str:
    """Return a pattern of names, from the suffixes of each column: `(price|stock)(|__lt|__gt)`."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for column, found in suffixes.items():
        columns.setdefault(tuple(found), []).append(column)
    return "|".join(f"{_either(names)}{_either(ends)}" for ends, names in columns.items())


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"({'|'.join(words)})"


def _value_schema(entry: Filter) -> dict[str, Any] | None:
    """Return the JSON schema of a value in an object; None for a list whose text no pattern describes."""
    schema = schema_of(entry.parameter.annotation)
    return _list_schema(schema) if entry.operator.takes_list else schema


def _list_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON schema of values that are separated by commas: a text with a pattern."""
    item, least = schema["items"], schema.get("minItems", 1)
    further = f"{{{least - 1},{min(schema.get('maxItems', MAX_DOCUMENTED), MAX_DOCUMENTED) - 1}}}"
    kind = item.get("format", item.get("type"))
    text = f"({'|'.join(re.escape(str(value)) for value in item['enum'])})" if "enum" in item else ITEMS.get(kind)
    if text is not None:
        return {"type": "string", "pattern": f"^{text}(,{text}){further}$"}
    return TEXTS if kind == "string" and least == 1 else None
