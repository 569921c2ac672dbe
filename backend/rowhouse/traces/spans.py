"""The spans below the server's span of a request. Without such a span nothing is recorded.

Must not record values: neither those of a statement nor the message of an error, which may quote a row.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import time_ns

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

from rowhouse.core.errors import RowhouseError

# The first word of a statement, and the first table that it names.
VERB = re.compile(r"\w+")
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+([\w.\"]+)")
WAIT, THREADS = "wait for a thread", "rowhouse.threads"
ERROR_TYPE = "error.type"


@lru_cache(maxsize=2048)
def summary_of(text: str) -> str:
    """Return a short name of a statement, such as `SELECT books`."""
    verb, table = VERB.search(text), TABLE.search(text)
    return " ".join([verb[0].upper() if verb else "SQL", *([table[1].replace('"', "")] if table else [])])


class Traces:
    """Records spans with a provider. `system` is the database's name in OpenTelemetry, such as `sqlite`."""

    def __init__(self, provider: TracerProvider, *, system: str) -> None:
        self._tracer = provider.get_tracer("rowhouse")
        self._system = system

    def start_statement(self, text: str) -> Span | None:
        """Start the span of a statement. Return None if no request is traced. End it with `end`."""
        if not trace.get_current_span().is_recording():
            return None
        name = summary_of(text)
        attributes = {"db.system.name": self._system, "db.query.text": text, "db.query.summary": name}
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    @contextmanager
    def statement(self, text: str) -> Iterator[None]:
        """Record the block as a statement with this text."""
        span, error = self.start_statement(text), None
        try:
            yield
        except Exception as raised:  # raised again; the span names it
            error = raised
            raise
        finally:
            end(span, error)

    def record_wait(self, group: str, seconds: float, error: Exception | None = None) -> None:
        """Record how long a request waited for a thread of a group, and the error if it got none."""
        if trace.get_current_span().is_recording():
            started = time_ns() - int(seconds * 1e9)
            end(self._tracer.start_span(WAIT, attributes={THREADS: group}, start_time=started), error)


def end(span: Span | None, error: BaseException | None = None) -> None:
    """End a span that may be None. An error is named by its class."""
    if span is None:
        return
    if error is not None:
        cause = error.__cause__ if isinstance(error, RowhouseError) and error.__cause__ is not None else error
        span.set_attribute(ERROR_TYPE, type(cause).__qualname__)
        span.set_status(StatusCode.ERROR)
    span.end()
