"""Authorizes the caller of a request before anything else: 401 and 403 take precedence over 404, 413, 415 and 422.

A valid request is authorized in the worker thread that handles it. A request that is about to be rejected before that,
for its headers, its body or its parameters, is authorized first, in a worker thread of its own.

An override of `get_caller` in `app.dependency_overrides` replaces the credentials on every route.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
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
from rowhouse.http.fastapi_internals import EXIT_STACK, HANDLERS, request_response, tree_of, use_tree
from rowhouse.workers.runner import RequestRunner

READING = frozenset({"GET", "HEAD"})
# Keys of the scope: the caller from an override, and whether authorization in a worker thread has begun.
CALLER = "rowhouse_caller"
AUTHORIZATION_STARTED = "rowhouse_authorization_started"
UNAUTHORIZED, SERVER_ERROR = 401, 500


@dataclass(frozen=True, slots=True)
class RouteAuthorization:
    """The policies of a route.

    Without `reads_credentials` it ignores the `Authorization` header, even an invalid one.
    """

    read: tuple[Policy, ...] = ()
    write: tuple[Policy, ...] = ()
    reads_credentials: bool = True

    def policies(self, method: str) -> tuple[Policy, ...]:
        """Return the policies for a method. The caller must satisfy all of them."""
        return self.read if method in READING else self.write

    def needs_account(self, methods: set[str]) -> bool:
        """Return True if one of these methods needs an account."""
        return any(not policy.anyone for method in methods for policy in self.policies(method))

    def authorize(self, unit: UnitOfWork, scope: Scope) -> None:
        """Authorize the caller, in the worker thread.

        Raises:
            NotAuthenticatedError: 401 for missing or invalid credentials.
            PermissionDeniedError: 403 for an account without the role.
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
        """Authorize the caller in a worker thread of its own, or at once where nothing must be looked up.

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
    """Return the `Authorization` header, or None without one.

    Raises:
        NotAuthenticatedError: 401 for more than one: a proxy may have checked the other.
    """
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(found) > 1:
        raise NotAuthenticatedError("Send one Authorization header.")
    return found[0].decode("latin-1") if found else None


async def error_to_send(error: Exception, route: APIRoute, scope: Scope) -> Exception:
    """Return the error to send: 401 or 403 if the caller may not use the route, else `error`."""
    authorization: RouteAuthorization = getattr(route, "authorization", UNRESTRICTED)
    if AUTHORIZATION_STARTED in scope or not _is_request_error(error):
        return error
    try:
        await authorization.authorize_in_worker(scope)
    except RowhouseError as refusal:
        return refusal
    return error


def _is_request_error(error: Exception) -> bool:
    """Return True if the error is about the request, apart from its credentials."""
    if isinstance(error, HTTPException):
        return UNAUTHORIZED != error.status_code < SERVER_ERROR
    if isinstance(error, RowhouseError):
        return UNAUTHORIZED != error.status < SERVER_ERROR
    return isinstance(error, RequestValidationError)


async def resolve_overriding_caller(scope: Scope) -> None:
    """Call the override of `get_caller`, if there is one, and put its result into the scope.

    Raises:
        TypeError: for an override that cannot be used here; the message says why.
    """
    overrides = scope["app"].dependency_overrides
    if get_caller not in overrides or CALLER in scope:
        return
    others = {original: override for original, override in overrides.items() if original is not get_caller}
    inner: dict[str, Any] = {name: value for name, value in scope.items() if name != HANDLERS}
    route = APIRoute("/", _recording(overrides[get_caller]), methods=[scope["method"]])
    tree = overridden(tree_of(route), others)
    if takes_body(tree):
        raise TypeError(
            "the override of get_caller takes a body, but the body belongs to the route: "
            "have it take a header or nothing"
        )
    use_tree(route, deferred(tree, may_yield=True))
    async with AsyncExitStack() as files:
        inner[EXIT_STACK] = files  # the fast path runs outside of the FastAPI layer that sets it
        await request_response(route.get_route_handler())(inner, _receive_nothing, _send_nothing)
    scope[CALLER] = inner[CALLER]


def _recording(override: Any) -> Callable[..., Any]:
    async def keep(request: Request, caller: Annotated[Any, Depends(override)]) -> Response:
        request.scope[CALLER] = caller
        return Response()

    return keep


def overriding_caller(found: Any) -> Any:
    """Return the caller that `resolve_overriding_caller` has put into the scope. Call a deferred override now."""
    stack = ExitStack()
    try:
        return Resolver(stack).value(found)
    finally:
        stack.close()


async def _receive_nothing() -> Message:
    raise TypeError(
        "the override of get_caller reads the body, but the body belongs to the route: have it take a header or nothing"
    )


async def _send_nothing(_message: Message) -> None:
    """Send nothing: `resolve_overriding_caller` runs a route only for its dependencies."""
