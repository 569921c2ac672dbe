"""The operation `GET /books/deleted`: a page of the deleted rows that the caller may restore, the newest first.

Rows are found by their entity, and by their owner where the rule is "an owner changes their own". A rule of a project's
own is SQL about a table that the rows are not in: it is tested for one row after the other, so for a bounded number.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import WithJsonSchema
from pydantic_core import to_json
from starlette.responses import Response

from rowhouse.core.errors import InvalidInputError
from rowhouse.core.openapi import exact, shared_problem_responses
from rowhouse.core.policy import SIGNED_IN
from rowhouse.crud.base import CRUDBase, later_columns
from rowhouse.db.compiled import Predicate, Row
from rowhouse.db.sqlalchemy_internals import elements_of
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.deleted_rows import DeletedRow, DeletedRows, deleted_rows
from rowhouse.operations.endpoints import Endpoints
from rowhouse.operations.page_request import TOTAL, PageRequest, page_response
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.response_schemas import (
    Definitions,
    DocumentSchema,
    ResponseSchema,
    Schema,
    name_of,
    object_of,
    page_name,
    page_of,
    reference,
)
from rowhouse.operations.route import Deferred, GeneratedRoute, generated_route, plural_name
from rowhouse.query.cursor import SortKey
from rowhouse.query.filters import Filter
from rowhouse.query.keys import Key
from rowhouse.query.list_parameters import WINDOW_WORDS, ListParameters
from rowhouse.query.list_query import ListQuery, Search
from rowhouse.query.operators import EQUAL
from rowhouse.query.parameters import Parameter
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import columns_of
from rowhouse.schemas.derivation import derive
from rowhouse.sql.pages import PageReader
from rowhouse.sql.statements import Statements

COLUMNS = columns_of(DeletedRow)
INSTANT, ACCOUNT, KEY = "deleted_at", "deleted_by", "row_id"
FILTERS = (f"{INSTANT}__gte", f"{INSTANT}__lte")
WINDOW = WINDOW_WORDS | {"cursor"}
SCHEMAS = derive(DeletedRow, COLUMNS, owner=None)
# How many deleted rows a rule of a project's own is tested for in one request.
MAX_TESTED = 1000


@dataclass(frozen=True, slots=True)
class KeyFilter(Filter):
    """The filter `id`: the key of a row, as its path has it."""

    key: Key

    @property
    def parameter(self) -> Parameter:
        """The query parameter."""
        annotation: Any = self.key.annotation
        if self.key.is_composite:
            annotation = Annotated[annotation, WithJsonSchema({"type": "string"})]
        return Parameter(annotation, "Only the row with this key, written as in a path.")

    def bind(self, value: Any) -> tuple[int, dict[str, Any]]:
        """Bind the text under which the row is stored."""
        return 1, {self.bind_name: self.key.stored_text(value)}


class DeletedParameters(ListParameters):
    """The parameters of a list of deleted rows: a window or a cursor, and filters that an index serves."""

    def __init__(self, resource: Resource) -> None:
        columns = {name: COLUMNS[name] for name in (INSTANT, KEY)}
        super().__init__(columns, name=resource.name, search=Search(), aliases={})
        by_key = KeyFilter("id", COLUMNS[KEY], EQUAL, resource.key)
        self.filters = {by_key.name: by_key, **{name: self.filters[name] for name in FILTERS}}

    def _general_parameters(self) -> dict[str, Parameter]:
        return {name: one for name, one in super()._general_parameters().items() if name in WINDOW}

    def _sort_keys(self, sort: tuple[str, ...]) -> Sequence[SortKey]:  # noqa: ARG002  there is one order
        """Return the order: the row that was deleted last comes first."""
        return [SortKey(COLUMNS[name], descending=True) for name in (INSTANT, KEY)]


class DeletedList:
    """The list of one resource's deleted rows."""

    def __init__(self, resource: Resource, endpoints: Endpoints) -> None:
        self._resource = resource
        self._endpoints = endpoints
        self._crud: CRUDBase[Any] = endpoints.crud
        self._deleted = DeletedRows(endpoints.resource)

    @cached_property
    def parameters(self) -> DeletedParameters:
        """The query parameters."""
        return DeletedParameters(self._resource)

    @cached_property
    def _pages(self) -> PageReader:
        listed = Resource(
            model=DeletedRow,
            path=f"{self._resource.path}/deleted",
            columns=COLUMNS,
            schemas=SCHEMAS,
            parameters=self.parameters,
            read=SIGNED_IN,
            write=SIGNED_IN,
            owner=None,
            owner_only=False,
            exact_count_limit=self._resource.exact_count_limit,
        )
        return PageReader(listed, Statements(listed, self._crud.dialect))

    def list_deleted(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Return a page of the deleted rows that the caller may restore."""
        request.authorize(unit, self._resource.write)
        pages = PageRequest(request.query, self.parameters, path=request.path, unit=unit)
        page = self._pages.page(unit, pages.query, self._restorable(unit, pages.query))
        items = b",".join(self._item(row) for row in page.rows)
        return page_response(b"[" + items + b"]", pages.end_of(page), total=page.total)

    def _restorable(self, unit: UnitOfWork, query: ListQuery) -> Predicate:
        """Return the condition on the rows of this query that the caller may restore.

        Raises:
            InvalidInputError: 422 if a rule of the project's own would have to be tested for more than `MAX_TESTED`.
        """
        of_entity, rules = self._condition(unit)
        if not rules:
            return Predicate(of_entity)
        query = replace(query, offset=0, limit=MAX_TESTED)
        page = self._pages.page(unit, query, Predicate(of_entity))
        if page.more:
            message = (
                f"more than {MAX_TESTED:,} rows were deleted; narrow it, or list the ones before with {FILTERS[1]}"
            )
            raise InvalidInputError.at("query", FILTERS[0], message=message, kind="too_many_rows")
        rule = Predicate(*rules)
        keys = [
            row[KEY] for row in page.rows if self._crud.matches(unit, rule, self._deleted.decode(row["content"]).row)
        ]
        return Predicate(of_entity, _is_one_of(keys, unit.database.dialect))

    def _condition(self, unit: UnitOfWork) -> tuple[sa.ColumnElement[bool], list[sa.ColumnElement[bool]]]:
        """Return the condition on the archive's columns, and the rules that are tested on the content of each row."""
        found: list[sa.ColumnElement[bool]] = [deleted_rows.c.entity == self._resource.table.name]
        rules: list[sa.ColumnElement[bool]] = []
        caller_id = None if unit.caller is None else unit.caller.id
        owner, is_own = self._resource.owner, None
        if caller_id is not None and owner is not None and owner == self._endpoints.resource.recorded_owner:
            is_own = self._resource.columns[owner].column == caller_id
        for clause in self._clauses(unit):
            if is_own is not None and clause.compare(is_own):
                found.append(deleted_rows.c.owner_id == caller_id)
            elif not any(isinstance(one, sa.ColumnClause) for one in elements_of(clause)):
                found.append(clause)  # a constant
            else:
                rules.append(clause)
        return sa.and_(*found), rules

    def _clauses(self, unit: UnitOfWork) -> Iterator[sa.ColumnElement[bool]]:
        """Yield the conditions on the rows that the caller sees and may change. A row must meet all of them."""
        for clause in (self._crud.scope(unit.caller), self._crud.writable(unit.caller)):
            if isinstance(clause, sa.BooleanClauseList) and clause.operator is sa.sql.operators.and_:
                yield from clause.clauses
            elif clause is not None:
                yield clause

    def _item(self, stored: Row) -> bytes:
        """Return a row as JSON. Values of columns whose type has changed since are left out."""
        kept, unfit = self._deleted.decode(stored["content"])
        row = {**later_columns(self._resource), **kept}
        shown = {name: row[name] for name in self._resource.schemas.public_names if name in row and name not in unfit}
        own = {name: stored[name] for name in (INSTANT, ACCOUNT) if name not in shown}
        return self._endpoints.partial_json(shown)[:-1] + b"," + to_json(own)[1:]

    def schema(self) -> ResponseSchema:
        """Return the schema of the page."""
        name, public = f"{self._resource.name}Deleted", self._resource.schemas.public

        def further(found: Definitions) -> Definitions:
            own = _own_members()
            row = found[name_of(public)]["properties"]
            columns = {name: row[name] for name in self._resource.schemas.public_names}
            members = {INSTANT: own[INSTANT], ACCOUNT: own[ACCOUNT]} | columns
            return {name: object_of(name, members, required=members), **page_of(name, self._resource)}

        return ResponseSchema(reference(page_name(name)), [public], further)


@cache
def _own_members() -> Mapping[str, Schema]:
    """Return the schemas of the columns of the archive."""
    found: Schema = exact(SCHEMAS.public.model_json_schema(mode="serialization", schema_generator=DocumentSchema))
    members: Mapping[str, Schema] = found["properties"]
    return members


def _is_one_of(keys: Sequence[str], dialect: sa.Dialect) -> sa.ColumnElement[bool]:
    """Return whether the row has one of these keys. They are one parameter, however many they are."""
    given = sa.bindparam(None, json.dumps(keys), type_=sa.Text(), unique=True)
    if dialect.name == "postgresql":
        listed: Any = sa.select(sa.func.json_array_elements_text(sa.cast(given, sa.JSON())))
    else:
        listed = sa.select(sa.func.json_each(given).table_valued("value").c.value)
    return deleted_rows.c.row_id.in_(listed)


def deleted_route(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    """Return the route `GET /books/deleted`."""
    name = plural_name(resource)
    deleted = DeletedList(resource, endpoints)
    return generated_route(
        resource, "/deleted", policy=resource.write, work=deleted.list_deleted, writes=False, methods=["GET"],
        operation_id=f"list_deleted_{name}", summary=f"List deleted {name.replace('_', ' ')}",
        response_model=Deferred(deleted.schema),
        description="A page of the deleted rows that the caller may restore, as they were; the last deleted first.",
        openapi_extra=Deferred(lambda: {"parameters": [*deleted.parameters.openapi]}),
        responses={200: {"headers": TOTAL}, **shared_problem_responses(401, 403, 422, 503)},
    )  # fmt: skip
