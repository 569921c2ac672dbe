"""Completes FastAPI's telemetry: spans of waits, statements and commits, and the ids of traces in the log.

FastAPI starts the server's span, continues the caller's `traceparent`, and configures exporters (docs/decisions/0055).
"""

from functools import partial
from urllib.parse import parse_qsl, urlencode

import structlog
from opentelemetry.trace import TracerProvider
from starlette.datastructures import State
from starlette.types import Scope

from rowhouse.db.database import Database
from rowhouse.http.fastapi_internals import span_of
from rowhouse.requests.paths import route_path
from rowhouse.traces.spans import Traces
from rowhouse.traces.statements import TracedUnitOfWork, record_session_statements
from rowhouse.workers.runner import RequestRunner

# The text by which FastAPI replaces signatures in URLs.
HIDDEN = "REDACTED"
# Balancers and scrapers call these every few seconds.
PROBES = frozenset({"/health", "/ready", "/metrics"})


def is_probe(scope: Scope) -> bool:
    """Return True for a request that is not traced."""
    return route_path(scope) in PROBES


def trace_work(state: State, provider: TracerProvider) -> None:
    """Record waits, statements and commits of an application's requests from now on."""
    runner: RequestRunner = state.runner
    database: Database = state.database
    if runner.traces is None:
        runner.traces = Traces(provider, system=database.dialect.name)
        runner.make_unit = partial(TracedUnitOfWork, traces=runner.traces)
        record_session_statements(database.engine, runner.traces)


def note_trace(scope: Scope) -> None:
    """Add the ids of a request's trace to its log lines, and hide the values of its query string from the trace."""
    span = span_of(scope)
    if span is None:
        return
    context = span.get_span_context()
    structlog.contextvars.bind_contextvars(trace_id=f"{context.trace_id:032x}", span_id=f"{context.span_id:016x}")
    if query := scope["query_string"]:
        names = [(name, HIDDEN) for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
        span.set_attribute("url.query", urlencode(names))
