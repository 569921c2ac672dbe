"""The operations that `soft_delete=True` and `history=True` add: `restore`, the deleted rows, the history of a row."""

from collections.abc import Mapping, Sequence
from typing import Any, Union

import sqlalchemy as sa
from pydantic import MISSING
from pydantic_core import to_json
from sqlmodel import Field
from starlette.responses import Response

from rowhouse.core.errors import PermissionDeniedError
from rowhouse.core.openapi import shared_problem_responses
from rowhouse.core.policy import SIGNED_IN
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.links import LinkedVerbs
from rowhouse.db.compiled import Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import Mark
from rowhouse.history.entries import Action, HistoryEntry, entries
from rowhouse.operations.deleted_list import deleted_route
from rowhouse.operations.endpoints import Endpoints
from rowhouse.operations.expand import EmbeddedSchemas, Expansion
from rowhouse.operations.page_request import TOTAL, PageRequest, page_response
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.response_schemas import ResponseSchema, page_name, page_of, reference
from rowhouse.operations.route import TAGGED, Deferred, GeneratedRoute, generated_route, one_row, singular_name, unread
from rowhouse.query.list_parameters import ListParameters
from rowhouse.query.list_query import ListQuery, Search
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import columns_of
from rowhouse.schemas.derivation import build_model, derive
from rowhouse.sql.pages import PageReader
from rowhouse.sql.statements import Statements

COLUMNS = columns_of(HistoryEntry)
ACCOUNT = "by"
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


def uses_account(query: ListQuery) -> bool:
    """Return True if a list is filtered or sorted by the account that made the changes."""
    filters = ENTRIES.parameters.filters
    is_filtered = any(filters[name].column.name == ACCOUNT for name in query.shape.filter_names)
    return is_filtered or any(word.removeprefix("-") == ACCOUNT for word in query.shape.sort)


