"""Every operation is a route that rate limits, metrics and traces can see and name by its template."""

from collections.abc import Iterator
from copy import copy
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from slowapi import Limiter
from slowapi.middleware import SlowAPIASGIMiddleware
from slowapi.util import get_remote_address
from starlette.routing import Match
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from rowhouse.http.routing import Router
from rowhouse.operations.route import GeneratedRoute
from tests.core.conftest import build_shop
from tests.fast_client import QuickClient
from tests.openapi_documents import document_of
from tests.sample_entities.application import create_app

GET_BOOK, EXPORT = "/api/v1/books/{id}", "/api/v1/books/export"
# A request and the template of the operation that answers it: on the fast path, by hand, with a slash, refused, at the
# root.
REQUESTS = [
    ("GET", "/api/v1/books", "/api/v1/books"),
    ("GET", "/api/v1/books/", "/api/v1/books"),
    ("GET", "/api/v1/books/1", GET_BOOK),
    ("HEAD", "/api/v1/books/1", GET_BOOK),
    ("GET", "/api/v1/books/1/", GET_BOOK),
    ("GET", "/api/v1/books/export", EXPORT),
    ("PATCH", "/api/v1/books/batch", "/api/v1/books/batch"),
    ("PATCH", "/api/v1/books/1", GET_BOOK),
    ("GET", "/api/v1/users/me", "/api/v1/users/me"),
    ("POST", "/api/v1/bookings/1/cancel", "/api/v1/bookings/{id}/cancel"),
    ("GET", "/health", "/health"),
]


