"""The router factory: the endpoints of one registered entity, on the shortest path from bytes to bytes.

Each generated route is a FastAPI route to OpenAPI and a bare ASGI application to the server: it reads the body, makes one hop to
a worker thread and answers with the bytes built there. FastAPI's dependency solving is not needed, for the same schemas that
describe the input parse it.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Path
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.core.db import UnitOfWork
from backend.core.dependencies import oauth2_scheme
from backend.core.door import Door
from backend.core.errors import EmptyUpdateError, InvalidInputError
from backend.core.openapi import problem_responses
from backend.core.security import bearer_token
from backend.core.statement import Row
from backend.crud.base import CRUDBase
from backend.crud.filters import INTEGER_TEXT
from backend.crud.model import plural, singular_snake
from backend.crud.pagination import Page, page_members
from backend.crud.parameters import parse_query
from backend.crud.policy import Policy
from backend.crud.resource import Resource

JSON = "application/json"
OPERATIONS = ("list", "create", "get", "update", "put", "delete")


class Call:
    """What a generated operation needs of a request."""

    __slots__ = ("authorization", "body", "key", "path", "query")

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.path: str = scope["path"]
        self.key: str = scope["path_params"].get("id", "")
        self.query: bytes = scope["query_string"]
        self.body = body
        self.authorization: str | None = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.authorization = value.decode("latin-1")


Work = Callable[[Call, UnitOfWork], Response]


async def read_body(receive: Receive) -> bytes:
    """The whole body, whose length the directory limits."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


