"""Traces: one span for each request, with its route; below it the wait, the statements and the commit."""

import gzip
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar, NamedTuple

import pytest
import sqlalchemy as sa
import structlog
from fastapi import FastAPI
from fastapi.telemetry import _runtime
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ANYONE, Registry, Router, UnitDep
from rowhouse.app import request_middleware
from rowhouse.app.tracing import HIDDEN
from rowhouse.core import error_causes
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.traces.spans import WAIT, Traces, summary_of
from rowhouse.traces.statements import record_session_statements
from rowhouse.workers.pool import PoolTimeoutError
from tests.admin.browser import Browser
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ROOT, settings_for, sign_in, small_registry, unique
from tests.fast_client import QuickClient
from tests.sample_entities.shop.models import Category
from tests.sample_entities.shop.models import metadata as shop_metadata
from tests.sample_entities.shop.registry import registry as shop

API = "/api/v1"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SELECT_ONE = sa.select(Category.__table__.c.id).limit(1)  # type: ignore[attr-defined]  # of mapped classes
probes = Router(prefix="/probes", policy=ANYONE)


@probes.get("/{name}")
def probe(name: str, unit: UnitDep) -> int:
    """Run a statement of the session."""
    return int(unit.session.scalar(sa.text("SELECT 40 + :more"), {"more": len(name)}) or 0)


@probes.post("")
def fail(unit: UnitDep) -> None:
    """Flush a row that breaks a constraint, at the commit."""
    unit.session.add_all([Category(name="twice"), Category(name="twice")])


@probes.put("")
def store_and_read(unit: UnitDep) -> None:
    """Read by a compiled statement after storing by the session."""
    unit.session.add(Category(name=unique("by session")))
    unit.fetch(SELECT_ONE, {})


@probes.delete("")
def break_statement(unit: UnitDep) -> None:
    """Run a statement that the database refuses."""
    unit.session.execute(sa.text("SELECT * FROM nowhere"))


class Traced(NamedTuple):
    """A client of a traced application, and the spans that it records."""

    client: TestClient
    exporter: InMemorySpanExporter

    def spans(self) -> Sequence[ReadableSpan]:
        """Return the spans since the last call, the request's first."""
        found = sorted(self.exporter.get_finished_spans(), key=lambda span: (span.parent is not None, span.start_time))
        self.exporter.clear()
        return found

    def request(self, method: str, path: str, **options: Any) -> Sequence[ReadableSpan]:
        """Return the spans of a request."""
        self.spans()
        self.client.request(method, path, **options)
        return self.spans()


def registry_of_shop() -> Registry:
    """Categories, vehicles, bookings with their steps, and the hand-written routes of this file."""
    registry = small_registry()
    registry.registrations = {**registry.registrations, "bookings": shop.registrations["bookings"]}
    registry.registrations["charge-points"] = shop.registrations["charge-points"]
    registry.include(probes)
    return registry


def build(url: str, provider: Any = None, **options: Any) -> FastAPI:
    """Return an application whose traces go to a provider."""
    return rowhouse.create_app(
        registry_of_shop(), settings=settings_for(url, **options), metadata=shop_metadata, tracer_provider=provider
    )


