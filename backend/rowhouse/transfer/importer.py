"""Imports: a file of new rows, CSV or NDJSON, judged row by row and stored all or none.

The caller is let in before the body is read. The file is spooled, never whole in memory, and read twice: once to judge every row
without touching the database, once to store them in one transaction. Whatever is wrong is told of every row that it is wrong of.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import IO, Any

from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope

from rowhouse.core.errors import InvalidInputError, InvalidRequestError, RowhouseError
from rowhouse.core.openapi import problem_responses
from rowhouse.core.security import Caller
from rowhouse.crud.base import CRUDBase
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.authorization import AUTHORIZATION_STARTED, resolve_overriding_caller
from rowhouse.operations.endpoints import Endpoints
from rowhouse.operations.page_request import JSON
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.route import GeneratedRoute, many, route_of
from rowhouse.query.resource import Resource
from rowhouse.requests.accepted_body import AcceptedBody
from rowhouse.requests.idempotency import IDEMPOTENCY_KEY, REPLAYED
from rowhouse.transfer.exporter import CSV, NDJSON
from rowhouse.transfer.upload_reader import CsvColumns, Line, RowSource, ndjson_lines
from rowhouse.workers.runner import RequestRunner, WorkerGroup

INTAKE = AcceptedBody((CSV, NDJSON), limit="max_import_bytes")
IN_MEMORY = 1024 * 1024
# Rows that are stored by one statement where the columns are few enough.
BLOCK = 512
MAX_FAULTS, MAX_CONFLICTS = 10_000, 100
MAX_NAME = 200
# In the order and form that generated clients make the most of.
FILE = {"type": "string", "format": "binary", "minLength": 1}
Fault = dict[str, Any]


class Created(BaseModel):
    """How many rows an import has stored."""

    created: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was sent, and what tells it from others."""

    file: IO[bytes]
    media_type: str
    fingerprint: bytes


class Importer:
    """The import of one resource."""

    def __init__(self, resource: Resource, crud: CRUDBase[Any]) -> None:
        self.resource = resource
        self.crud = crud
        create = resource.schemas.create
        required = [name for name, member in create.model_fields.items() if member.is_required()]
        self._validator = create.__pydantic_validator__
        self._csv = CsvColumns({name: resource.columns[name] for name in create.model_fields}, required=required)

    async def fast_handler(self, scope: Scope, receive: Receive) -> Response:
        """Let the caller in, read the file, store it."""
        runner: RequestRunner = scope["app"].state.runner
        if scope["app"].dependency_overrides:
            await resolve_overriding_caller(scope)
        caller = await runner.run(partial(self._authorize, OperationRequest(scope, b"")), write=False)
        scope[AUTHORIZATION_STARTED] = True
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            digest = await _spool(receive, file)
            media_type = INTAKE.media_type(scope["headers"])
            upload = Upload(file, media_type, f"{media_type} {digest}".encode())
            work = partial(self._store, OperationRequest(scope, upload.fingerprint), caller, upload)
            return await runner.run(work, write=True, group=WorkerGroup.TRANSFER)

    def _authorize(self, call: OperationRequest, unit: UnitOfWork) -> Caller | None:
        call.authorize(unit, self.resource.write)
        call.reject_query()
        return unit.caller

    def _store(self, call: OperationRequest, caller: Caller | None, upload: Upload, unit: UnitOfWork) -> Response:
        unit.caller = caller
        longest = unit.settings.max_body_bytes
        self._judge(self._lines(upload, longest))
        return call.once(unit, lambda: self._stored(unit, self._lines(upload, longest)))

    def _lines(self, upload: Upload, longest: int) -> Iterator[Line]:
        source = RowSource(upload.file, longest=longest)
        return self._csv.lines(source) if upload.media_type == CSV else ndjson_lines(source)

    def _judge(self, lines: Iterator[Line]) -> None:
        """Refuse the file for every fault of every row."""
        position, faults = -1, list[Fault]()
        for position, line in enumerate(lines):
            faults += self._faults(position, line)
            if len(faults) > MAX_FAULTS:
                detail = f"Some rows are not valid; `errors` lists the first {MAX_FAULTS} faults, and there are more."
                raise InvalidInputError(faults[:MAX_FAULTS], detail)
        if position < 0:
            raise InvalidInputError.at("body", message="the file has no rows", kind="too_short")
        if faults:
            raise InvalidInputError(faults, "Some rows are not valid; `errors` lists all faults.")

    def _faults(self, position: int, line: Line) -> list[Fault]:
        if line.complaint is not None:
            return _at(position, line, [{"loc": ["body"], "msg": line.complaint, "type": "row_invalid"}])
        try:
            self._validator.validate_json(line.text)
        except ValidationError as error:
            return _at(position, line, InvalidInputError.from_pydantic(error, "body").errors)
        return []

    def _stored(self, unit: UnitOfWork, lines: Iterator[Line]) -> Response:
        """Store the rows of a file whose every row is valid, block by block, or tell which contradict what is stored."""
        created, faults, first = 0, list[Fault](), None
        while (block := list(islice(lines, BLOCK))) and len(faults) < MAX_CONFLICTS:
            values = [self._validator.validate_json(line.text).__dict__ for line in block]
            for error in self.crud.create_valid(unit, values, max_errors=MAX_CONFLICTS - len(faults)):
                position = error.element or 0
                error.element = None
                first = first or error
                faults += _at(created + position, block[position], _told(error))
            created += len(block)
        if first is not None:
            raise first.listing(faults, detail=f"{faults[0]['msg'][:1].upper()}{faults[0]['msg'][1:]}")
        return Response(Created(created=created).model_dump_json().encode(), 201, media_type=JSON)


def _told(error: RowhouseError) -> list[Any]:
    """What an error says of a row."""
    return error.faults() or [{"loc": ["body"], "msg": error.detail, "type": error.code}]


def _at(position: int, line: Line, faults: list[Any]) -> list[Fault]:
    """Faults of a row, as those of the file; a name that the client made up is told in part."""
    told = []
    for fault in faults:
        inner = [part[:MAX_NAME] if isinstance(part, str) else part for part in fault["loc"][1:]]
        told.append({**fault, "loc": ["body", position, *inner], "msg": f"line {line.number}: {fault['msg']}"})
    return told


async def _spool(receive: Receive, file: IO[bytes]) -> str:
    """Write the body to the file and give its digest.

    A piece is some 64 KiB that go to the page cache, so a hop to a thread would cost more than the writing.

    Raises:
        InvalidRequestError: the client went away before its end; what has come may look like a whole file.
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
    """The route of a resource's import."""
    name = many(resource)
    content = {media_type: {"schema": FILE} for media_type in (NDJSON, CSV)}
    return route_of(
        resource, "/import", policy=resource.write, fast_handler=Importer(resource, endpoints.crud).fast_handler, accepted_body=INTAKE,
        methods=["POST"], status_code=201, operation_id=f"import_{name}", summary=f"Import {name.replace('_', ' ')}",
        response_model=Created,
        description="Store the rows of a file, all or none; an error lists every row that it is about. The first line of CSV "
        "names the columns; a line of NDJSON is what a create takes.",
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], "requestBody": {"required": True, "content": content}},
        responses={201: {"headers": REPLAYED}, **problem_responses(400, 401, 403, 409, 413, 415, 422, 503)},
    )  # fmt: skip
