"""`expand`: related rows inside a row, with one statement for each relation.

The read policy of the related entity applies, and its scope: a row that the caller does not see is null, or missing
from its list. `expand=pet.owner` embeds the rows that related rows refer to.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

from pydantic import MISSING, BaseModel, Field
from typing_extensions import TypedDict

from rowhouse.core.errors import InvalidInputError
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.related import RelatedRows
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.operations.response_schemas import (
    Definitions,
    ResponseSchema,
    array_of,
    name_of,
    nullable,
    object_of,
    page_name,
    page_of,
    reference,
)
from rowhouse.query.resource import Relation, Resource
from rowhouse.schemas.derivation import build_model

MAX_EMBEDDED = 5_000


def partial_row(resource: Resource, embedded: "EmbeddedSchemas") -> ResponseSchema:
    """`BookPartial`: a row with `fields` or `expand`. Any member may be missing."""
    public, name = resource.schemas.public, f"{resource.name}Partial"
    rows = {member: embedded.schema(relation.target) for member, relation in resource.relations.items()}

    def further(found: Definitions) -> Definitions:
        # Copies: only the whole row gets examples.
        members = {member: dict(schema) for member, schema in found[name_of(public)]["properties"].items()}
        for member, relation in resource.relations.items():
            row = reference(name_of(rows[member]))
            kind = array_of(row) if relation.many else nullable(row)
            members[member] = {**kind, "description": _only_with(member)}
        return {name: object_of(name, members)}

    return ResponseSchema(reference(name), [public, *rows.values()], further)


def row_or_partial(resource: Resource, embedded: "EmbeddedSchemas") -> ResponseSchema:
    """Return the response with one row, which is partial with `fields` or `expand`."""
    part = partial_row(resource, embedded)
    return part._replace(schema={"anyOf": [reference(name_of(resource.schemas.public)), part.schema]})


def page_of_rows(resource: Resource, embedded: "EmbeddedSchemas") -> ResponseSchema:
    """Return the response with a page of rows, which are partial with `fields` or `expand`."""
    part = partial_row(resource, embedded)
    names = (name_of(resource.schemas.public), f"{resource.name}Partial")

    def further(found: Definitions) -> Definitions:
        pages = [page_of(name, resource) for name in names]
        return {**part.further(found), **pages[0], **pages[1]}

    schema = {"anyOf": [reference(page_name(name)) for name in names]}
    return ResponseSchema(schema, part.models, further)


class EmbeddedSchemas:
    """The schemas of rows inside other rows, which may have related rows of their own. Relations share them."""

    def __init__(self) -> None:
        self._made: dict[str, type[BaseModel]] = {}

    def schema(self, resource: Resource) -> type[BaseModel]:
        """`CategoryEmbedded`: a whole row, with its related rows if `expand` names them."""
        public = resource.schemas.public
        if not resource.relations:
            return public
        if resource.path not in self._made:
            members = {
                name: _member(relation, relation.target.schemas.public, f"….{name}")
                for name, relation in resource.relations.items()
            }
            self._made[resource.path] = build_model(f"{resource.name}Embedded", members, __base__=public)
        return self._made[resource.path]


def _member(relation: Relation, row: Any, name: str) -> Any:
    described = Field(MISSING, description=_only_with(name))
    return Union[_embedded(relation, row), MISSING], described  # noqa: UP007  the annotation is a runtime value


def _only_with(name: str) -> str:
    return f"Only with `expand={name}`."


def projected_row(resource: Resource, *, hops: int) -> Any:
    """Return the TypedDict of such a row, whose related rows have related rows if there are two hops."""
    members = dict(resource.schemas.row_type.__annotations__)
    for name, relation in resource.relations.items():
        is_last = hops == 1 or not relation.target.relations
        inner = relation.target.schemas.row_type if is_last else projected_row(relation.target, hops=hops - 1)
        members[name] = _embedded(relation, inner)
    row: Any = TypedDict(f"{resource.name}View", members, total=False)  # type: ignore[misc]  # built at run time
    return row


def _embedded(relation: Relation, row: Any) -> Any:
    return list[row] if relation.many else Union[row, None]  # noqa: UP007  row is a runtime value


def embed_relations(
    unit: UnitOfWork, rows: Sequence[Row], names: Iterable[str], expansions: Mapping[str, "Expansion"]
) -> None:
    """Embed the relations with these names of `expand` into `rows`, with one statement for each relation."""
    further: dict[str, list[str]] = {}
    for name in sorted(names):
        first, _, second = name.partition(".")
        further.setdefault(first, []).extend([second] if second else [])
    for first, seconds in further.items():
        expansion = expansions[first]
        related = expansion.embed(unit, rows)
        for second in seconds:
            expansion.further[second].embed(unit, related)


class Expansion:
    """One relation of an entity. Reads its rows. `further` are the relations of the related entity."""

    def __init__(self, related: RelatedRows, further: Mapping[str, "Expansion"]) -> None:
        self.relation = related.relation
        self.further = further
        self._related = related

    def embed(self, unit: UnitOfWork, rows: Sequence[Row]) -> Sequence[Row]:
        """Add the related row (or None), or the list of related rows in the order of the relation, to each of `rows`.

        Return the related rows.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 and 403 if the caller may not read the related entity.
            InvalidInputError: 422 if there are more than `MAX_EMBEDDED` related rows.
        """
        relation = self.relation
        self._related.check_read(unit.caller)
        values = list(dict.fromkeys(row[relation.local] for row in rows if row[relation.local] is not None))
        related = self._read(unit, values) if values else []
        if relation.many:
            groups: dict[Any, list[Row]] = {value: [] for value in values}
            for value, found in related:
                groups[value].append(found)
            for row in rows:
                row[relation.name] = groups.get(row[relation.local], [])
        else:
            by_value = dict(related)
            for row in rows:
                row[relation.name] = by_value.get(row[relation.local])
        return [found for _, found in related]

    def _read(self, unit: UnitOfWork, values: list[Any]) -> list[tuple[Any, Row]]:
        found = self._related.read(unit, values, limit=MAX_EMBEDDED + 1)
        if len(found) > MAX_EMBEDDED:
            message = (
                f"there are more than {MAX_EMBEDDED} {self.relation.name} for these rows: ask for fewer rows, "
                f"or list /{self.relation.target.path} by {self.relation.remote}"
            )
            raise InvalidInputError.at("query", "expand", message=message, kind="too_many_rows")
        return found


def expansions_of(cruds: Mapping[str, CRUDBase[Any]]) -> Mapping[str, Mapping[str, Expansion]]:
    """Return the expansions of each entity, by its path and the name of the relation."""
    found: dict[str, dict[str, Expansion]] = {path: {} for path in cruds}
    for path, crud in cruds.items():
        for name, related in crud.related.items():
            found[path][name] = Expansion(related, found[related.relation.target.path])
    return found