@pytest.fixture(scope="module")
def traced(shop_url: str) -> Iterator[Traced]:
    """A traced application on each database, with the access log."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with QuickClient(build(shop_url, provider, access_log=True)) as client:
        yield Traced(client, exporter)


@pytest.fixture(scope="module")
def admin(traced: Traced) -> dict[str, str]:
    """The headers of an administrator."""
    return sign_in(traced.client, ADMIN_EMAIL, ADMIN_PASSWORD)


class Lines:
    """Collects the lines of a log, each with the context of its request."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def write(self, event: str, **values: Any) -> None:
        """Add a line."""
        self.found.append({**structlog.contextvars.get_contextvars(), **values, "event": event})

    info = error = write


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The access log, and the causes of failures."""
    collected = Lines()
    monkeypatch.setattr(request_middleware, "log", collected)
    monkeypatch.setattr(error_causes, "log", collected)
    return collected.found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


@pytest.mark.parametrize(
    ("method", "path", "route", "operation", "status"),
    [
        ("GET", "/categories/987654321", "/categories/{id}", "get_category", 404),
        ("HEAD", "/categories", "/categories", "list_categories", 200),
        ("POST", "/bookings/1/confirm", "/bookings/{id}/confirm", "confirm_booking", 401),
        ("GET", "/probes/a", "/probes/{name}", "probe", 200),
    ],
)
def test_a_request_is_a_span_with_its_route_and_operation(
    traced: Traced, method: str, path: str, route: str, operation: str, status: int
) -> None:
    """Generated and hand-written routes, steps, and refused requests alike."""
    span = traced.request(method, API + path)[0]
    assert (span.name, span.kind) == (f"{method} {API}{route}", SpanKind.SERVER)
    found = attributes(span)
    assert found["http.route"] == API + route
    assert (found["http.request.method"], found["http.response.status_code"]) == (method, status)
    assert found["rowhouse.operation"] == operation


def test_an_unknown_path_has_no_route(traced: Traced) -> None:
    """So that its spans stay one group, whatever clients ask for."""
    (span,) = traced.request("GET", "/unknown/1")
    assert (span.name, attributes(span)["http.response.status_code"]) == ("GET", 404)
    assert not {"http.route", "rowhouse.operation"} & attributes(span).keys()


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probes_are_not_traced(traced: Traced, path: str, lines: list[dict[str, Any]]) -> None:
    """They would outnumber the requests of clients."""
    assert traced.request("GET", path) == []
    assert [("trace_id" in line, line["status"]) for line in lines] == [(False, 200)]


def test_a_read_waits_and_runs_its_statements(traced: Traced, backend: str) -> None:
    """Each is a child of the request. The text of a statement has no values."""
    request, wait, *statements = traced.request("GET", f"{API}/categories?name=Secret&size=1")
    assert (wait.name, attributes(wait)) == (WAIT, {"rowhouse.threads": "default"})
    assert {span.name for span in statements} == {"SELECT categories"}
    assert {span.kind for span in statements} == {SpanKind.CLIENT}
    for span in (wait, *statements):
        assert span.parent is not None
        assert request.context is not None
        assert (span.parent.span_id, span.parent.trace_id) == (request.context.span_id, request.context.trace_id)
    found = attributes(statements[0])
    assert found["db.system.name"] == backend
    assert found["db.query.text"].startswith("SELECT")
    assert not [span for span in (request, *statements) if "Secret" in span.to_json()]
    assert attributes(request)["url.query"] == f"name={HIDDEN}&size={HIDDEN}"


def test_a_write_ends_with_its_commit(traced: Traced, admin: dict[str, str], backend: str) -> None:
    """SQLite's wait for its one writer is part of the span of BEGIN."""
    spans = traced.request("POST", f"{API}/categories", json={"name": unique("traced")}, headers=admin)
    names = [span.name for span in spans[1:]]
    assert (names[0], names[-1]) == (WAIT, "COMMIT")
    assert "INSERT categories" in names
    assert names.count("BEGIN") == (backend == "sqlite")


def test_statements_of_a_session_are_recorded(traced: Traced) -> None:
    """With their placeholders."""
    found = [attributes(span) for span in traced.request("GET", f"{API}/probes/four")]
    (text,) = [one["db.query.text"] for one in found if "db.query.text" in one and "40" in one["db.query.text"]]
    assert text.startswith("SELECT 40")
    assert "4" not in text.removeprefix("SELECT 40")
    request, *spans = traced.request("PUT", f"{API}/probes")
    assert request.context is not None
    assert [span.name for span in spans][-3:] == ["INSERT categories", "SELECT categories", "COMMIT"]
    assert {span.parent and span.parent.span_id for span in spans} == {request.context.span_id}, (
        "a flush is not part of the statement that needs it"
    )


