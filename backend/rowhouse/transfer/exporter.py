"""Exports: every row that the filters of a list select, as CSV or NDJSON, streamed in constant memory.

Rows are read in chunks, each behind the last row of the one before, as with cursors. Each chunk is one call in a
worker thread for transfers, so a slow client holds neither a thread nor a connection. The first chunk is read before
the response starts, so its error is a problem response. A later error closes the connection, so that no client takes
a part for the whole file.

`CRUDBase.scope` decides which rows a caller sees. An overridden `CRUDBase.list` is not called, because it returns
pages.
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope

from rowhouse.core.errors import InvalidInputError, UnavailableError
from rowhouse.core.openapi import response_header, shared_problem_responses
from rowhouse.core.security import Caller
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.authorization import AUTHORIZATION_STARTED, resolve_overriding_caller
from rowhouse.metrics.layout import TRANSFERRED
from rowhouse.operations.endpoints import Endpoints
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.route import Deferred, GeneratedRoute, plural_name, route_of
from rowhouse.query.cursor import BIND
from rowhouse.query.list_parameters import WINDOW_WORDS
from rowhouse.query.list_query import ListQuery
from rowhouse.query.query_string import parse_query
from rowhouse.query.resource import Resource
from rowhouse.schemas.csv_cells import write_value
from rowhouse.sql.statements import PAGE_LIMIT
from rowhouse.workers.runner import RequestRunner, WorkerGroup

# Rows in a chunk. Few enough to block no other thread, and to waste little if the client disconnects.
FIRST_CHUNK, CHUNK = 500, 1000
# How often a later chunk is tried again if the server is full, and the pause before each try.
ATTEMPTS, PAUSE_SECONDS = 20, 0.5
CSV, NDJSON = "text/csv", "application/x-ndjson"
# Parameters of lists that exports lack: an export has no pages, and its rows are flat.
PAGE_ONLY = WINDOW_WORDS | {"cursor", "expand"}
DISPOSITION = response_header("Content-Disposition", "The name of the file.")
FORMAT = {
    "name": "format", "in": "query", "required": False,
    "description": "The format of the file; csv without it. In CSV, null is an empty cell, and a text that a "
    "spreadsheet would run as a formula begins with `'`.",
    "schema": {"type": "string", "enum": ["csv", "ndjson"]},
}  # fmt: skip


Names = Sequence[str]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format. `head` writes the part before the first row, `write` the given columns of rows."""

    media_type: str
    head: Callable[[Names], bytes]
    write: Callable[[Sequence[Row], Names], bytes]


@dataclass(slots=True)
class ExportState:
    """One running export: its caller, its file, the rows that are left and the columns of each."""

    caller: Caller | None
    format: Format
    file_name: str
    query: ListQuery
    columns: Names
    is_done: bool = False


