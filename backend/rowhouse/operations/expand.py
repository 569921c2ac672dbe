"""`expand`: related rows inside a row, with one statement for each relation.

The read policy of the related entity applies, and its scope: a row that the caller does not see is null, or missing
from its list.
"""

from collections.abc import Sequence
from typing import Any, Union

from pydantic import MISSING, BaseModel, Field
from typing_extensions import TypedDict

from rowhouse.core.errors import InvalidInputError
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.resource import Relation, Resource
from rowhouse.schemas.derivation import build_model
from rowhouse.sql.chunks import pad_to_power_of_two
from rowhouse.sql.statements import PAGE_LIMIT, RELATED, numbered

MAX_EMBEDDED = 5_000


def partial_schema(resource: Resource) -> type[BaseModel]:
    """`BookPartial`: a row with `fields` or `expand`. Any member may be missing."""
    public = resource.schemas.public.model_fields
    members: dict[str, Any] = {}
    for name, member in public.items():
        described = Field(MISSING, title=member.title, description=member.description, examples=member.examples)
        kind = member.rebuild_annotation()  # with the OpenAPI type of a decimal
        members[name] = (Union[kind, MISSING], described)  # noqa: UP007  the annotation is a runtime value
    for name, relation in resource.relations.items():
        kind = _embedded(relation, relation.target.schemas.public)
        described = Field(MISSING, description=f"Only with `expand={name}`.")
        members[name] = (Union[kind, MISSING], described)  # noqa: UP007  as above
    return build_model(f"{resource.name}Partial", members)


def projected_row(resource: Resource) -> Any:
    """Return the TypedDict of such a row."""
    members = dict(resource.schemas.row_type.__annotations__)
    members |= {
        name: _embedded(relation, relation.target.schemas.row_type) for name, relation in resource.relations.items()
    }
    row: Any = TypedDict(f"{resource.name}View", members, total=False)  # type: ignore[misc]  # built at run time
    return row


def _embedded(relation: Relation, row: Any) -> Any:
    return list[row] if relation.many else Union[row, None]  # noqa: UP007  row is a runtime value


class Expansion:
    """One relation of an entity. Reads its rows."""

    def __init__(self, relation: Relation, crud: CRUDBase[Any]) -> None:
        self.relation = relation
        self._crud = crud

    def embed(self, unit: UnitOfWork, rows: Sequence[Row]) -> None:
        """Add the related row (or None), or the list of related rows in the order of their keys, to each of `rows`.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 and 403 if the caller may not read the related entity.
            InvalidInputError: 422 if there are more than `MAX_EMBEDDED` related rows.
        """
        relation = self.relation
        relation.target.read.check(unit.caller)
        values = list(dict.fromkeys(row[relation.local] for row in rows if row[relation.local] is not None))
        related = self._read(unit, values) if values else []
        if relation.many:
            groups: dict[Any, list[Row]] = {value: [] for value in values}
            for found in related:
                groups[found[relation.remote]].append(found)
            for row in rows:
                row[relation.name] = groups.get(row[relation.local], [])
        else:
            by_value = {found[relation.remote]: found for found in related}
            for row in rows:
                row[relation.name] = by_value.get(row[relation.local])

    def _read(self, unit: UnitOfWork, values: list[Any]) -> list[Row]:
        filled = pad_to_power_of_two(values)
        bound: Row = {numbered(RELATED, position): value for position, value in enumerate(filled)}
        bound[PAGE_LIMIT] = MAX_EMBEDDED + 1
        scope = Predicate(self._crud.scope(unit.caller))
        found = unit.run(self._crud.statements.related(self.relation.remote, len(filled), scope), bound, scope)
        if len(found) > MAX_EMBEDDED:
            message = (
                f"there are more than {MAX_EMBEDDED} {self.relation.name} for these rows: ask for fewer rows, "
                f"or list /{self.relation.target.path} by {self.relation.remote}"
            )
            raise InvalidInputError.at("query", "expand", message=message, kind="too_many_rows")
        self._crud.load_extra_fields(found, unit=unit)
        return found
