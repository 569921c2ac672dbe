"""Logs the statements that take long: their text and their time, never their values."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import event

MAX_TEXT = 500
STARTED = "rowhouse_statement_started"
log = structlog.get_logger("database")


class SlowStatements:
    """Looks at each statement of one database: those that are compiled (`look`) and those that SQLAlchemy sends."""

    def __init__(self, milliseconds: int, engine: sa.Engine) -> None:
        self._seconds = milliseconds / 1000 if milliseconds else float("inf")
        if milliseconds:
            event.listen(engine, "before_cursor_execute", self._before)
            event.listen(engine, "after_cursor_execute", self._after)

    def look(self, started: float, text: str, clock: Callable[[], float] = perf_counter) -> None:
        """Log a statement that began at `started`, in seconds of `clock`, if it took too long."""
        seconds = clock() - started
        if seconds >= self._seconds:
            shown = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ..."
            log.warning("slow statement", duration_ms=round(seconds * 1000, 1), statement=" ".join(shown.split()))

    def _before(self, connection: sa.Connection, *_rest: Any) -> None:
        connection.info[STARTED] = perf_counter()

    def _after(self, connection: sa.Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.look(connection.info[STARTED], statement)