def test_a_failed_statement_names_its_error(traced: Traced, admin: dict[str, str], backend: str) -> None:
    """By its class. The message would quote the row."""
    body = {"name": unique("taken")}
    traced.client.post(f"{API}/categories", json=body, headers=admin)
    unique_error = {"sqlite": "IntegrityError", "postgresql": "UniqueViolation"}[backend]
    for options in ({"path": f"{API}/categories", "json": body, "headers": admin}, {"path": f"{API}/probes"}):
        spans = traced.request("POST", **options)
        assert attributes(spans[0])["http.response.status_code"] == 409
        (failed,) = [span for span in spans if span.status.status_code is StatusCode.ERROR]
        assert failed.name == "INSERT categories"
        assert attributes(failed)["error.type"] == unique_error
        assert not failed.events
        assert "COMMIT" not in [span.name for span in spans]


def test_a_server_error_is_an_error(traced: Traced) -> None:
    """Of the request's span too, without the message."""
    spans = traced.request("DELETE", f"{API}/probes")
    assert [span.name for span in spans if span.status.status_code is StatusCode.ERROR] == [
        f"DELETE {API}/probes",
        "SELECT nowhere",
    ]
    assert not [span for span in spans if span.events]


def test_the_trace_of_the_caller_goes_on(traced: Traced) -> None:
    """By W3C's `traceparent`."""
    request = traced.request("GET", f"{API}/categories", headers={"traceparent": CALLER})[0]
    assert request.context is not None
    assert request.parent is not None
    _, trace_id, span_id, _ = CALLER.split("-")
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (trace_id, span_id)


def test_log_lines_have_the_trace(traced: Traced, lines: list[dict[str, Any]]) -> None:
    """The access log, and every other line of the request."""
    request = traced.request("DELETE", f"{API}/probes")[0]
    assert request.context is not None
    expected = (f"{request.context.trace_id:032x}", f"{request.context.span_id:016x}")
    assert {line["event"] for line in lines} == {"request", "failed"}
    assert {(line["trace_id"], line["span_id"]) for line in lines} == {expected}


def test_a_page_of_the_administration_is_one_trace(traced: Traced) -> None:
    """Its calls of the API are spans below the page's."""
    browser = Browser(traced.client)
    browser.sign_in()
    traced.spans()
    browser.get("/categories")
    page, *others = [span for span in traced.spans() if span.kind is SpanKind.SERVER]
    assert page.parent is None
    assert f"GET {API}/categories" in {span.name for span in others}
    assert page.context is not None
    assert {span.parent and span.parent.trace_id for span in others} == {page.context.trace_id}


def test_a_mounted_application_belongs_to_the_trace_of_the_outer_one(sqlite_url: str) -> None:
    """Whose lifespan does not run: it decides at its first request."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    outer = FastAPI(telemetry={"tracer_provider": provider, "metrics": False, "logs": False})
    outer.mount("/shop", build(sqlite_url, provider))
    with QuickClient(outer) as client:
        client.get("/shop/api/v1/categories")
    request, *below = Traced(client, exporter).spans()
    assert request.name == "GET /shop/api/v1/categories"
    assert attributes(request)["rowhouse.operation"] == "list_categories"
    assert [span.name for span in below][:2] == [WAIT, "SELECT categories"]
    assert SpanKind.SERVER not in {span.kind for span in below}


def test_a_request_that_gets_no_thread_has_waited(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its wait is an error."""
    state: Any = traced.client.app.state  # type: ignore[attr-defined]  # it is a FastAPI

    async def refuse(*_arguments: Any, **_options: Any) -> None:
        raise PoolTimeoutError

    for pool in state.runner._pools.values():
        monkeypatch.setattr(pool, "run", refuse)
    request, wait = traced.request("GET", f"{API}/categories")
    assert attributes(request)["http.response.status_code"] == 503
    assert (wait.name, attributes(wait)["error.type"]) == (WAIT, "PoolTimeoutError")


