"""Monitors the statements of one database: interrupts those that take too long, and logs slow ones.

PostgreSQL has a limit of its own (`statement_timeout`). SQLite has none, and a PostgreSQL server that hangs does not
enforce its limit. A thread checks the running statements, interrupts SQLite, and closes the connection to a PostgreSQL
server that does not respond. Logs the text and the time of a statement, never its values.
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

from rowhouse.metrics.layout import STATEMENT_SECONDS, STATEMENTS
from rowhouse.metrics.recorder import Metrics

MAX_TEXT = 500
MONITORED = "rowhouse_watched"
# How long PostgreSQL may exceed its own limit before its connection is closed.
GRACE_SECONDS = 1.0
log = structlog.get_logger("database")


class MonitoredConnection(Protocol):
    """A connection that runs one statement at a time."""

    # When the running statement began, on `perf_counter`. None if none is running.
    started: float | None

    def stop(self) -> None:
        """Interrupt the running statement, which then raises an error. Called by another thread."""


class StatementMonitor:
    """The time limits of one database's statements, compiled ones and SQLAlchemy's own."""

    def __init__(self, engine: sa.Engine, *, slow_ms: int, seconds: float, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
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
        """Start to monitor these connections, unless that has started. Connections may be added later."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, args=[connections], name="watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, connections: Collection[MonitoredConnection]) -> None:
        while not self._is_over.wait(min(self._seconds / 4, 1)):
            if self._metrics is not None:
                self._metrics.publish()
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
            if self._metrics is not None:
                self._metrics.add(STATEMENTS)
                self._metrics.add(STATEMENT_SECONDS, perf_counter() - watched.started)
            self.log_if_slow(watched.started, statement)
            watched.started = None


def shut_down_socket(descriptor: int) -> None:
    """Shut a socket down. A thread that waits for it gets an error at once."""
    with socket.socket(fileno=os.dup(descriptor)) as copied:
        copied.shutdown(socket.SHUT_RDWR)
