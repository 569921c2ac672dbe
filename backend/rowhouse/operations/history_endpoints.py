"""The operations that `soft_delete=True` and `history=True` add to an entity: `restore` and the list of its rows' changes."""

from collections.abc import Mapping
from copy import copy
from typing import Any, Self

import sqlalchemy as sa
from pydantic_core import to_json
from sqlmodel import Field
from starlette.responses import Response

from rowhouse.core.errors import PermissionDeniedError
from rowhouse.core.openapi import problem_responses
from rowhouse.core.policy import SIGNED_IN
from rowhouse.core.security import Caller
from rowhouse.crud.base import CRUDBase
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import Mark
from rowhouse.history.entries import HistoryEntry, entries
from rowhouse.operations.endpoints import JSON, Endpoints
from rowhouse.operations.expand import Expansion
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.route import TAGGED, GeneratedRoute, generated_route, one
from rowhouse.query.list_parameters import ListParameters
from rowhouse.query.list_query import ListQuery, Search
from rowhouse.query.pagination import Page, page_members
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import columns_of
from rowhouse.schemas.derivation import build_model, derive

COLUMNS = columns_of(HistoryEntry)
WHO = "by"
ENTRIES = Resource(
    model=HistoryEntry,
    path="history",
    columns=COLUMNS,
    schemas=derive(HistoryEntry, COLUMNS, owner=None),
    parameters=ListParameters(
        {name: column for name, column in COLUMNS.items() if Mark.SECRET not in column.marks},
        name="HistoryEntry",
        search=Search(),
        aliases={},
    ),
    read=SIGNED_IN,
    write=SIGNED_IN,
    owner=None,
    owner_only=False,
)


class Entries(CRUDBase[HistoryEntry]):
    """Reads the history of one entity, one row at a time."""

    def __init__(self, entity: str, dialect: sa.Dialect) -> None:
        super().__init__(ENTRIES, dialect)
        self._of = entity, ""

    def of(self, key: Any) -> Self:
        """The entries of one row."""
        narrowed = copy(self)
        narrowed._of = self._of[0], str(key)  # noqa: SLF001  a copy of ourselves
        return narrowed

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool]:  # noqa: ARG002  who may read is settled before
        """The entries of the one row, whoever asks."""
        entity, row_id = self._of
        return sa.and_(entries.c.entity == entity, entries.c.row_id == row_id)


def asks_who(selection: ListQuery) -> bool:
    """Whether a list is filtered or sorted by the account that made the changes."""
    filters = ENTRIES.parameters.filters
    narrowed = any(filters[name].column.name == WHO for name, _ in selection.shape.filters)
    return narrowed or any(word.removeprefix("-") == WHO for word in selection.shape.sort)


class HistoryEndpoints(Endpoints):
    """Adds the operations of a resource whose deleted rows or changes are kept."""

    def __init__(self, resource: Resource, crud: CRUDBase[Any], expansions: Mapping[str, Expansion]) -> None:
        super().__init__(resource, crud, expansions)
        self._entries = Entries(resource.table.name, crud.dialect)

    def restore_row(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """Put a deleted row back."""
        call.authorize(unit, self.resource.write)
        call.reject_query()
        return self._answer(self.crud.restore(unit, self._parse_key(call)))

    def list_history(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """A page of the changes of one row."""
        call.authorize(unit, self.resource.read)
        key = self._parse_key(call)
        signing = {
            "path": f"{self.resource.path}/{key}/history",
            "secret": unit.settings.jwt_secret.get_secret_value(),
        }
        selection = ENTRIES.parameters.parse(call.query, **signing)
        self.crud.require_seen(unit, key)
        sees_who = self.crud.may_write(unit, key)
        if not sees_who and asks_who(selection):
            self.resource.write.check(unit.caller)
            raise PermissionDeniedError("Only who may change the row sees who changed it; leave out `by`.")
        listing = self._entries.of(key).list(unit, selection)
        cursor = (
            f'"{ENTRIES.parameters.next_cursor(selection, listing.rows[-1], **signing)}"' if listing.more else "null"
        )
        for entry in listing.rows:
            if not sees_who:
                entry[WHO] = None
            entry["before"], entry["after"] = (self._public(entry[name]) for name in ("before", "after"))
        members = page_members(total=listing.total, offset=selection.offset, limit=selection.limit)
        body = b'{"items":' + to_json(listing.rows) + f',{members},"next_cursor":{cursor}}}'.encode()
        return Response(body, media_type=JSON)

    def _public(self, state: dict[str, Any] | None) -> dict[str, Any] | None:
        """What may be shown of a stored row: no column that has become secret since."""
        names = self.resource.schemas.public_names
        return state and {name: state[name] for name in names if name in state}


def restore_route(resource: Resource, endpoints: HistoryEndpoints) -> GeneratedRoute:
    """`POST /books/{id}/restore`."""
    name = one(resource)
    return generated_route(
        resource, "/{id}/restore", policy=resource.write, work=endpoints.restore_row, writes=True, methods=["POST"],
        operation_id=f"restore_{name}", summary=f"Restore a {name.replace('_', ' ')}",
        response_model=resource.schemas.public,
        description="Put a deleted row back under its id, if it still fits beside the others.",
        responses={200: {"headers": TAGGED}, **problem_responses(401, 403, 404, 409, 422, 503)},
    )  # fmt: skip


def history_route(resource: Resource, endpoints: HistoryEndpoints) -> GeneratedRoute:
    """`GET /books/{id}/history`."""
    name = one(resource)
    page: Any = Page[entry_schema(resource)]  # type: ignore[misc]  # the schema is made at run time
    return generated_route(
        resource, "/{id}/history", policy=resource.read, work=endpoints.list_history, writes=False, methods=["GET"],
        operation_id=f"list_{name}_history", summary=f"List the changes of a {name.replace('_', ' ')}",
        response_model=page,
        description="A page of what was done to the row, the oldest first; also after its deletion.",
        openapi_extra={"parameters": [*ENTRIES.parameters.openapi]},
        responses=problem_responses(401, 403, 404, 422, 503),
    )  # fmt: skip


def entry_schema(resource: Resource) -> Any:
    """An entry whose `before` and `after` are rows of this resource."""
    state = resource.schemas.public | None
    described = {name: HistoryEntry.model_fields[name].description for name in ("before", "after")}
    members = {name: (state, Field(description=text)) for name, text in described.items()}
    return build_model(f"{resource.name}HistoryEntry", members, __base__=ENTRIES.schemas.public)


def kept_routes(resource: Resource, endpoints: HistoryEndpoints) -> list[GeneratedRoute]:
    """The routes that the words of the registration line add."""
    asked = ((resource.soft_delete, restore_route), (resource.history, history_route))
    return [build(resource, endpoints) for is_asked, build in asked if is_asked]