def test_work_outside_a_request_starts_no_trace(traced: Traced) -> None:
    """Such as the first administrator at the start, or a job. It belongs to a span that the project has started."""
    app: Any = traced.client.app

    def work() -> list[str]:
        with rowhouse.unit(app, write=False) as unit:
            unit.fetch(SELECT_ONE, {})
            unit.session.execute(sa.text("SELECT 1"))
        return [span.name for span in traced.spans()]

    traced.spans()
    assert work() == []
    with trace.use_span(TracerProvider().get_tracer("job").start_span("job")):
        assert work()[0] == "SELECT categories"


@pytest.mark.parametrize("disabled", [True, False])
def test_without_a_receiver_nothing_is_traced(
    sqlite_url: str, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, *, disabled: bool
) -> None:
    """Neither without a provider nor with one that `OTEL_SDK_DISABLED` turns off."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    app = build(sqlite_url, TracerProvider() if disabled else None, access_log=True)
    with QuickClient(app) as client:
        assert client.get(f"{API}/categories").status_code == 200
    assert [("trace_id" in line, line["event"]) for line in lines] == [(False, "request")]
    if not disabled:
        assert (app.state.runner.traces, app.state.runner.make_unit) == (None, UnitOfWork)


class Collector(BaseHTTPRequestHandler):
    """Receives spans as a collector of OpenTelemetry does."""

    received: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        """Keep what was sent."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.path, gzip.decompress(body) if self.headers["Content-Encoding"] else body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_line: Any) -> None:
        """Do not log."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, bytes]]]:
    """What a collector receives that the environment names. The process has no provider of its own before and after."""
    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", type(trace._TRACER_PROVIDER_SET_ONCE)())
    monkeypatch.setattr(_runtime, "_owned", [])
    monkeypatch.setattr(_runtime, "_configured", [])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop of the environment")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    Collector.received.clear()
    yield Collector.received
    _runtime._shutdown()
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_environment_names_the_exporter(sqlite_url: str, collector: list[tuple[str, bytes]]) -> None:
    """By OpenTelemetry's own variables. What was traced is sent before the application ends."""
    with QuickClient(build(sqlite_url)) as client:
        client.get(f"{API}/categories")
    ((path, body),) = collector
    assert path == "/v1/traces"
    assert all(word in body for word in (b"shop of the environment", b"GET /api/v1/categories", b"SELECT categories"))


def test_a_provider_of_the_project_exports_alone(sqlite_url: str, collector: list[tuple[str, bytes]]) -> None:
    """Its exporter may be that of the environment too: nothing is sent twice."""
    with QuickClient(build(sqlite_url, TracerProvider())) as client:
        client.get(f"{API}/categories")
    assert collector == []
    assert _runtime._owned == []


def test_the_engine_does_not_import_the_sdk() -> None:
    """FastAPI imports it when the environment names an exporter. OpenTelemetry's API is part of FastAPI."""
    engine = ROOT / "backend/rowhouse"
    words = ("opentelemetry.sdk", "opentelemetry.exporter", "sentry_sdk")
    assert not [path for path in engine.rglob("*.py") if any(word in path.read_text("utf-8") for word in words)]


def test_a_trace_that_is_not_sampled_costs_no_spans(sqlite_url: str) -> None:
    """Its ids are in the log."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = Traces(provider, system="sqlite")
    with trace.use_span(provider.get_tracer("test").start_span("request")):
        assert traces.start_statement("SELECT 1") is None
        traces.record_wait("default", 1)
    assert exporter.get_finished_spans() == ()


def test_a_connection_that_fails_is_no_statement() -> None:
    """Its error is raised as without traces."""
    engine = sa.create_engine("sqlite:////none/none.db")
    record_session_statements(engine, Traces(TracerProvider(), system="sqlite"))
    with pytest.raises(sa.exc.OperationalError, match="unable to open"):
        engine.connect()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT books.id \nFROM books WHERE title = ?", "SELECT books"),
        ('update "order" set a = ?', "UPDATE"),
        ("INSERT INTO shop.books (id) VALUES ($1)", "INSERT shop.books"),
        ('UPDATE "order" SET a = ?', "UPDATE order"),
        ("", "SQL"),
    ],
)
def test_a_statement_has_a_short_name(text: str, expected: str) -> None:
    """The verb and the first table."""
    assert summary_of(text) == expected
