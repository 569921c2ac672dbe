"""The router factory: the endpoints of one registered entity, on the shortest path from bytes to bytes.

Each generated route is a FastAPI route to OpenAPI and a bare ASGI application to the server: it reads the body, makes one hop to
a worker thread and answers with the bytes built there. FastAPI's dependency solving is not needed, for the same schemas that
describe the input parse it.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any

from fastapi import Body, Depends, Path
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.core.db import UnitOfWork
from backend.core.dependencies import oauth2_scheme
from backend.core.door import Door
from backend.core.idempotency import IDEMPOTENCY_KEY, REPLAYED
from backend.core.openapi import header, problem_responses, response_header
from backend.crud.base import CRUDBase
from backend.crud.endpoints import Call, Endpoints
from backend.crud.model import plural, singular_snake
from backend.crud.pagination import Page
from backend.crud.policy import Policy
from backend.crud.resource import Resource

JSON = "application/json"
LOCATED = response_header("Location", "The path of the new row.")
TAGGED = response_header("ETag", "The version of the row, for `If-Match` and `If-None-Match`.")
IF_MATCH = header("If-Match", "The `ETag` of the version that is meant; any other is 412 and changes nothing.")
OPERATIONS = ("list", "create", "get", "update", "put", "delete")
BATCH_LIMITS = {"minItems": 1, "maxItems": 1000}


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


def routes_of(resource: Resource, crud: CRUDBase[Any], operations: Iterable[str]) -> list[GeneratedRoute]:
    """The generated routes of a resource, for those of `OPERATIONS` that are named; each brings its batch along."""
    endpoints = Endpoints(resource, crud)
    named = [name for name in OPERATIONS if name in operations]
    return [build(resource, endpoints) for name in named for build in _BUILDERS[name]]


def _route(resource: Resource, tail: str, *, policy: Policy, body: Any = None, **options: Any) -> GeneratedRoute:
    parameters = []
    if "{id}" in tail:
        wire: Any = resource.key.wire
        annotation = Annotated[wire, Path(description=f"The id of the {resource.name}.")]
        parameters.append(inspect.Parameter("id", inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    if body is not None:
        parameters.append(inspect.Parameter("body", inspect.Parameter.KEYWORD_ONLY, annotation=body))

    def documented() -> None:
        """Carries the signature for OpenAPI; GeneratedRoute answers instead."""

    documented.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
    return GeneratedRoute(
        f"/{resource.path}{tail}",
        documented=documented,
        reads_body=body is not None,
        tags=[resource.path],
        dependencies=[] if policy.anyone else [Depends(oauth2_scheme)],
        name=options["operation_id"],
        **options,
    )


def _one(resource: Resource) -> str:
    return singular_snake(resource.name)


def _many(resource: Resource) -> str:
    return plural(resource.name).replace("-", "_")


def _list(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    page: Any = Page[resource.schemas.public]  # type: ignore[name-defined]  # the schema is made at run time
    name = _many(resource)
    return _route(
        resource, "", policy=resource.read, work=endpoints.list_rows, writes=False, methods=["GET"],
        operation_id=f"list_{name}", summary=f"List {name.replace('_', ' ')}", response_model=page,
        description="A page of the rows that match every filter.",
        openapi_extra={"parameters": resource.parameters.openapi()},
        responses=problem_responses(401, 403, 422, 503) if not resource.read.anyone else problem_responses(401, 422, 503),
    )  # fmt: skip


def _get(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = _one(resource)
    return _route(
        resource, "/{id}", policy=resource.read, work=endpoints.get_row, writes=False, methods=["GET"],
        operation_id=f"get_{name}", summary=f"Get a {name.replace('_', ' ')}", response_model=resource.schemas.public,
        description="The row, if it exists and the caller may read it.",
        openapi_extra={"parameters": [header("If-None-Match", "The `ETag` of the version that the client has.")]},
        responses={200: {"headers": TAGGED}, 304: {"description": "The client has this version.", "headers": TAGGED},
                   **problem_responses(401, 403, 404, 422, 503)},
    )  # fmt: skip


def _create(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = _one(resource)
    return _route(
        resource, "", policy=resource.write, body=resource.schemas.create, work=endpoints.create_row, writes=True,
        methods=["POST"], status_code=201, operation_id=f"create_{name}", summary=f"Create a {name.replace('_', ' ')}",
        response_model=resource.schemas.public, description="Store a new row and give it as stored.",
        openapi_extra={"parameters": [IDEMPOTENCY_KEY]},
        responses={201: {"headers": {**LOCATED, **TAGGED, **REPLAYED}},
                   **problem_responses(400, 401, 403, 409, 413, 415, 422, 503)},
    )  # fmt: skip


def _create_batch(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name, body = _many(resource), _batch(resource.schemas.create)
    rows: Any = list[resource.schemas.public]  # type: ignore[name-defined]  # the schema is made at run time
    return _route(
        resource, "/batch", policy=resource.write, body=body, work=endpoints.create_rows, writes=True,
        methods=["POST"], status_code=201, operation_id=f"create_{name}", summary=f"Create many {name.replace('_', ' ')}",
        response_model=rows, description="Store 1 to 1,000 rows, all or none; an error says which element it was.",
        openapi_extra={"parameters": [IDEMPOTENCY_KEY]},
        responses={201: {"headers": REPLAYED}, **problem_responses(400, 401, 403, 409, 413, 415, 422, 503)},
    )  # fmt: skip


def _batch(schema: Any) -> Any:
    batch: Any = Annotated[list[schema], Body(min_length=1, max_length=1000)]
    return batch


def _change(resource: Resource, endpoints: Endpoints, *, method: str, verb: str) -> GeneratedRoute:
    name = _one(resource)
    return _route(
        resource, "/{id}", policy=resource.write, body=resource.schemas.update, work=endpoints.update_row, writes=True,
        methods=[method], operation_id=f"{verb}_{name}", summary=f"Change a {name.replace('_', ' ')}",
        response_model=resource.schemas.public, description="Change the members that are sent; the others stay.",
        openapi_extra={"parameters": [IF_MATCH]},
        responses={200: {"headers": TAGGED}, **problem_responses(400, 401, 403, 404, 409, 412, 413, 415, 422, 503)},
    )  # fmt: skip


def _change_batch(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name, body = _many(resource), _batch(resource.schemas.batch_update)
    rows: Any = list[resource.schemas.public]  # type: ignore[name-defined]  # the schema is made at run time
    return _route(
        resource, "/batch", policy=resource.write, body=body, work=endpoints.update_rows, writes=True,
        methods=["PATCH"], operation_id=f"update_{name}", summary=f"Change many {name.replace('_', ' ')}",
        response_model=rows, description="Change 1 to 1,000 rows, each named by its id, all or none.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422, 503),
    )  # fmt: skip


def _delete(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name = _one(resource)
    return _route(
        resource, "/{id}", policy=resource.write, work=endpoints.delete_row, writes=True, methods=["DELETE"],
        status_code=204, operation_id=f"delete_{name}", summary=f"Delete a {name.replace('_', ' ')}",
        response_model=None, description="Remove the row; a row that others refer to stays.",
        openapi_extra={"parameters": [IF_MATCH]},
        responses=problem_responses(401, 403, 404, 409, 412, 422, 503),
    )  # fmt: skip


def _delete_batch(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    name, key = _many(resource), TypeAdapter(resource.key.wire).json_schema()
    ids = {
        "name": "ids", "in": "query", "required": True, "description": "The ids, separated by commas.",
        "style": "form", "explode": False, "schema": {"type": "array", "items": key, "uniqueItems": True, **BATCH_LIMITS},
    }  # fmt: skip
    return _route(
        resource, "/batch", policy=resource.write, work=endpoints.delete_rows, writes=True, methods=["DELETE"],
        status_code=204, operation_id=f"delete_{name}", summary=f"Delete many {name.replace('_', ' ')}",
        response_model=None, description="Remove 1 to 1,000 rows, all or none.",
        openapi_extra={"parameters": [ids]},
        responses=problem_responses(401, 403, 404, 409, 422, 503),
    )  # fmt: skip


Build = Callable[[Resource, Endpoints], GeneratedRoute]
_BUILDERS: dict[str, tuple[Build, ...]] = {
    "list": (_list,),
    "create": (_create, _create_batch),
    "get": (_get,),
    "update": (partial(_change, method="PATCH", verb="update"), _change_batch),
    "put": (partial(_change, method="PUT", verb="put"),),
    "delete": (_delete, _delete_batch),
}
