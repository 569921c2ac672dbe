"""Exports: every row that a list's filters select, as CSV or NDJSON, streamed in constant memory.

The rows are walked by key, as cursors do, in chunks; each chunk is one hop to a worker thread of the bulk lane, so a slow client
holds neither a thread nor a connection. The first chunk is read before the answer begins, so an error is still a problem; a later
error breaks the connection off, and no client takes a part for the whole.

Which rows a caller sees is `CRUDBase.scope`; an overridden `CRUDBase.list` is not asked, for it gives pages.
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import TypeAdapter
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope

from rowhouse.core.errors import InvalidInputError, UnavailableError
from rowhouse.core.openapi import problem_responses, response_header
from rowhouse.core.security import Caller
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.authorization import AUTHORIZATION_STARTED, resolve_overriding_caller
from rowhouse.operations.endpoints import Endpoints
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.route import GeneratedRoute, many, route_of
from rowhouse.query.cursor import BIND
from rowhouse.query.list_parameters import WINDOW_WORDS
from rowhouse.query.list_query import ListQuery
from rowhouse.query.query_string import parse_query
from rowhouse.query.resource import Resource
from rowhouse.sql.statements import PAGE_LIMIT
from rowhouse.workers.runner import RequestRunner, WorkerGroup

# Few enough that a chunk keeps nobody waiting for the interpreter, and that little is made in vain for a client who hangs up.
FIRST_CHUNK, CHUNK = 500, 1000
# How often a later chunk is asked for again when the server is full, and the pause before.
ATTEMPTS, PAUSE_SECONDS = 20, 0.5
CSV, NDJSON = "text/csv", "application/x-ndjson"
# What a list takes and an export does not: it has no pages, and its rows are flat.
PAGE_ONLY = WINDOW_WORDS | {"cursor", "expand"}
DISPOSITION = response_header("Content-Disposition", "The name of the file.")
FORMAT = {
    "name": "format", "in": "query", "required": False, "description": "The format of the file; csv without it.",
    "schema": {"type": "string", "enum": ["csv", "ndjson"]},
}  # fmt: skip


Names = Sequence[str]


@dataclass(frozen=True, slots=True)
class Format:
    """How rows become bytes, of which the columns with these names are shown. What `head` gives comes before the first row."""

    media_type: str
    head: Callable[[Names], bytes]
    write: Callable[[Sequence[Row], Names], bytes]


@dataclass(slots=True)
class ExportState:
    """One export under way: who asked for which rows and columns, as which file, and where it stands."""

    caller: Caller | None
    format: Format
    file_name: str
    selection: ListQuery
    shown: Names
    is_done: bool = False


class Exporter:
    """The export of one resource."""

    def __init__(self, resource: Resource, crud: CRUDBase[Any]) -> None:
        self.resource = resource
        self.crud = crud
        self._formats = {"csv": _csv(resource), "ndjson": _ndjson(resource)}

    async def fast_handler(self, scope: Scope, _receive: Receive) -> Response:
        """The first chunk, in a response that asks for the others."""
        runner: RequestRunner = scope["app"].state.runner
        if scope["app"].dependency_overrides:
            await resolve_overriding_caller(scope)
        scope[AUTHORIZATION_STARTED] = True
        begin = partial(self._begin, OperationRequest(scope, b""))
        walk, first = await runner.run(begin, write=False, group=WorkerGroup.TRANSFER)
        headers = {"Content-Disposition": f'attachment; filename="{walk.file_name}"'}
        return StreamingResponse(self._pieces(runner, walk, first), 200, headers, walk.format.media_type)

    async def _pieces(self, runner: RequestRunner, walk: ExportState, first: bytes) -> AsyncIterator[bytes]:
        yield first
        while not walk.is_done:
            yield await self._patiently(runner, partial(self._next, walk, CHUNK))

    async def _patiently(self, runner: RequestRunner, work: Callable[[UnitOfWork], bytes]) -> bytes:
        """Ask for a chunk, again where the server is full: so much has been sent already."""
        for _ in range(ATTEMPTS):
            try:
                return await runner.run(work, write=False, group=WorkerGroup.TRANSFER)
            except UnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)
        return await runner.run(work, write=False, group=WorkerGroup.TRANSFER)

    def _begin(self, call: OperationRequest, unit: UnitOfWork) -> tuple[ExportState, bytes]:
        call.authorize(unit, self.resource.read)
        given = parse_query(call.query) if call.query else {}
        wanted = given.pop("format", "csv")
        if wanted not in self._formats:
            raise InvalidInputError.at("query", "format", message="Input should be 'csv' or 'ndjson'", kind="enum")
        for name in given:
            if name in PAGE_ONLY:
                message = "an export has no such parameter: it gives every row, as the row is"
                raise InvalidInputError.at("query", name, message=message, kind="extra_forbidden")
        selection = self.resource.parameters.query_of(given)
        shown = self._shown(wanted, selection.projection.fields)
        file_name = f"{self.resource.path}.{wanted}"
        walk = ExportState(unit.caller, self._formats[wanted], file_name, selection, shown)
        return walk, walk.format.head(shown) + self._next(walk, FIRST_CHUNK, unit)

    def _shown(self, wanted: str, fields: frozenset[str] | None) -> Names:
        """The members of a row in the file; what is composed of several values has no place in a CSV cell."""
        schemas = self.resource.schemas
        names = schemas.public_names if wanted == "csv" else tuple(schemas.public.model_fields)
        shown = [name for name in names if fields is None or name in fields]
        if not shown:
            raise InvalidInputError.at("query", "fields", message="CSV has none of these columns", kind="literal_error")
        return shown

    def _next(self, walk: ExportState, size: int, unit: UnitOfWork) -> bytes:
        """The next rows as bytes, for the caller who began; the walk then stands behind the last of them."""
        unit.caller = walk.caller
        selection, scope = walk.selection, Predicate(self.crud.scope(walk.caller))
        statement = self.crud.statements.list_after(self.crud.lists.choose_shape(unit, selection, scope), scope)
        rows = unit.run(statement, {**selection.values, PAGE_LIMIT: size}, scope)
        if self.crud.extra_fields.keys() & set(walk.shown):
            self.crud.load_extra_fields(rows, unit=unit)
        written = walk.format.write(rows, walk.shown)
        walk.is_done = len(rows) < size
        if rows:
            walk.selection = self._behind(selection, rows[-1])
        return written

    def _behind(self, selection: ListQuery, last: Row) -> ListQuery:
        """The rest of the selection behind its row `last`."""
        keys = self.resource.parameters.sort_keys(selection.shape.sort)
        values = [last[key.column.name] for key in keys]
        bound = {BIND.format(number): value for number, value in enumerate(values) if value is not None}
        shape = replace(selection.shape, nulls=tuple(value is None for value in values))
        return replace(selection, shape=shape, values={**selection.values, **bound})


def _csv(resource: Resource) -> Format:
    """RFC 4180: a line of names, CRLF, quotes where they are needed; cells as `cells` makes them."""
    public, serializer = resource.schemas.public_names, TypeAdapter(resource.schemas.row_type).serializer
    writers = {name: to_cell for name in public if (to_cell := resource.columns[name].type.write_cell)}

    def write(rows: Sequence[Row], names: Names) -> bytes:
        shown = set(names)
        plain = [serializer.to_python(row, mode="json", include=shown, warnings=False) for row in rows]
        for name in writers.keys() & shown:
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
    """One JSON object a line, each as a get of the row gives it."""
    serializer = TypeAdapter(resource.schemas.row_type).serializer

    def write(rows: Sequence[Row], names: Names) -> bytes:
        shown = set(names)
        return b"".join(serializer.to_json(row, include=shown, warnings=False) + b"\n" for row in rows)

    return Format(NDJSON, lambda _names: b"", write)


def export_route(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    """The route of a resource's export."""
    name = many(resource)
    parameters = [p for p in resource.parameters.openapi if p["name"] not in PAGE_ONLY | {"format"}]
    content = {media_type: {"schema": {"type": "string"}} for media_type in (CSV, NDJSON)}
    return route_of(
        resource, "/export", policy=resource.read, fast_handler=Exporter(resource, endpoints.crud).fast_handler, methods=["GET"],
        operation_id=f"export_{name}", summary=f"Export {name.replace('_', ' ')}", response_class=StreamingResponse,
        description="Every row that matches every filter, as a file. In CSV null is an empty cell, and a text that a "
        "spreadsheet would run as a formula begins with `'`.",
        openapi_extra={"parameters": [FORMAT, *parameters]},
        responses={200: {"description": "The file.", "content": content, "headers": DISPOSITION},
                   **problem_responses(401, 403, 422, 503)},
    )  # fmt: skip
