"""Who may use a route, judged before anything else of the request: 401 and 403 come before 404, 413, 415 and 422.

A request that is in order is judged in the hop that it makes anyway. Only where it is about to be refused before that hop, for its
headers, its body or its parameters, a hop of its own looks at the caller first.

An override of `get_caller` in `app.dependency_overrides` takes the place of the credentials on every route.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, request_response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Scope

from rowhouse.core.errors import NotAuthenticatedError, RowhouseError
from rowhouse.core.policy import Policy
from rowhouse.core.security import bearer_token
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.dependencies import get_caller
from rowhouse.http.dependency_tree import Resolver, deferred, overridden, takes_body
from rowhouse.workers.runner import RequestRunner

READING = frozenset({"GET", "HEAD"})
# In the scope: the caller that an override gives, and whether the hop that judges the caller has been asked.
CALLER = "rowhouse_caller"
AUTHORIZATION_STARTED = "rowhouse_asked"
UNAUTHORIZED, SERVER_ERROR = 401, 500


@dataclass(frozen=True, slots=True)
class RouteAuthorization:
    """The policies of a route. Without `reads_credentials` it looks at no `Authorization` header, not even at a wrong one."""

    read: tuple[Policy, ...] = ()
    write: tuple[Policy, ...] = ()
    reads_credentials: bool = True

    def policies(self, method: str) -> tuple[Policy, ...]:
        """All of these have to let the caller pass."""
        return self.read if method in READING else self.write

    def needs_account(self, methods: set[str]) -> bool:
        """Whether some of these methods are closed to nobody."""
        return any(not policy.anyone for method in methods for policy in self.policies(method))

    def authorize(self, unit: UnitOfWork, scope: Scope) -> None:
        """Let the caller pass, in the worker thread.

        Raises:
            NotAuthenticatedError: 401 for no credentials where some are needed, or for some that do not hold.
            PermissionDeniedError: 403 for an account that may not.
        """
        if self.reads_credentials:
            if CALLER in scope:
                unit.caller = overriding_caller(scope[CALLER])
            else:
                authorization = authorization_header(scope)
                if authorization is not None:
                    unit.authenticate(bearer_token(authorization))
        for policy in self.policies(scope["method"]):
            policy.check(unit.caller)

    async def authorize_in_worker(self, scope: Scope) -> None:
        """`authorize` in a hop of its own; without one where nothing has to be looked up.

        Raises:
            RowhouseError: as `authorize`, or 503.
        """
        if not self.reads_credentials:
            return
        if scope["app"].dependency_overrides:
            await resolve_overriding_caller(scope)
        if CALLER not in scope and authorization_header(scope) is None:
            for policy in self.policies(scope["method"]):
                policy.check(None)
            return
        runner: RequestRunner = scope["app"].state.runner
        await runner.run(partial(self.authorize, scope=scope), write=False)


UNRESTRICTED = RouteAuthorization(reads_credentials=False)


def authorization_header(scope: Scope) -> str | None:
    """The `Authorization` header.

    Raises:
        NotAuthenticatedError: 401 for more than one: a proxy may have judged the other one.
    """
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(found) > 1:
        raise NotAuthenticatedError("Send one Authorization header.")
    return found[0].decode("latin-1") if found else None


async def error_to_send(error: Exception, route: APIRoute, scope: Scope) -> Exception:
    """The error to answer with: 401 or 403 where the caller may not use the route, before what is wrong with the request."""
    authorization: RouteAuthorization = getattr(route, "authorization", UNRESTRICTED)
    if AUTHORIZATION_STARTED in scope or not _is_request_error(error):
        return error
    try:
        await authorization.authorize_in_worker(scope)
    except RowhouseError as refusal:
        return refusal
    return error


def _is_request_error(error: Exception) -> bool:
    """Whether a request is refused for what it holds, its credentials apart."""
    if isinstance(error, HTTPException):
        return UNAUTHORIZED != error.status_code < SERVER_ERROR
    if isinstance(error, RowhouseError):
        return UNAUTHORIZED != error.status < SERVER_ERROR
    return isinstance(error, RequestValidationError)


async def resolve_overriding_caller(scope: Scope) -> None:
    """Put into the scope what an override of `get_caller` gives, if there is one.

    Raises:
        TypeError: for an override that cannot be honoured; the message says why.
    """
    overrides = scope["app"].dependency_overrides
    if get_caller not in overrides or CALLER in scope:
        return
    others = {original: override for original, override in overrides.items() if original is not get_caller}
    inner: dict[str, Any] = {name: value for name, value in scope.items() if name != "starlette.exception_handlers"}
    route = APIRoute("/", _recording(overrides[get_caller]), methods=[scope["method"]])
    tree = overridden(route.dependant, others)
    if takes_body(tree):
        raise TypeError(
            "the override of get_caller takes a body, which is the route's; have it take a header or nothing"
        )
    route.dependant = deferred(tree, may_yield=True)
    async with AsyncExitStack() as files:
        inner["fastapi_middleware_astack"] = files  # generated routes are answered outside of FastAPI's own layer
        await request_response(route.get_route_handler())(inner, _receive_nothing, _send_nothing)
    scope[CALLER] = inner[CALLER]


def _recording(override: Any) -> Callable[..., Any]:
    async def keep(request: Request, caller: Annotated[Any, Depends(override)]) -> Response:
        request.scope[CALLER] = caller
        return Response()

    return keep


def overriding_caller(found: Any) -> Any:
    """The caller that `resolve_overriding_caller` has put into the scope, called now where it waited for the worker thread."""
    stack = ExitStack()
    try:
        return Resolver(stack).value(found)
    finally:
        stack.close()


async def _receive_nothing() -> Message:
    raise TypeError("the override of get_caller reads the body, which is the route's; have it take a header or nothing")


async def _send_nothing(_message: Message) -> None:
    """What `resolve_overriding_caller` makes is no answer."""
