"""The two paths of a request through the application, below the middleware (docs/decisions/0013).

Fast path: `RouteTree` finds a generated route; its handler returns the whole response; the response is sent. FastAPI's
error handlers, exit stacks and route matching, which cost as much as the rest of the event loop's work, are not
involved.

Slow path: every other request goes through FastAPI's layers to `RouteDispatcher`, which uses `RouteTree` as well. A
request that failed on the fast path goes there too: the dispatcher raises its error again, where the exception handlers
can see it.
"""

from copy import copy

from fastapi.routing import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rowhouse.app.unregistered_routes import refuse_unregistered
from rowhouse.core.errors import RowhouseError
from rowhouse.http.authorization import error_to_send
from rowhouse.http.fastapi_internals import TELEMETRY, record_route
from rowhouse.http.route_tree import ENTRY, FAILURE, Entry, RouteTree, limit_request
from rowhouse.metrics.recorder import Metrics
from rowhouse.requests.paths import route_path


class FastPath:
    """Handles generated routes itself, and everything else by the slow path: FastAPI's layers."""

    def __init__(
        self, slow_path: ASGIApp, router: APIRouter, route_tree: RouteTree, metrics: Metrics | None = None
    ) -> None:
        self._slow_path = slow_path
        self._metrics = metrics
        self._router = router
        self._route_tree = route_tree

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        if not await self.try_fast_path(scope, receive, send):
            await self._slow_path(scope, receive, send)

    async def try_fast_path(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Return True if the response was sent. False: nothing was sent, and the slow path must handle the request."""
        entry = self._route_tree.select(scope) if scope["type"] == "http" else None
        if entry is None:
            return False
        if self._metrics is not None:
            self._metrics.begin_request(scope, entry.route)
        if entry.fast_handler is None:
            return False
        scope.setdefault("router", self._router)
        if TELEMETRY in scope:
            record_route(scope, entry.route)
        try:
            response = await entry.fast_handler(scope, limit_request(entry, scope, receive))
        except Exception as error:  # noqa: BLE001  the slow path raises it again, inside the exception handlers
            scope[FAILURE] = await error_to_send(error, entry.route, scope)
            return False
        if scope["method"] == "HEAD":
            await _send_head(response, send)
        else:
            await response(scope, receive, send)
        return True


async def _send_head(response: Response, send: Send) -> None:
    """Send the headers alone. The body of a stream is never read."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": b""})


class RouteDispatcher:
    """The innermost layer of the slow path: finds a route in the tree, or else in the application's list."""

    def __init__(self, router: APIRouter, route_tree: RouteTree) -> None:
        self._router = router
        self._route_tree = route_tree
        self._found = route_tree.route_ids
        self._others = copy(router)
        self._others.routes, self._others.default = [], self._not_found
        self._known_routes = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        if scope["type"] == "lifespan":
            await self._router.app(scope, receive, send)
            return
        scope.setdefault("router", self._router)
        if FAILURE in scope:
            raise scope[FAILURE]
        entry: Entry | None = None
        if scope["type"] == "http":
            entry = scope.get(ENTRY) or self._route_tree.select(scope)
        if entry is None:
            await self._dispatch_others(scope, receive, send)
            return
        if TELEMETRY in scope:
            record_route(scope, entry.route)
        try:
            receive = limit_request(entry, scope, receive)
        except (HTTPException, RowhouseError) as error:
            raise await error_to_send(error, entry.route, scope) from None
        await entry.route.app(scope, receive, send)

    async def _dispatch_others(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Try the routes that were added to the application itself, at any time."""
        if self._known_routes != len(self._router.routes):
            others = [route for route in self._router.routes if id(route) not in self._found]
            refuse_unregistered(others)
            self._others.routes = others
            self._known_routes = len(self._router.routes)
        await self._others.app(scope, receive, send)

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise 405 if the tree has the path for other methods, else 404."""
        methods = self._route_tree.methods(route_path(scope)) if scope["type"] == "http" else []
        if methods:
            raise HTTPException(405, headers={"Allow": ", ".join(methods)})
        await self._router.default(scope, receive, send)
