"""Imports: a file of new rows, CSV or NDJSON, validated row by row and stored all or none.

The caller is authorized before the body is read. The file is spooled to disk and read twice: once to validate every
row without the database, once to store all rows in one transaction. The response lists the errors of all rows.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import IO, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope

from rowhouse.core.errors import InvalidInputError, InvalidRequestError, RowhouseError
from rowhouse.core.openapi import shared_problem_responses
from rowhouse.core.security import Caller
from rowhouse.crud.upsert import Names, UniqueValues
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.authorization import AUTHORIZATION_STARTED, resolve_overriding_caller
from rowhouse.metrics.layout import TRANSFERRED
from rowhouse.operations.endpoints import Endpoints, elements_of
from rowhouse.operations.page_request import JSON
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.route import GeneratedRoute, on_parameter, plural_name, route_of
from rowhouse.query.resource import Resource
from rowhouse.requests.accepted_body import AcceptedBody
from rowhouse.requests.idempotency import IDEMPOTENCY_KEY, REPLAYED
from rowhouse.transfer.exporter import CSV, NDJSON
from rowhouse.transfer.upload_reader import CsvColumns, Line, RowSource, ndjson_lines
from rowhouse.workers.runner import RequestRunner, WorkerGroup

FILE_BODY = AcceptedBody((CSV, NDJSON), limit="max_import_bytes")
IN_MEMORY = 1024 * 1024
# Rows that are stored together.
CHUNK = 512
MAX_ERRORS, MAX_CONFLICTS = 10_000, 100
MAX_NAME = 200
# In the order and form that generated clients support best.
FILE = {"type": "string", "format": "binary", "minLength": 1}
FILE_TEXT = "The first line of CSV names the columns. A line of NDJSON is the body of a create."
Entry = dict[str, Any]


class Upserted(BaseModel):
    """The numbers of rows that an import with `on` has created and changed."""

    created: int
    updated: int


class Created(BaseModel):
    """The number of rows that an import has stored."""

    created: int


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file. The fingerprint identifies its content."""

    file: IO[bytes]
    media_type: str
    fingerprint: bytes


class Importer:
    """The import of one resource."""

    def __init__(self, resource: Resource, endpoints: Endpoints) -> None:
        self.resource = resource
        self.crud = endpoints.crud
        self._endpoints = endpoints
        create = resource.schemas.create
        required = [name for name, member in create.model_fields.items() if member.is_required()]
        self._validator = TypeAdapter(create).validator
        self._csv = CsvColumns(
            {name: resource.columns[name] for name in create.model_fields if name in resource.columns},
            required=required,
        )

    async def fast_handler(self, scope: Scope, receive: Receive) -> Response:
        """Authorize the caller, read the file and store its rows."""
        runner: RequestRunner = scope["app"].state.runner
        if scope["app"].dependency_overrides:
            await resolve_overriding_caller(scope)
        caller = await runner.run(partial(self._authorize, OperationRequest(scope, b"")), write=False)
        scope[AUTHORIZATION_STARTED] = True
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            digest = await _spool(receive, file)
            media_type = FILE_BODY.media_type(scope["headers"])
            upload = Upload(file, media_type, f"{media_type} {digest}".encode())
            work = partial(self._store, OperationRequest(scope, upload.fingerprint), caller, upload)
            return await runner.run(work, write=True, group=WorkerGroup.TRANSFER)

    def _authorize(self, request: OperationRequest, unit: UnitOfWork) -> Caller | None:
        request.authorize(unit, self.resource.write)
        request.reject_conditions()
        self._endpoints.parse_on(request)
        return unit.caller

    def _store(self, request: OperationRequest, caller: Caller | None, upload: Upload, unit: UnitOfWork) -> Response:
        unit.caller = caller
        longest, on = unit.settings.max_body_bytes, self._endpoints.parse_on(request)
        self._validate(self._lines(upload, longest), on)
        if on is not None:
            return request.once(unit, lambda: self._upserted(unit, self._lines(upload, longest), on))
        return request.once(unit, lambda: self._stored(unit, self._lines(upload, longest)))

    def _lines(self, upload: Upload, longest: int) -> Iterator[Line]:
        source = RowSource(upload.file, longest=longest)
        return self._csv.lines(source) if upload.media_type == CSV else ndjson_lines(source)

    def _validate(self, lines: Iterator[Line], on: Names | None) -> None:
        """Reject the file if a row is not valid, with the errors of all rows."""
        position, entries, seen = -1, list[Entry](), set[UniqueValues]()
        for position, line in enumerate(lines):
            entries += self._errors_of(position, line, on, seen)
            if len(entries) > MAX_ERRORS:
                detail = f"Some rows are not valid; `errors` lists the first {MAX_ERRORS} faults, and there are more."
                raise InvalidInputError(entries[:MAX_ERRORS], detail)
        if position < 0:
            raise InvalidInputError.at("body", message="the file has no rows", kind="too_short")
        if entries:
            raise InvalidInputError(entries, "Some rows are not valid; `errors` lists all faults.")

    def _errors_of(self, position: int, line: Line, on: Names | None, seen: set[UniqueValues]) -> list[Entry]:
        """Return the errors of a row. With `on`, add its unique values to `seen`, which must not have them yet."""
        if line.error is not None:
            return _at(position, line, [{"loc": ["body"], "msg": line.error, "type": "row_invalid"}])
        try:
            values = self._validator.validate_json(line.text).__dict__
        except ValidationError as error:
            return _at(position, line, InvalidInputError.from_pydantic(error, "body").errors)
        key = tuple(values[name] for name in on or () if name in values)  # the owner is the same in all rows
        if not key or None in key:
            return []
        if key in seen:
            entry = {"loc": ["body", *(on or ())[:1]], "msg": "an earlier row has the same values", "type": "repeated"}
            return _at(position, line, [entry])
        seen.add(key)
        return []

    def _stored(self, unit: UnitOfWork, lines: Iterator[Line]) -> Response:
        """Store the rows of a valid file, chunk by chunk, or raise an error that lists all conflicts."""
        created, entries, first = 0, list[Entry](), None
        while (chunk := list(islice(lines, CHUNK))) and len(entries) < MAX_CONFLICTS:
            values = [self._validator.validate_json(line.text).__dict__ for line in chunk]
            for error in self.crud.create_valid(unit, values, max_errors=MAX_CONFLICTS - len(entries)):
                position = error.element or 0
                error.element = None
                first = first or error
                entries += _at(created + position, chunk[position], _entries(error))
            created += len(chunk)
        if first is not None:
            raise first.listing(entries, detail=f"{entries[0]['msg'][:1].upper()}{entries[0]['msg'][1:]}")
        self._count(unit, created)
        return Response(Created(created=created).model_dump_json().encode(), 201, media_type=JSON)

    def _count(self, unit: UnitOfWork, rows: int) -> None:
        """Add stored rows to the metrics."""
        if unit.database.metrics is not None:
            unit.on_commit(partial(unit.database.metrics.add, TRANSFERRED["import"], rows))

    def _upserted(self, unit: UnitOfWork, lines: Iterator[Line], on: Names) -> Response:
        """Create or change the rows of a valid file, chunk by chunk. The error of a row names its line."""
        done, created = 0, 0
        while chunk := list(islice(lines, CHUNK)):
            elements = elements_of(self._validator.validate_json(line.text) for line in chunk)
            try:
                created += sum(self.crud.upsert_many(unit, elements, on=on).created)
            except RowhouseError as error:
                if error.element is None:
                    raise
                position, error.element = error.element, None
                entries = _at(done + position, chunk[position], _entries(error))
                message = entries[0]["msg"]
                error.listing(entries, detail=f"{message[:1].upper()}{message[1:]}")
                raise
            done += len(chunk)
        self._count(unit, done)
        return Response(Upserted(created=created, updated=done - created).model_dump_json().encode(), media_type=JSON)