class GeneratedRoute(APIRoute):
    """One generated operation."""

    def __init__(
        self, path: str, *, work: Work, writes: bool, reads_body: bool, documented: Any, **options: Any
    ) -> None:
        super().__init__(path, documented, **options)
        self._work = work
        self._writes = writes
        self._reads_body = reads_body
        self.app = self.answer

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application of this route."""
        door: Door = scope["app"].state.door
        body = await read_body(receive) if self._reads_body else b""
        response = await door.run(partial(self._work, Call(scope, body)), write=self._writes)
        await response(scope, receive, send)


class Endpoints:
    """The operations of one resource, from a call to its response."""

    def __init__(self, resource: Resource, crud: CRUDBase[Any]) -> None:
        self._resource = resource
        self._crud = crud
        schemas = resource.schemas
        self._row = schemas.row_adapter.serializer
        self._rows = TypeAdapter(list[schemas.row_adapter._type]).serializer  # type: ignore[name-defined]  # noqa: SLF001
        self._key = TypeAdapter(key_annotation(resource)).validator

    def list_rows(self, call: Call, unit: UnitOfWork) -> Response:
        """A page of the rows that the caller may read and the filters select."""
        self._admit(call, unit, self._resource.read)
        selection = self._resource.parameters.parse(call.query)
        rows, total = self._crud.list(unit, selection)
        members = page_members(total=total, offset=selection.offset, limit=selection.limit)
        tail = "".join(f',"{name}":{value}' for name, value in members.items())
        body = b'{"items":' + self._rows.to_json(rows) + tail.encode() + b"}"
        return Response(body, media_type=JSON)

    def get_row(self, call: Call, unit: UnitOfWork) -> Response:
        """The row."""
        self._admit(call, unit, self._resource.read)
        _refuse_query(call)
        return self._answer(self._crud.get(unit, self._parse_key(call)))

    def create_row(self, call: Call, unit: UnitOfWork) -> Response:
        """Store a new row; `Location` leads to it."""
        self._admit(call, unit, self._resource.write)
        _refuse_query(call)
        body = self._parse_body(self._resource.schemas.create, call.body)
        row = self._crud.create(unit, body.__dict__)
        location = f"{call.path.rstrip('/')}/{row[self._resource.key.name]}"
        return self._answer(row, status=201, headers={"Location": location})

    def update_row(self, call: Call, unit: UnitOfWork) -> Response:
        """Change the members that are sent; the others stay as they are."""
        self._admit(call, unit, self._resource.write)
        _refuse_query(call)
        key = self._parse_key(call)
        body = self._parse_body(self._resource.schemas.update, call.body)
        if not body.model_fields_set:
            raise EmptyUpdateError
        values = body.__dict__
        return self._answer(self._crud.update(unit, key, {name: values[name] for name in body.model_fields_set}))

    def delete_row(self, call: Call, unit: UnitOfWork) -> Response:
        """Remove the row."""
        self._admit(call, unit, self._resource.write)
        _refuse_query(call)
        self._crud.delete(unit, self._parse_key(call))
        return Response(status_code=204)

    def _admit(self, call: Call, unit: UnitOfWork, policy: Policy) -> None:
        if call.authorization is not None:
            unit.authenticate(bearer_token(call.authorization))
        policy.check(unit.caller)

    def _parse_key(self, call: Call) -> Any:
        try:
            return self._key.validate_python(call.key)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "path", "id") from error

    def _parse_body(self, schema: type[BaseModel], body: bytes) -> BaseModel:
        try:
            parsed: BaseModel = schema.__pydantic_validator__.validate_json(body)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "body") from error
        return parsed

    def _answer(self, row: Row, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        return Response(self._row.to_json(row), status, headers, JSON)


def _refuse_query(call: Call) -> None:
    """An operation without parameters refuses every one, so that a misspelt one is not silently ignored."""
    if call.query:
        for name in parse_query(call.query):
            raise InvalidInputError.at(
                "query", name, message="this operation has no such parameter", kind="extra_forbidden"
            )


def key_annotation(resource: Resource) -> Any:
    """The primary key as a path parameter takes it."""
    wire = resource.key.wire
    if resource.key.base is not int:
        return wire

    def whole(value: Any) -> Any:
        if isinstance(value, str) and not INTEGER_TEXT.match(value):
            raise ValueError("write a whole number")
        return value

    annotated: Any = Annotated[wire, BeforeValidator(whole)]
    return annotated


def routes_of(resource: Resource, crud: CRUDBase[Any], operations: Iterable[str]) -> list[GeneratedRoute]:
    """The generated routes of a resource, for those of `OPERATIONS` that are named."""
    endpoints = Endpoints(resource, crud)
    return [_BUILDERS[name](resource, endpoints) for name in OPERATIONS if name in operations]


def _route(resource: Resource, *, item: bool, policy: Policy, body: Any = None, **options: Any) -> GeneratedRoute:
    parameters = []
    if item:
        wire: Any = resource.key.wire
        annotation = Annotated[wire, Path(description=f"The id of the {resource.name}.")]
        parameters.append(inspect.Parameter("id", inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    if body is not None:
        parameters.append(inspect.Parameter("body", inspect.Parameter.KEYWORD_ONLY, annotation=body))

    def documented() -> None:
        """Carries the signature for OpenAPI; GeneratedRoute answers instead."""

    documented.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
    return GeneratedRoute(
        f"/{resource.path}/{{id}}" if item else f"/{resource.path}",
        documented=documented,
        reads_body=body is not None,
        tags=[resource.path],
        dependencies=[] if policy.anyone else [Depends(oauth2_scheme)],
        name=options["operation_id"],
        **options,
    )


def _list(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    page: Any = Page[resource.schemas.public]  # type: ignore[name-defined]  # the schema is made at run time
    name = plural(resource.name).replace("-", "_")
    return _route(
        resource, item=False, policy=resource.read, work=endpoints.list_rows, writes=False, methods=["GET"],
        operation_id=f"list_{name}", summary=f"List {name.replace('_', ' ')}", response_model=page,
        description="A page of the rows that match every filter.",
        openapi_extra={"parameters": resource.parameters.openapi()},
        responses=problem_responses(401, 403, 422, 503) if not resource.read.anyone else problem_responses(401, 422, 503),
    )  # fmt: skip


def _get(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = singular_snake(resource.name)
    return _route(
        resource, item=True, policy=resource.read, work=endpoints.get_row, writes=False, methods=["GET"],
        operation_id=f"get_{name}", summary=f"Get a {name.replace('_', ' ')}", response_model=resource.schemas.public,
        description="The row, if it exists and the caller may read it.",
        responses=problem_responses(401, 403, 404, 422, 503),
    )  # fmt: skip


def _create(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = singular_snake(resource.name)
    location = {"Location": {"description": "The path of the new row.", "schema": {"type": "string"}}}
    return _route(
        resource, item=False, policy=resource.write, body=resource.schemas.create, work=endpoints.create_row, writes=True,
        methods=["POST"], status_code=201, operation_id=f"create_{name}", summary=f"Create a {name.replace('_', ' ')}",
        response_model=resource.schemas.public, description="Store a new row and give it as stored.",
        responses={201: {"headers": location}, **problem_responses(400, 401, 403, 409, 413, 415, 422, 503)},
    )  # fmt: skip


def _change(resource: Resource, endpoints: Endpoints, *, method: str, verb: str) -> GeneratedRoute:
    name = singular_snake(resource.name)
    return _route(
        resource, item=True, policy=resource.write, body=resource.schemas.update, work=endpoints.update_row, writes=True,
        methods=[method], operation_id=f"{verb}_{name}", summary=f"Change a {name.replace('_', ' ')}",
        response_model=resource.schemas.public, description="Change the members that are sent; the others stay.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 503),
    )  # fmt: skip


def _delete(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = singular_snake(resource.name)
    return _route(
        resource, item=True, policy=resource.write, work=endpoints.delete_row, writes=True, methods=["DELETE"],
        status_code=204, operation_id=f"delete_{name}", summary=f"Delete a {name.replace('_', ' ')}",
        response_model=None, description="Remove the row; a row that others refer to stays.",
        responses=problem_responses(401, 403, 404, 409, 422, 503),
    )  # fmt: skip


_BUILDERS: dict[str, Callable[[Resource, Endpoints], GeneratedRoute]] = {
    "list": _list,
    "create": _create,
    "get": _get,
    "update": partial(_change, method="PATCH", verb="update"),
    "put": partial(_change, method="PUT", verb="put"),
    "delete": _delete,
}
