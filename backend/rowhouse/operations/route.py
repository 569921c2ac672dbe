"""One generated route: a FastAPI route for OpenAPI, with a handler for the fast path (decision 0013).

The handler reads the body, runs the operation in a worker thread and returns its response. FastAPI's dependency
solving is not needed, because the schemas that describe the input also parse it.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Path
from fastapi.routing import APIRoute
from starlette.convertors import CONVERTOR_TYPES
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from rowhouse.core.openapi import KEY_MEMBERS, SLO, response_header
from rowhouse.core.policy import Policy
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import plural, singular_snake, with_article
from rowhouse.http.authorization import AUTHORIZATION_STARTED, RouteAuthorization, resolve_overriding_caller
from rowhouse.http.dependencies import oauth2_scheme
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.response_schemas import ResponseSchema
from rowhouse.query.parameters import schema_of
from rowhouse.query.resource import Resource
from rowhouse.requests.accepted_body import AcceptedBody
from rowhouse.workers.runner import RequestRunner

LOCATED = response_header("Location", "The path of the new row.")
"""The header `Location` in OpenAPI, for a hand-written route that creates a row.

Example:
    @router.post("", status_code=201, responses={201: {"headers": {**LOCATED, **TAGGED}}})
    def place_order(unit: UnitDep, caller: CallerDep) -> OrderPublic: ...
"""
TAGGED = response_header("ETag", "The version of the row, for `If-Match` and `If-None-Match`.")
"""The header `ETag` in OpenAPI, for a hand-written route that returns a row with its version.

Example:
    @router.post("/{id}/publish", responses={200: {"headers": TAGGED}})
    def publish_post(post_id: PostId, posts: PostsDep, unit: UnitDep) -> Row: ...
"""
MINIMAL = {"description": "Stored. The client prefers no content, or may not read the row."}
Work = Callable[[OperationRequest, UnitOfWork], Response]
FastHandler = Callable[[Scope, Receive], Awaitable[Response]]


async def read_body(receive: Receive) -> bytes:
    """Return the whole body, whose length is limited before.

    If the client goes away, it is a part, which is not valid JSON.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body


class Deferred(NamedTuple):
    """An option of a route whose value is made when the OpenAPI document is built."""

    make: Callable[[], Any]


class GeneratedRoute(APIRoute):
    """One generated operation. `policy` says who may call it; `accepted_body` describes a body that is not JSON.

    The fast path calls `fast_handler`, for HEAD `head_handler`, and sends its response, without FastAPI's layers.
    `documented` is a function for OpenAPI only; its name identifies the operation in rate limits and traces. `body` is
    the type of a JSON body.

    `options` are FastAPI's. FastAPI reads them when something uses an attribute that only FastAPI computes; reading
    them at the start would take seconds for a hundred entities. `rowhouse.operations.described` writes the OpenAPI
    document.
    """

    def __init__(  # noqa: PLR0913  all but the path by keyword
        self,
        path: str,
        *,
        fast_handler: FastHandler,
        documented: Callable[..., None],
        signature: Callable[[], inspect.Signature],
        policy: Policy,
        accepted_body: AcceptedBody | None,
        body: Any,
        path_parameter: Callable[[], dict[str, Any]] | None,
        head_handler: FastHandler | None = None,
        **options: Any,
    ) -> None:
        self._options = options
        self.path = path
        self.path_format, self.param_convertors = path, {"id": CONVERTOR_TYPES["str"]} if "{id}" in path else {}
        self.endpoint, self.make_signature = documented, signature
        self.name = self.operation_id = self.unique_id = options["operation_id"]
        self.methods, self.include_in_schema = set(options["methods"]), True
        self.policy = policy
        self.authorization = RouteAuthorization(read=(policy,), write=(policy,))
        self.accepted_body = accepted_body
        self.body, self.path_parameter = body, path_parameter
        self.fast_handler = fast_handler
        self.head_handler = head_handler or fast_handler
        self.slo_ms: int | None = None
        self.app = self._answer

    def __getattr__(self, name: str) -> Any:
        """Let FastAPI read the options, and return the attribute."""
        if name == "path_regex":
            self.path_regex = self.make_path_regex()
            return self.path_regex
        if name.startswith("_") or "dependant" in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        own = {**self.__dict__, "path_regex": self.path_regex}
        self.endpoint.__signature__ = self.make_signature()  # type: ignore[attr-defined]  # read by inspect.signature
        super().__init__(self.path, self.endpoint, **_for_fastapi(self.described()))
        self.__dict__.update(own)
        return getattr(self, name)

    def make_path_regex(self) -> re.Pattern[str]:
        """Return the pattern of the path. The route tree replaces this function by one that knows the other paths."""
        return compile_path(self.path)[0]

    def described(self) -> dict[str, Any]:
        """Return FastAPI's options."""
        made = {key: value.make() if isinstance(value, Deferred) else value for key, value in self._options.items()}
        if self.slo_ms is not None:
            made["openapi_extra"] = {**made.get("openapi_extra", {}), SLO: self.slo_ms}
        return made

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that nothing calls: requests go to `fast_handler`."""
        return self.endpoint

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.fast_handler(scope, receive)
        await response(scope, receive, send)


def _for_fastapi(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options without the responses that only our own document describes."""
    responses = {
        status: {word: part for word, part in response.items() if not isinstance(part, ResponseSchema)}
        for status, response in options["responses"].items()
    }
    is_written = isinstance(options.get("response_model"), ResponseSchema)
    return {**options, "responses": responses, **({"response_model": None} if is_written else {})}


