"""Watches the statements of one database: stops those that take too long and logs those that are slow.

PostgreSQL stops a statement itself (`statement_timeout`). SQLite has no such bound, and a server that stands still does not keep its own:
a thread looks at what runs, interrupts SQLite, and breaks the connection to a PostgreSQL that says nothing. Logs a statement's text
and its time, never its values.
"""

import os
import socket
import threading
from collections.abc import Callable, Collection
from time import perf_counter
from typing import Any, Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy import event

MAX_TEXT = 500
MONITORED = "rowhouse_watched"
# What a PostgreSQL may take longer than its own bound before it is taken for one that stands still.
GRACE_SECONDS = 1.0
log = structlog.get_logger("database")


class MonitoredConnection(Protocol):
    """A connection that runs one statement at a time."""

    # When the statement began that runs now, on `perf_counter`; None where none does.
    started: float | None

    def stop(self) -> None:
        """Have the statement that runs end with an error; called by another thread."""


class StatementMonitor:
    """The bounds of one database's statements: those that are compiled, and those that SQLAlchemy sends."""

    def __init__(self, engine: sa.Engine, *, slow_ms: int, seconds: float) -> None:
        self.slow_seconds = slow_ms / 1000 if slow_ms else float("inf")
        self._seconds = seconds + (GRACE_SECONDS if engine.dialect.name == "postgresql" else 0)
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)

    def log_if_slow(self, started: float, text: str, clock: Callable[[], float] = perf_counter) -> None:
        """Log a statement that began at `started`, in seconds of `clock`, if it was slow."""
        seconds = clock() - started
        if seconds >= self.slow_seconds:
            shown = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ..."
            log.warning("slow statement", duration_ms=round(seconds * 1000, 1), statement=" ".join(shown.split()))

    def start(self, connections: Collection[MonitoredConnection]) -> None:
        """Watch these connections, whose number may change; once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, args=[connections], name="watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, connections: Collection[MonitoredConnection]) -> None:
        while not self._is_over.wait(min(self._seconds / 4, 1)):
            present = perf_counter()
            for connection in list(connections):
                started = connection.started
                if started is not None and present - started > self._seconds:
                    connection.stop()

    def _before(self, connection: sa.Connection, *_rest: Any) -> None:
        watched: MonitoredConnection | None = connection.info.get(MONITORED)
        if watched is not None:
            watched.started = perf_counter()

    def _after(self, connection: sa.Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        watched: MonitoredConnection | None = connection.info.get(MONITORED)
        if watched is not None and watched.started is not None:
            self.log_if_slow(watched.started, statement)
            watched.started = None


def shut_down_socket(descriptor: int) -> None:
    """End the connection of a socket that another thread waits for: it gets an error at once."""
    with socket.socket(fileno=os.dup(descriptor)) as copied:
        copied.shutdown(socket.SHUT_RDWR)