class Watch:
    """Middleware that keeps what its inside left in the scope."""

    def __init__(self, app: ASGIApp, seen: list[Scope]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        try:
            await self._app(scope, receive, send)
        finally:
            self._seen.append(scope)


@pytest.fixture
def app(sqlite_url: str) -> FastAPI:
    """The product on SQLite, for nothing here depends on the database; a test may change it."""
    return build_shop(sqlite_url)


@pytest.fixture(scope="module")
def product(sqlite_url: str) -> FastAPI:
    """The same for tests that only look at its routes."""
    return build_shop(sqlite_url)


@pytest.fixture(scope="module")
def watched(sqlite_url: str) -> Iterator[tuple[TestClient, list[Scope]]]:
    """A client of the product, and the scopes that a middleware of it has seen."""
    app, scopes = build_shop(sqlite_url), list[Scope]()
    app.add_middleware(Watch, seen=scopes)
    with QuickClient(app) as client:
        yield client, scopes


@pytest.fixture
def seen(app: FastAPI) -> list[Scope]:
    """The scopes that a middleware of the application has seen."""
    scopes: list[Scope] = []
    app.add_middleware(Watch, seen=scopes)
    return scopes


@pytest.fixture
def client(app: FastAPI, seen: list[Scope]) -> Iterator[TestClient]:
    """A client of it, with a middleware."""
    with QuickClient(app) as client:
        yield client


def test_every_documented_operation_is_a_route(product: FastAPI) -> None:
    """With its full path, its methods and its name."""
    documented = {
        (method.upper(), path, operation["operationId"])
        for path, item in document_of(create_app)["paths"].items()
        for method, operation in item.items()
    }
    routes = [route for route in product.routes if isinstance(route, APIRoute) and route.include_in_schema]
    found = {(method, route.path, route.unique_id) for route in routes for method in route.methods or ()}
    assert found == documented
    assert all(route.path_format == route.path and callable(route.endpoint) for route in routes)
    names = [route.endpoint.__name__ for route in routes if hasattr(route, "fast_handler")]
    assert len(names) == len(set(names))


def test_a_route_outside_an_application_has_the_pattern_of_its_path(product: FastAPI) -> None:
    """In an application it matches the paths that find it, and none of another route's."""
    placed = next(route for route in product.routes if isinstance(route, GeneratedRoute) and route.path == GET_BOOK)
    alone = copy(placed)
    for name in ("make_path_regex", "path_regex"):
        vars(alone).pop(name, None)
    assert alone.path_regex.match(EXPORT)
    assert not placed.path_regex.match(EXPORT)


@pytest.mark.parametrize(("method", "path", "template"), REQUESTS)
def test_one_route_matches_a_request(product: FastAPI, method: str, path: str, template: str) -> None:
    """Whoever asks each in turn, the first that matches and the last are the same."""
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    found = [route for route in product.routes if route.matches(scope)[0] is Match.FULL]
    assert [getattr(route, "path", None) for route in found] == [template]


@pytest.mark.parametrize("path", ["/api/v1/books//", "/api/v1/books/1\n", "/api/v1/books/1/2", "/api/v1", "/api/v10"])
def test_no_route_matches_what_is_not_found(product: FastAPI, path: str) -> None:
    """What the index does not find, no route claims."""
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    answered = path.endswith("\n")  # an id with a line break is looked up, and is 422
    assert any(route.matches(scope)[0] is Match.FULL for route in product.routes) is answered


@pytest.mark.parametrize(("method", "path", "template"), REQUESTS)
def test_the_scope_says_which_route_answered(
    watched: tuple[TestClient, list[Scope]], method: str, path: str, template: str
) -> None:
    """As Sentry, OpenTelemetry and starlette-exporter read it afterwards."""
    client, seen = watched
    client.request(method, path)
    assert seen[-1].get("route", seen[-1].get("endpoint")) is not None
    if template != "/health":  # Starlette's own router says no route of a plain one
        assert (seen[-1]["route"].path, seen[-1]["route"].path_format) == (template, template)
    assert callable(seen[-1]["endpoint"])
    assert seen[-1]["router"].routes == client.app.routes  # type: ignore[attr-defined]  # it is a FastAPI


def test_a_mounts_parameters_stay(app: FastAPI, seen: list[Scope]) -> None:
    """Beside those of the route."""
    outer = FastAPI()
    outer.mount("/{tenant}", app)
    with QuickClient(outer) as client:
        assert client.get("/acme/api/v1/books/0").status_code == 404
    assert seen[-1]["path_params"] == {"tenant": "acme", "id": "0"}


def test_slowapi_limits_each_operation(app: FastAPI) -> None:
    """It looks for the endpoint among the application's routes, and takes the last."""
    app.state.limiter = Limiter(key_func=get_remote_address, default_limits=["2/minute"])
    app.add_middleware(SlowAPIASGIMiddleware)
    with QuickClient(app) as client:
        assert [client.get("/api/v1/books").status_code for _ in range(3)] == [200, 200, 429]
        assert client.head("/api/v1/books").status_code == 429
        assert client.get("/api/v1/categories").status_code == 200
        assert [client.post("/api/v1/auth/logout", json={}).status_code for _ in range(3)] == [422, 422, 429]


def test_the_prometheus_instrumentator_names_each_operation(app: FastAPI) -> None:
    """By its template, not by its path."""
    registry = CollectorRegistry()
    Instrumentator(registry=registry).instrument(app)
    with QuickClient(app) as client:
        for method, path, _ in REQUESTS:
            client.request(method, path)
    handlers = {
        sample.labels["handler"]
        for metric in registry.collect()
        for sample in metric.samples
        if metric.name == "http_requests"
    }
    assert handlers == {template for _, _, template in REQUESTS}


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """What was traced."""
    return InMemorySpanExporter()


def provider(spans: InMemorySpanExporter) -> TracerProvider:
    """A provider of tracers that writes to memory."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(spans))
    return made


def served(spans: InMemorySpanExporter) -> list[tuple[str, Any]]:
    """The name and the route of each span of a request."""
    found = [span for span in spans.get_finished_spans() if "http.route" in (span.attributes or {})]
    return [(span.name, (span.attributes or {})["http.route"]) for span in found]


TRACED = [request for request in REQUESTS if request[0] != "HEAD"]


def test_fastapis_own_telemetry_names_each_operation(app: FastAPI, spans: InMemorySpanExporter) -> None:
    """Also on the fast path, and where it is refused. Probes are not traced."""
    app._telemetry.update({"tracer_provider": provider(spans), "metrics": False, "logs": False})
    with QuickClient(app) as client:
        for method, path, _ in REQUESTS:
            client.request(method, path)
        client.get("/api/v1/nowhere")
    expected = [(f"{method} {template}", template) for method, _, template in REQUESTS if template != "/health"]
    assert served(spans) == expected


def test_opentelemetrys_instrumentation_names_each_operation(app: FastAPI, spans: InMemorySpanExporter) -> None:
    """It takes Starlette's outermost layer apart, and the answers carry the edge's headers all the same."""
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider(spans), meter_provider=MeterProvider())
    with QuickClient(app) as client:
        answers = [client.request(method, path) for method, path, _ in TRACED]
    assert served(spans) == [(f"{method} {template}", template) for method, _, template in TRACED]
    assert all(answer.headers["x-frame-options"] == "DENY" for answer in answers)
    FastAPIInstrumentor.uninstrument_app(app)


def test_a_generated_route_answers_by_itself(app: FastAPI, client: TestClient) -> None:
    """For who takes the routes and not the application, as a router of Starlette's does."""
    outer = FastAPI()
    outer.state = app.state
    outer.router.routes.extend(route for route in app.routes if getattr(route, "path", "") == "/api/v1/books")
    with TestClient(outer) as other:
        assert other.get("/api/v1/books").json() == client.get("/api/v1/books").json()


def test_routes_can_be_added_to_the_application_itself(app: FastAPI) -> None:
    """At any time, also below the prefix and beside other methods of a path; what is registered goes first."""
    with QuickClient(app) as client:
        assert client.get("/api/v1/ping").status_code == 404

        @app.get("/api/v1/ping")
        def ping() -> str:
            return "pong"

        @app.options("/api/v1/books")
        def options() -> str:
            return "mine"

        @app.get("/api/v1/categories")
        def categories() -> str:
            return "never"

        assert client.get("/api/v1/ping").json() == "pong"
        assert client.options("/api/v1/books").json() == "mine"
        assert client.get("/api/v1/categories").json() != "never"
        assert client.get("/api/v1/nowhere").status_code == 404


def test_a_router_of_the_registry_is_shared_between_applications(sqlite_url: str) -> None:
    """Each application has routes of its own; the router's stay as they were written."""
    router = Router(prefix="/probes")

    @router.get("/{name}")
    def probe(name: str) -> str:
        return name

    build_shop(sqlite_url, router)
    app = build_shop(sqlite_url, router)
    assert [getattr(route, "path", None) for route in router.routes] == ["/probes/{name}"]
    assert app.url_path_for("probe", name="x") == "/api/v1/probes/x"