def run_in_worker(work: Work, *, writes: bool, reads_body: bool) -> FastHandler:
    """Return a handler that reads the body and runs `work` in a worker thread."""

    async def fast_handler(scope: Scope, receive: Receive) -> Response:
        runner: RequestRunner = scope["app"].state.runner
        if scope["app"].dependency_overrides:
            await resolve_overriding_caller(scope)
        body = await read_body(receive) if reads_body else b""
        scope[AUTHORIZATION_STARTED] = True
        return await runner.run(partial(work, OperationRequest(scope, body)), write=writes)

    return fast_handler


def generated_route(
    resource: Resource,
    tail: str,
    *,
    work: Work,
    writes: bool,
    head: Work | None = None,
    body: Any = None,
    **options: Any,
) -> GeneratedRoute:
    """Return the route at `tail` below the resource's path that runs `work`, for HEAD `head`.

    `options` are those of `route_of`.
    """
    return route_of(
        resource,
        tail,
        head_handler=None if head is None else run_in_worker(head, writes=False, reads_body=False),
        # A POST without a body reads it too, to reject members that it would ignore.
        fast_handler=run_in_worker(work, writes=writes, reads_body=body is not None or "POST" in options["methods"]),
        body=body,
        **options,
    )


def route_of(
    resource: Resource,
    tail: str,
    *,
    fast_handler: FastHandler,
    policy: Policy,
    body: Any = None,
    accepted_body: AcceptedBody | None = None,
    **options: Any,
) -> GeneratedRoute:
    """Return the route at `tail` below the resource's path with this handler. `options` are FastAPI's."""
    is_of_row = "{id}" in tail

    def documented() -> None:
        """Carry the signature for OpenAPI. Requests go to `fast_handler`."""

    documented.__name__ = documented.__qualname__ = options["operation_id"]
    return GeneratedRoute(
        f"/{resource.path}{tail}",
        fast_handler=fast_handler,
        documented=documented,
        signature=partial(_signature, resource, body, is_of_row=is_of_row),
        policy=policy,
        accepted_body=accepted_body,
        body=body,
        path_parameter=partial(_path_parameter, resource) if is_of_row else None,
        tags=[resource.path],
        dependencies=[] if policy.anyone else [Depends(oauth2_scheme)],
        **options,
    )


def _signature(resource: Resource, body: Any, *, is_of_row: bool) -> inspect.Signature:
    """Return the signature of an operation for FastAPI."""
    given: dict[str, Any] = {}
    if is_of_row:
        given["id"] = Annotated[path_key(resource), Path(description=f"The id of the {resource.name}.")]
    if body is not None:
        given["body"] = body
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature([inspect.Parameter(name, kind, annotation=one) for name, one in given.items()])


def _path_parameter(resource: Resource) -> dict[str, Any]:
    """Return the parameter `{id}` for OpenAPI."""
    description, schema = "The id of the row.", schema_of(path_key(resource))
    if resource.key.is_composite:
        description = f"The key of the row: {resource.key.label}, separated by a comma."
    elif resource.key.label != "id":
        description = f"The {resource.key.label} of the row."
    described = {"name": "id", "in": "path", "required": True, "description": description, "schema": schema}
    return described if resource.key.label == "id" else {**described, KEY_MEMBERS: list(resource.key.names)}


def path_key(resource: Resource) -> Any:
    """Return the type of the key in a path, for OpenAPI. A key of several columns is a text."""
    return str if resource.key.is_composite else resource.key.columns[0].annotation


def row_id(entity: str) -> Any:
    """Mark a parameter as the `{id}` of a hand-written route, for a 32-bit key that the database counts up.

    Example:
        BookId = Annotated[int, row_id("Book")]
    """
    return Path(alias="id", ge=-(2**31), le=2**31 - 1, description=f"The id of the {entity}.")


def unread(resource: Resource, policy: Policy) -> dict[int, Any]:
    """Return the response 204 of an operation for callers who may not read the row; none if all of them may."""
    return {} if resource.read.includes(policy) else {204: {**MINIMAL, "headers": TAGGED}}


def on_parameter(keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return the parameter `on` for OpenAPI; none for an entity without unique keys."""
    names = list(keys)
    if not names:
        return []
    text = "A unique key: rows that exist with its values are changed, the others created."
    described = {"name": "on", "in": "query", "required": False, "description": text}
    return [{**described, "schema": {"type": "string", "enum": names}}]


def singular_name(resource: Resource) -> str:
    """Return the name of one row in an operation id: `charge_point`."""
    return singular_snake(resource.name)


def one_row(resource: Resource) -> str:
    """Return one row in the words of a summary: `a charge point`, `an order`."""
    return with_article(singular_name(resource).replace("_", " "))


def plural_name(resource: Resource) -> str:
    """Return the name of many rows in an operation id: `charge_points`."""
    return plural(resource.name).replace("-", "_")
