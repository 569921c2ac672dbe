"""A FastAPI application with an index of its routes and a fast path to the generated ones (`fast_path`)."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import TracerProvider
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from rowhouse.app.fast_path import FastPath, RouteDispatcher
from rowhouse.app.metrics_page import operations_of
from rowhouse.app.tracing import is_probe, note_trace, trace_work
from rowhouse.app.unregistered_routes import refuse_unregistered
from rowhouse.http.fastapi_internals import TELEMETRY, is_observed, tracer_provider_of, use_exporters
from rowhouse.http.route_tree import RouteTree
from rowhouse.metrics.recorder import Metrics
from rowhouse.requests.paths import route_path

# Options of FastAPI's telemetry. Its log records quote values, and only some routes have its spans of functions.
TELEMETRY_OPTIONS: TelemetryConfig = {"logs": False, "operation_spans": False, "exclude": is_probe}


class Application(FastAPI):
    """FastAPI that finds the routes of `route_tree` by index.

    `outermost` wraps all middleware, whenever it was added. `metrics` counts requests, unless it is None.
    `tracer_provider` records traces; by default that of the process does, if there is one at the start.
    """

    def __init__(
        self,
        route_tree: RouteTree,
        *,
        outermost: Callable[[ASGIApp], ASGIApp],
        metrics: Metrics | None = None,
        tracer_provider: TracerProvider | None = None,
        **options: Any,
    ) -> None:
        super().__init__(telemetry={**TELEMETRY_OPTIONS, "tracer_provider": tracer_provider}, **options)
        self._metrics = metrics
        self.route_tree = route_tree
        self._outermost = outermost
        self._is_observed = False
        self.router.routes.extend(route_tree.routes)
        self.router.middleware_stack = RouteDispatcher(self.router, route_tree)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        if scope.get("root_path") and "app_root_path" not in scope and scope["type"] != "lifespan":
            self._normalize_path(scope)
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
            self.decide_telemetry()
        if scope["type"] != "http" or self.root_path or self._is_observed:
            if scope["type"] == "lifespan":
                use_exporters(self)
            await super().__call__(scope, receive, send)
            return
        # As Starlette does; FastAPI would add its telemetry.
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def decide_telemetry(self) -> None:
        """Decide whether anybody receives traces or metrics: once, when the application starts.

        A request is not checked. An application without a lifespan decides at its first request.
        """
        self._is_observed = is_observed(self)
        provider = tracer_provider_of(self)
        if provider is not None:
            trace_work(self.state, provider)

    def _normalize_path(self, scope: Scope) -> None:
        """Make the path begin with the root path exactly once, as ASGI requires.

        uvicorn puts `--root-path` also before a prefix that the proxy has sent; Starlette's test client leaves it out.
        """
        name = scope["root_path"].strip("/")
        prefix, path = f"/{name}" if name else "", route_path(scope)
        if path.startswith(f"{prefix}/") and not self.route_tree.methods(path):
            path = path.removeprefix(prefix)
        scope["root_path"], scope["path"] = prefix, prefix + path

    def build_middleware_stack(self) -> ASGIApp:
        """Return the layers from the outside in: `outermost`, added middleware, the fast path, FastAPI's own layers.

        Raises:
            TypeError: at start-up, for a route of the application itself that needs a registry.
        """
        refuse_unregistered(route for route in self.routes if id(route) not in self.route_tree.route_ids)
        if self._metrics is not None:
            self._metrics.open(operations_of(self.routes, self.route_tree, self.state.settings))
        added, self.user_middleware = self.user_middleware, []
        slow_path = super().build_middleware_stack()
        app: ASGIApp = FastPath(slow_path, self.router, self.route_tree, self._metrics)
        self.user_middleware = added
        for middleware, arguments, options in reversed(added):
            app = middleware(app, *arguments, **options)
        return _Outermost(self._outermost(app), handler=getattr(slow_path, "handler", None))

    def check_paths(self) -> None:
        """Reject a registry with a path of the application's own, such as `/health`.

        Raises:
            ValueError: at start-up, with the path.
        """
        for route in self.routes:
            path = getattr(route, "path", "")
            if id(route) not in self.route_tree.route_ids and self.route_tree.methods(path):
                raise ValueError(
                    f"{path} is the application's own: give the entity or the hand-written route another path"
                )


class _Outermost(ServerErrorMiddleware):
    """A pass-through where instrumentation expects Starlette's outermost layer. Notes the trace of a request.

    `RequestMiddleware` handles failures.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        if TELEMETRY in scope:
            note_trace(scope)
        await self.app(scope, receive, send)