class HistoryEndpoints(Endpoints):
    """Adds the operations of a resource with `soft_delete` or `history`."""

    def __init__(
        self,
        resource: Resource,
        crud: CRUDBase[Any],
        expansions: Mapping[str, Expansion],
        embedded: EmbeddedSchemas | None = None,
    ) -> None:
        super().__init__(resource, crud, expansions, embedded)
        self._pages = PageReader(ENTRIES, Statements(ENTRIES, crud.dialect))

    def restore_row(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Put a deleted row back."""
        request.authorize(unit, self.resource.write)
        request.reject_query()
        request.reject_body()
        return self.changed_response(request, unit, self.crud.restore(unit, self.parse_key(request)))

    def list_history(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Return a page of the changes of one row.

        Only callers who may change the row see which account made a change.
        """
        request.authorize(unit, self.resource.read)
        key = self.parse_key(request)
        pages = PageRequest(
            request.query, ENTRIES.parameters, path=f"{self.resource.path}/{self._key_text(key)}/history", unit=unit
        )
        self.crud.require_seen(unit, key)
        sees_account = self.crud.may_write(unit, key)
        if not sees_account and uses_account(pages.query):
            self.resource.write.check(unit.caller)
            raise PermissionDeniedError("Only callers who may change the row see who changed it; leave out `by`.")
        page = self._pages.page(unit, pages.query, Predicate(self._of_row(key)))
        end = pages.end_of(page)
        for entry in page.rows:
            if not sees_account:
                entry[ACCOUNT] = None
        self._show_states(unit, page.rows, sees_links=sees_account)
        shown = pages.query.projection.fields
        rows = [{name: entry[name] for name in entry if shown is None or name in shown} for entry in page.rows]
        return page_response(to_json(rows), end, total=page.total)

    def _of_row(self, key: Any) -> sa.ColumnElement[bool]:
        """Return the condition on the entries of a row.

        Where clients choose the keys, another row may have had this one before, perhaps of somebody else: its entries
        are those before the last creation.
        """
        table = self.resource.table
        of_key = sa.and_(entries.c.entity == table.name, entries.c.row_id == self.resource.key.stored_text(key))
        if table.autoincrement_column is not None:
            return of_key
        created = sa.select(sa.func.max(entries.c.id)).where(of_key, entries.c.action == Action.CREATE)
        return sa.and_(of_key, entries.c.id >= sa.func.coalesce(created.correlate(None).scalar_subquery(), 0))

    def _show_states(self, unit: UnitOfWork, found: Sequence[Row], *, sees_links: bool) -> None:
        """Remove from the recorded rows what the caller may not see. Links are for callers who may change the row."""
        links = self.crud.links if sees_links and isinstance(self.crud, LinkedVerbs) else {}
        for entry in found:
            for name in ("before", "after"):
                if entry[name] is not None:
                    members = {member: entry[name][member] for member in links if member in entry[name]}
                    entry[name] = self._public(entry[name]) | members
        for member, link in links.items():
            link.hide(unit, [state for entry in found for state in (entry["before"], entry["after"]) if state], member)

    def _public(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return the public members of a stored row, without columns that have become secret since."""
        names = self.resource.schemas.public_names
        return {name: state[name] for name in names if name in state}


def restore_route(resource: Resource, endpoints: HistoryEndpoints) -> GeneratedRoute:
    """Return the route `POST /books/{id}/restore`."""
    name = singular_name(resource)
    return generated_route(
        resource, "/{id}/restore", policy=resource.write, work=endpoints.restore_row, writes=True, methods=["POST"],
        operation_id=f"restore_{name}", summary=f"Restore {one_row(resource)}",
        response_model=resource.schemas.public,
        description="Put a deleted row back under its id, if it does not conflict with the present rows.",
        responses={200: {"headers": TAGGED}, **unread(resource, resource.write),
                   **shared_problem_responses(401, 403, 404, 409, 413, 422, 503)},
    )  # fmt: skip


def history_route(resource: Resource, endpoints: HistoryEndpoints) -> GeneratedRoute:
    """Return the route `GET /books/{id}/history`."""
    name = singular_name(resource)
    entry = f"{resource.name}HistoryEntry"
    page = Deferred(
        lambda: ResponseSchema(
            reference(page_name(entry)), [entry_schema(endpoints.resource)], lambda _found: page_of(entry)
        )
    )
    return generated_route(
        resource, "/{id}/history", policy=resource.read, work=endpoints.list_history, writes=False, methods=["GET"],
        operation_id=f"list_{name}_history", summary=f"List the changes of {one_row(resource)}",
        response_model=page,
        description="A page of the changes of the row, the oldest first. It remains when the row is deleted.",
        openapi_extra=Deferred(lambda: {"parameters": [*ENTRIES.parameters.openapi]}),
        responses={200: {"headers": TOTAL}, **shared_problem_responses(401, 403, 404, 422, 503)},
    )  # fmt: skip


def entry_schema(resource: Resource) -> Any:
    """Return the schema of an entry whose `before` and `after` are rows of this resource."""
    state: Any = resource.schemas.public
    lists: dict[str, Any] = {}
    for member, name in resource.link_members.items():
        relation = resource.relations[name]
        key: Any = relation.target.columns[relation.remote].base
        keys: Any = list[key]
        text = f"The {name}, if they changed, for callers who may change the row."
        lists[member] = (Union[keys, MISSING], Field(MISSING, description=text))  # noqa: UP007  a runtime value
    state = (build_model(f"{resource.name}State", lists, __base__=state) if lists else state) | None
    described = {name: HistoryEntry.model_fields[name].description for name in ("before", "after")}
    members = {name: (state, Field(description=text)) for name, text in described.items()}
    return build_model(f"{resource.name}HistoryEntry", members, __base__=ENTRIES.schemas.public)


def history_routes(resource: Resource, endpoints: HistoryEndpoints) -> list[GeneratedRoute]:
    """Return the routes that `soft_delete` and `history` add."""
    builders = (
        (resource.soft_delete, deleted_route),
        (resource.soft_delete, restore_route),
        (resource.history, history_route),
    )
    return [build(resource, endpoints) for is_declared, build in builders if is_declared]
