"""Export and import of files, by the API's own operations. Neither is held in memory."""

import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from rowhouse.admin.entity import Entity
from rowhouse.admin.internal_api import ApiError, sentence_of
from rowhouse.admin.visit import Visit
from rowhouse.core.errors import ConflictError, InvalidInputError, NotFoundError

PART = 64 * 1024
SHOWN = 100
SHOWN_HEADERS = (b"content-type", b"content-disposition")
MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


class StreamedFile(Response):
    """A file of the API that is passed on while it arrives."""

    def __init__(self, visit: Visit, path: str, query: str) -> None:
        super().__init__()
        self._visit, self._path, self._query = visit, path, query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        self._visit.write_cookies(self)
        cookies = [(name, value) for name, value in self.raw_headers if name == b"set-cookie"]

        async def send_file(message: Message) -> None:
            if message["type"] == "http.response.start":
                shown = [(name, value) for name, value in message["headers"] if name.lower() in SHOWN_HEADERS]
                message = {**message, "headers": [*shown, *cookies]}
            await send(message)

        try:
            await self._visit.api.stream(self._path, query=self._query, receive=receive, send=send_file)
        except ApiError as error:
            answer = error.answer
            refused = self._visit.refusal(answer.status, sentence_of(answer.problem()), headers=answer.headers)
            await refused(scope, receive, send)


async def export(visit: Visit, entity: Entity) -> Response:
    """Return the rows that the filters select as a file."""
    _require(visit, entity, "list")
    return StreamedFile(visit, f"{entity.api_path}/export", urlencode(visit.query))


async def show_import(visit: Visit, entity: Entity) -> Response:
    """Show the form for a file."""
    _require(visit, entity, "create")
    return _page(visit, entity)


async def import_file(visit: Visit, entity: Entity) -> Response:
    """Create the rows of a file, all or none. The errors name the rows."""
    _require(visit, entity, "create")
    file = visit.form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return _page(visit, entity, faults=["Choose a file."])
    ending = file.filename.rpartition(".")[2].lower()
    headers = {"content-type": MEDIA_TYPES.get(ending, MEDIA_TYPES["csv"]), "idempotency-key": secrets.token_urlsafe()}
    answer = await visit.api.call("POST", f"{entity.api_path}/import", body=_parts(file), headers=headers)
    if answer.is_success:
        return visit.redirect(visit.list_url(entity), notice=f"imported:{answer.json()['created']}")
    if answer.status not in (InvalidInputError.status, ConflictError.status):
        raise ApiError(answer)
    problem = answer.problem()
    faults = [_fault(error) for error in problem.get("errors", [])] or [str(problem.get("detail"))]
    return _page(visit, entity, faults=faults)


async def _parts(file: UploadFile) -> AsyncIterator[bytes]:
    while part := await file.read(PART):
        yield part


def _fault(error: dict[str, Any]) -> str:
    """Return an error as text. The API's message names the line; the place may name the member."""
    members = [str(part) for part in error["loc"][2:]]
    return f"{error['msg']} ({'.'.join(members)})" if members else str(error["msg"])


def _page(visit: Visit, entity: Entity, *, faults: Sequence[str] = ()) -> Response:
    left_out = max(0, len(faults) - SHOWN)
    return visit.render("import.html", entity=entity, faults=faults[:SHOWN], left_out=left_out)


def _require(visit: Visit, entity: Entity, operation: str) -> None:
    if operation not in entity.operations:
        raise NotFoundError
    (entity.resource.read if operation == "list" else entity.resource.write).check(visit.caller)
