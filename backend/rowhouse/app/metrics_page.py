"""`/metrics`: the numbers of this server for Prometheus, and the operations that they are counted by."""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

import rowhouse
from rowhouse.core.errors import NotAuthenticatedError
from rowhouse.core.openapi import SLO
from rowhouse.core.problems import problem_response
from rowhouse.core.settings import Settings
from rowhouse.http.fastapi_internals import iter_route_contexts
from rowhouse.http.route_tree import RouteTree
from rowhouse.metrics.exposition import media_type, render
from rowhouse.metrics.recorder import Metrics, Operation
from rowhouse.operations.route import GeneratedRoute

PATH = "/metrics"
NO_TOKEN = "Send METRICS_TOKEN as `Authorization: Bearer …`."  # noqa: S105  # nosec B105  # a sentence


def add_metrics_page(app: FastAPI, metrics: Metrics) -> None:
    """Add the route, at the root. A scrape is written in a thread that serves no requests."""

    async def show(request: Request) -> Response:
        settings: Settings = request.app.state.settings
        if not _may_read(request.headers.get("authorization", ""), settings):
            return problem_response(NotAuthenticatedError(NO_TOKEN))
        kind = media_type(request.headers.get("accept", ""))
        text = await run_in_threadpool(
            render, metrics, media_type=kind, version=request.app.version, engine=rowhouse.__version__
        )
        return Response(text, headers={"Content-Type": kind, "Cache-Control": "no-store"})

    app.add_route(PATH, show, methods=["GET"], include_in_schema=False)


def _may_read(authorization: str, settings: Settings) -> bool:
    if settings.metrics_token is None:
        return True
    expected = f"Bearer {settings.metrics_token.get_secret_value()}"
    return hmac.compare_digest(authorization.encode(), expected.encode())


def operations_of(routes: Iterable[BaseRoute], route_tree: RouteTree, settings: Settings) -> list[Operation]:
    """Return every operation of the registries by its id, then the application's own routes, by their id or path.

    A route for HEAD belongs to the operation of its GET.
    """
    found: dict[str, Operation] = {}
    own = [route for route in routes if id(route) not in route_tree.route_ids]
    for name, objective, handler in chain(_registered(route_tree, settings), _own(own)):
        known = found.get(name, Operation(name, objective, ()))
        found[name] = known._replace(handlers=(*known.handlers, id(handler)))
    return list(found.values())


def _registered(route_tree: RouteTree, settings: Settings) -> Iterator[tuple[str, float, object]]:
    """Yield the name of each route, its objective in seconds, and the route."""
    for route in route_tree.routes:
        own = route.slo_ms if isinstance(route, GeneratedRoute) else (route.openapi_extra or {}).get(SLO)
        yield route.unique_id, (own or settings.slo_ms) / 1000, route


def _own(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, float, object]]:
    """Yield the name of each route, no objective, and the endpoint. Starlette puts the endpoint into the scope."""
    for found in iter_route_contexts(routes):
        route = found.original_route
        name = str(getattr(route, "unique_id", None) or getattr(route, "path", type(route).__name__))
        yield name, 0, getattr(route, "endpoint", None) or getattr(route, "app", route)