def _entries(error: RowhouseError) -> list[Any]:
    """Return the entries in `errors` for the error of a row."""
    return error.faults() or [{"loc": ["body"], "msg": error.detail, "type": error.code}]


def _at(position: int, line: Line, entries: list[Any]) -> list[Entry]:
    """Return entries for a row as entries for the file. Long names that the client made up are cut."""
    located = []
    for entry in entries:
        inner = [part[:MAX_NAME] if isinstance(part, str) else part for part in entry["loc"][1:]]
        located.append({**entry, "loc": ["body", position, *inner], "msg": f"line {line.number}: {entry['msg']}"})
    return located


async def _spool(receive: Receive, file: IO[bytes]) -> str:
    """Write the body to the file and return its digest.

    A piece has about 64 KiB and goes to the page cache. Writing it in a thread would cost more.

    Raises:
        InvalidRequestError: 400 if the client disconnects before the end. A part may look like a whole file.
    """
    digest, more = hashlib.sha256(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequestError("The connection broke off before the end of the file.")
        piece = message.get("body", b"")
        digest.update(piece)
        file.write(piece)
        more = message.get("more_body", False)
    return digest.hexdigest()


def import_route(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    """Return the route of a resource's import."""
    name = plural_name(resource)
    content = {media_type: {"schema": FILE} for media_type in (NDJSON, CSV)}
    with_on = {"description": "The outcome with `on`.", "model": Upserted, "headers": REPLAYED}
    further: dict[int | str, Any] = {200: with_on} if endpoints.unique_keys else {}
    return route_of(
        resource, "/import", policy=resource.write, fast_handler=Importer(resource, endpoints).fast_handler,
        accepted_body=FILE_BODY, methods=["POST"], status_code=201, operation_id=f"import_{name}",
        summary=f"Import {name.replace('_', ' ')}",
        response_model=Created,
        description="Store the rows of a file, all or none. An error lists all rejected rows.",
        openapi_extra={"parameters": [*on_parameter(endpoints.unique_keys), IDEMPOTENCY_KEY],
                       "requestBody": {"description": FILE_TEXT, "required": True, "content": content}},
        responses={201: {"headers": REPLAYED}, **further,
                   **shared_problem_responses(400, 401, 403, 409, 413, 415, 422, 503)},
    )  # fmt: skip