class Exporter:
    """The export of one resource."""

    def __init__(self, resource: Resource, crud: CRUDBase[Any]) -> None:
        self.resource = resource
        self.crud = crud
        self._formats = {"csv": _csv(resource), "ndjson": _ndjson(resource)}

    async def fast_handler(self, scope: Scope, _receive: Receive) -> Response:
        """Return a response that starts with the first chunk and reads the others."""
        runner: RequestRunner = scope["app"].state.runner
        if scope["app"].dependency_overrides:
            await resolve_overriding_caller(scope)
        scope[AUTHORIZATION_STARTED] = True
        begin = partial(self._begin, OperationRequest(scope, b""))
        state, first = await runner.run(begin, write=False, group=WorkerGroup.TRANSFER)
        headers = {"Content-Disposition": f'attachment; filename="{state.file_name}"'}
        return StreamingResponse(self._chunks(runner, state, first), 200, headers, state.format.media_type)

    async def _chunks(self, runner: RequestRunner, state: ExportState, first: bytes) -> AsyncIterator[bytes]:
        yield first
        while not state.is_done:
            yield await self._retrying(runner, partial(self._next, state, CHUNK))

    async def _retrying(self, runner: RequestRunner, work: Callable[[UnitOfWork], bytes]) -> bytes:
        """Read a chunk. Try again if the server is full, because a part of the file is sent already."""
        for _ in range(ATTEMPTS):
            try:
                return await runner.run(work, write=False, group=WorkerGroup.TRANSFER)
            except UnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
        return await runner.run(work, write=False, group=WorkerGroup.TRANSFER)

    def _begin(self, request: OperationRequest, unit: UnitOfWork) -> tuple[ExportState, bytes]:
        request.authorize(unit, self.resource.read)
        given = parse_query(request.query) if request.query else {}
        wanted = given.pop("format", "csv")
        if wanted not in self._formats:
            raise InvalidInputError.at("query", "format", message="Input should be 'csv' or 'ndjson'", kind="enum")
        for name in given:
            if name in PAGE_ONLY:
                message = "an export has no such parameter: it has every row, without relations"
                raise InvalidInputError.at("query", name, message=message, kind="extra_forbidden")
        query = self.resource.parameters.query_of(given)
        columns = self._columns(wanted, query.projection.fields)
        file_name = f"{self.resource.path}.{wanted}"
        state = ExportState(unit.caller, self._formats[wanted], file_name, query, columns)
        return state, state.format.head(columns) + self._next(state, FIRST_CHUNK, unit)

    def _columns(self, wanted: str, fields: frozenset[str] | None) -> Names:
        """Return the members of a row in the file. CSV has columns only."""
        schemas = self.resource.schemas
        names = schemas.row_names if wanted == "csv" else tuple(schemas.public.model_fields)
        columns = [name for name in names if fields is None or name in fields]
        if not columns:
            raise InvalidInputError.at("query", "fields", message="CSV has none of these columns", kind="literal_error")
        return columns

    def _next(self, state: ExportState, size: int, unit: UnitOfWork) -> bytes:
        """Return the next rows as bytes, for the caller of the export, and move `state` behind them."""
        unit.caller = state.caller
        query, scope = state.query, self.crud.selected(unit, state.query)
        statement = self.crud.statements.list_after(self.crud.lists.choose_shape(unit, query, scope), scope)
        rows = unit.run(statement, {**query.values, PAGE_LIMIT: size}, scope)
        if self.crud.extra_fields.keys() & set(state.columns):
            self.crud.load_extra_fields(rows, unit=unit)
        written = state.format.write(rows, state.columns)
        if unit.database.metrics is not None:
            unit.database.metrics.add(TRANSFERRED["export"], len(rows))
        state.is_done = len(rows) < size
        if rows:
            state.query = self._rest_behind(query, rows[-1])
        return written

    def _rest_behind(self, query: ListQuery, last: Row) -> ListQuery:
        """Return the query for the rows behind the row `last`."""
        keys = self.resource.parameters.sort_keys(query.shape.sort)
        values = [last[key.name] for key in keys]
        bound = {BIND.format(number): value for number, value in enumerate(values) if value is not None}
        shape = replace(query.shape, nulls=tuple(value is None for value in values))
        return replace(query, shape=shape, values={**query.values, **bound})


def _csv(resource: Resource) -> Format:
    """Return CSV as in RFC 4180: a line of names, CRLF, and quotes if needed."""
    public, serializer = resource.schemas.public_names, resource.schemas.row_serializer
    writers = {name: to_cell for name in public if (to_cell := resource.columns[name].type.write_cell)}
    writers |= dict.fromkeys(resource.schemas.computed, write_value)

    def write(rows: Sequence[Row], names: Names) -> bytes:
        columns = set(names)
        plain = [serializer.to_python(row, mode="json", include=columns, warnings=False) for row in rows]
        for name in writers.keys() & columns:
            to_cell = writers[name]
            for row in plain:
                if row[name] is not None:
                    row[name] = to_cell(row[name])
        return _lines([row[name] for name in names] for row in plain)

    return Format(CSV, lambda names: _lines([names]), write)


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


def _ndjson(resource: Resource) -> Format:
    """Return NDJSON: one JSON object in each line, the same as in the response of get."""
    serializer = resource.schemas.row_serializer

    def write(rows: Sequence[Row], names: Names) -> bytes:
        columns = set(names)
        return b"".join(serializer.to_json(row, include=columns, warnings=False) + b"\n" for row in rows)

    return Format(NDJSON, lambda _names: b"", write)


def export_route(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    """Return the route of a resource's export."""
    name = plural_name(resource)

    def parameters() -> dict[str, Any]:
        return {
            "parameters": [FORMAT, *(p for p in resource.parameters.openapi if p["name"] not in PAGE_ONLY | {"format"})]
        }

    content = {media_type: {"schema": {"type": "string"}} for media_type in (CSV, NDJSON)}
    return route_of(
        resource, "/export", policy=resource.read, fast_handler=Exporter(resource, endpoints.crud).fast_handler,
        methods=["GET"], operation_id=f"export_{name}", summary=f"Export {name.replace('_', ' ')}",
        response_class=StreamingResponse,
        description="Every row that matches every filter, as a file.",
        openapi_extra=Deferred(parameters),
        responses={200: {"description": "The file.", "content": content, "headers": DISPOSITION},
                   **shared_problem_responses(401, 403, 422, 503)},
    )  # fmt: skip
