"""Records the statements and the commit of a unit of work: compiled statements, and those of its session."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from rowhouse.db.compiled import CompiledStatement, Predicate, Row
from rowhouse.db.database import STATEMENT_ERRORS
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.traces.spans import Traces, end

SPAN = "rowhouse_span"


class TracedUnitOfWork(UnitOfWork):
    """A unit of work that records what it runs."""

    __slots__ = ("_traces",)

    def __init__(self, *arguments: Any, traces: Traces, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._traces = traces

    def _begin(self) -> None:
        """Begin the transaction. On SQLite a write waits here for the one writer."""
        if not self.write or self.database.write_lock is None or self.thread_connection.driver.in_transaction:
            super()._begin()
            return
        with self._traces.statement("BEGIN IMMEDIATE"):
            super()._begin()

    def _execute(self, statement: CompiledStatement, parameters: Mapping[str, Any], predicate: Predicate) -> list[Row]:
        """Execute a compiled statement and record it."""
        with self._traces.statement(statement.text):
            return super()._execute(statement, parameters, predicate)

    def _commit(self) -> None:
        """Commit, and record it if there is a transaction."""
        try:
            if self._session is not None:
                self._session.flush()
        except STATEMENT_ERRORS as error:
            raise self.database.translate_error(error) from error
        if not self.thread_connection.driver.in_transaction:
            super()._commit()
            return
        with self._traces.statement("COMMIT"):
            super()._commit()


def record_session_statements(engine: sa.Engine, traces: Traces) -> None:
    """Record the statements that SQLAlchemy runs, such as those of a session."""

    def start(connection: sa.Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        connection.info[SPAN] = traces.start_statement(statement)

    def finish(connection: sa.Connection, *_rest: Any) -> None:
        end(connection.info.pop(SPAN, None))

    def fail(context: sa.ExceptionContext) -> None:
        if context.connection is not None:
            end(context.connection.info.pop(SPAN, None), context.original_exception)

    event.listen(engine, "before_cursor_execute", start)
    event.listen(engine, "after_cursor_execute", finish)
    event.listen(engine, "handle_error", fail)
