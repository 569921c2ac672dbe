"""FastAPI with an index in front of its router, and a fast path to the routes that need none of its layers.

A generated route sends nothing before its answer is made. FastAPI's error handlers, exit stack and
matching of routes, which cost as much as the rest of the loop's part in it, stand aside for it until something goes wrong.
"""

import time
from collections.abc import Callable
from copy import copy
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRouter

# What FastAPI's own router tells its telemetry; there is no public way.
from fastapi.telemetry._api import _route_selected
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rowhouse.app.unregistered_routes import refuse_unregistered
from rowhouse.core.errors import RowhouseError
from rowhouse.http.authorization import error_to_send
from rowhouse.http.route_tree import ENTRY, FAILURE, Entry, RouteTree, limit_request
from rowhouse.requests.paths import route_path

TELEMETRY = "fastapi.telemetry"
# Where nobody listens to traces or metrics, for so long nobody is taken to have begun.
TELEMETRY_SECONDS = 1.0


class Application(FastAPI):
    """FastAPI that finds the routes of `route_tree` in it; `outermost` makes the layer that is around all others, whenever they are added."""

    def __init__(self, route_tree: RouteTree, *, outermost: Callable[[ASGIApp], ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self.route_tree = route_tree
        self._outermost = outermost
        self._telemetry_is_on, self._ask_telemetry_at = False, 0.0
        self.router.routes.extend(route_tree.routes)
        self.router.middleware_stack = _Dispatch(self.router, route_tree)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope.get("root_path") and "app_root_path" not in scope and scope["type"] != "lifespan":
            self._tidy_path(scope)
        if scope["type"] != "http" or self.root_path or self._is_observed():
            await super().__call__(scope, receive, send)
        else:
            await Starlette.__call__(self, scope, receive, send)

    def _is_observed(self) -> bool:
        """Whether FastAPI's own telemetry has somebody to tell. It looks through the environment, so it is asked once a second."""
        present = time.monotonic()
        if present >= self._ask_telemetry_at:
            self._telemetry_is_on = self._native_telemetry.enabled()
            self._ask_telemetry_at = present + TELEMETRY_SECONDS
        return self._telemetry_is_on

    def _tidy_path(self, scope: Scope) -> None:
        """Have the path begin with the root path, once, as ASGI says.

        uvicorn puts `--root-path` also before the prefix that a proxy has sent; Starlette's test client leaves it out.
        """
        name = scope["root_path"].strip("/")
        prefix, path = f"/{name}" if name else "", route_path(scope)
        if path.startswith(f"{prefix}/") and not self.route_tree.methods(path):
            path = path.removeprefix(prefix)
        scope["root_path"], scope["path"] = prefix, prefix + path

    def build_middleware_stack(self) -> ASGIApp:
        """The edge, around the middleware that was added, around the fast path, around FastAPI's own layers.

        Raises:
            TypeError: at start-up, for a route of the application itself that needs a registry.
        """
        refuse_unregistered(route for route in self.routes if id(route) not in self.route_tree.route_ids)
        added, self.user_middleware = self.user_middleware, []
        ordinary = super().build_middleware_stack()
        app: ASGIApp = _FastPath(ordinary, self.router, self.route_tree)
        self.user_middleware = added
        for middleware, arguments, options in reversed(added):
            app = middleware(app, *arguments, **options)
        return _Outermost(self._outermost(app), handler=getattr(ordinary, "handler", None))

    def check_paths(self) -> None:
        """Refuse a registry that would answer at a path of the application's own, such as `/health`.

        Raises:
            ValueError: at start-up, with both paths.
        """
        for route in self.routes:
            path = getattr(route, "path", "")
            if id(route) not in self.route_tree.route_ids and self.route_tree.methods(path):
                raise ValueError(
                    f"{path} is the application's own: give the entity or the hand-written route another path"
                )


class _Outermost(ServerErrorMiddleware):
    """Stands where instrumentation expects Starlette's outermost layer, and only passes on: the edge answers what goes wrong."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        await self.app(scope, receive, send)


class _FastPath:
    """Answers generated routes at once. Everything else, and whatever goes wrong, goes through FastAPI's layers."""

    def __init__(self, ordinary: ASGIApp, router: APIRouter, route_tree: RouteTree) -> None:
        self._ordinary = ordinary
        self._router = router
        self._route_tree = route_tree

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        entry = self._route_tree.select(scope) if scope["type"] == "http" else None
        if entry is None or entry.fast_handler is None:
            await self._ordinary(scope, receive, send)
            return
        scope.setdefault("router", self._router)
        if TELEMETRY in scope:
            _route_selected(scope=scope, path=entry.route.path_format)
        try:
            response = await entry.fast_handler(scope, limit_request(entry, scope, receive))
        except Exception as error:  # noqa: BLE001  the router raises it where FastAPI's handlers, and those that were added to it, are
            scope[FAILURE] = await error_to_send(error, entry.route, scope)
            await self._ordinary(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            await _send_head(response, send)
        else:
            await response(scope, receive, send)


async def _send_head(response: Response, send: Send) -> None:
    """Send the headers alone: the rest of a stream is never asked for."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": b""})


class _Dispatch:
    """The router's way to a route: the directory's routes by their path, then the others one after the other, as FastAPI does."""

    def __init__(self, router: APIRouter, route_tree: RouteTree) -> None:
        self._router = router
        self._route_tree = route_tree
        self._found = route_tree.route_ids
        self._others = copy(router)
        self._others.routes, self._others.default = [], self._refuse
        self._seen = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
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
            await self._among_others(scope, receive, send)
            return
        if TELEMETRY in scope:
            _route_selected(scope=scope, path=entry.route.path_format)
        try:
            receive = limit_request(entry, scope, receive)
        except (HTTPException, RowhouseError) as error:
            raise await error_to_send(error, entry.route, scope) from None
        await entry.route.app(scope, receive, send)

    async def _among_others(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look among what was added to the application itself, at any time."""
        if self._seen != len(self._router.routes):
            others = [route for route in self._router.routes if id(route) not in self._found]
            refuse_unregistered(others)
            self._others.routes = others
            self._seen = len(self._router.routes)
        await self._others.app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """405 where the directory has the path for other methods, else 404."""
        methods = self._route_tree.methods(route_path(scope)) if scope["type"] == "http" else []
        if methods:
            raise HTTPException(405, headers={"Allow": ", ".join(methods)})
        await self._router.default(scope, receive, send)
