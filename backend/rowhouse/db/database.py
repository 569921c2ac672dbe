"""The database of an application: its engine, the connection of each worker thread, and statements compiled once.

A thread keeps its connection for as long as it lives (`ThreadConnection`). The driver is in autocommit mode, so a read
takes one round trip. Commits nothing: a `UnitOfWork` does.
"""

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.core.errors import DatabaseError, RowhouseError
from rowhouse.core.settings import Settings
from rowhouse.db.compiled import CompiledStatement
from rowhouse.db.engine import Driver, create_engine, driver_of
from rowhouse.db.integrity import ConstraintCatalog, ForeignKeyError, translate
from rowhouse.db.statement_monitor import MONITORED, StatementMonitor
from rowhouse.metrics.layout import CONNECTIONS, STATEMENT_SECONDS, STATEMENTS
from rowhouse.metrics.recorder import Metrics

DRIVER_ERRORS = (sqlite3.Error, psycopg.Error)
STATEMENT_ERRORS = (sa.exc.DBAPIError, *DRIVER_ERRORS)


class ThreadConnection:
    """The connection of one thread: SQLAlchemy's, and the driver below it for compiled statements."""

    __slots__ = ("connection", "driver", "seconds", "started", "statements")

    def __init__(self, engine: sa.Engine) -> None:
        self.connection = engine.connect()
        self.driver: Driver = driver_of(self.connection)
        self.started: float | None = None
        # How many statements have run, and for how long.
        self.statements, self.seconds = 0, 0.0
        self.connection.info[MONITORED] = self

    def stop(self) -> None:
        """Interrupt the running statement, which then raises an error. Called by another thread."""
        self.driver.interrupt()


class Database:
    """The engine, the threads' connections, the compiled statements and the catalogue of constraints.

    Example:
        database = Database(Settings())
        with UnitOfWork(database, write=True) as unit:
            unit.session.add(category)
        database.dispose()
    """

    def __init__(
        self, settings: Settings, metadata: sa.MetaData = SQLModel.metadata, *, metrics: Metrics | None = None
    ) -> None:
        self.settings, self.metrics = settings, metrics
        self.engine = create_engine(settings, serves=True)
        self.dialect = self.engine.dialect
        # SQLite has one writer at a time; PostgreSQL needs no lock here.
        self.write_lock = threading.Lock() if self.dialect.name == "sqlite" else None
        self.catalog = ConstraintCatalog(metadata)
        self._local = threading.local()
        self._connections: list[ThreadConnection] = []
        # The statements of connections that are closed, and those that the metrics have: their number and seconds.
        self._discarded, self._published = (0, 0.0), (0, 0.0)
        # For what an application stores with its database, like SQLAlchemy's own `info`.
        self.info: dict[str, Any] = {}
        self._statements: dict[str, CompiledStatement] = {}
        self._selects: dict[sa.Select[Any], CompiledStatement] = {}
        self.monitor = StatementMonitor(
            self.engine, slow_ms=settings.slow_statement_ms, seconds=settings.statement_seconds, metrics=metrics
        )
        if metrics is not None:
            metrics.publishers.append(self._publish)

    def _publish(self) -> None:
        metrics: Any = self.metrics
        number = self._discarded[0] + sum(one.statements for one in list(self._connections))
        seconds = self._discarded[1] + sum(one.seconds for one in list(self._connections))
        metrics.add(STATEMENTS, number - self._published[0])
        metrics.add(STATEMENT_SECONDS, seconds - self._published[1])
        metrics.cells[CONNECTIONS] = len(self._connections)
        self._published = number, seconds

    def statement_for(self, name: str, make: Callable[[sa.Dialect], CompiledStatement]) -> CompiledStatement:
        """Return the statement called `name`. The first call compiles it with `make` for this database's dialect."""
        statement = self._statements.get(name)
        if statement is None:
            statement = self._statements[name] = make(self.dialect)
        return statement

    def compiled(self, source: sa.Select[Any]) -> CompiledStatement:
        """Return the compiled statement of a select that is a module-level constant."""
        statement = self._selects.get(source)
        if statement is None:
            statement = CompiledStatement(source, self.dialect, columns=list(source.selected_columns))
            self._selects[source] = statement
        return statement

    def thread_connection(self) -> ThreadConnection:
        """Return this thread's connection. The first call in a thread opens it.

        Raises:
            UnavailableError: 503 when the database does not answer.
        """
        found: ThreadConnection | None = getattr(self._local, "connection", None)
        if found is None:
            try:
                found = ThreadConnection(self.engine)
            except STATEMENT_ERRORS as error:
                raise DatabaseError from error
            self._local.connection = found
            self._connections.append(found)
            self.monitor.start(self._connections)
        return found

    def translate_error(self, error: BaseException) -> RowhouseError:
        """Return the `RowhouseError` that stands for an error of SQLAlchemy or of the driver."""
        if not isinstance(error, sa.exc.DBAPIError):
            return translate(error, self.catalog)
        found = translate(error.orig, self.catalog)
        return self.catalog.reference_error(found, error.statement) if isinstance(found, ForeignKeyError) else found

    def discard_connection(self) -> None:
        """Close this thread's connection after it broke. The next use opens another."""
        found: ThreadConnection | None = getattr(self._local, "connection", None)
        if found is not None:
            self._local.connection = None
            self._connections.remove(found)
            self._discarded = self._discarded[0] + found.statements, self._discarded[1] + found.seconds
            found.connection.invalidate()
            found.connection.close()

    def dispose(self) -> None:
        """Close every connection. Call it at shutdown, once no thread works any more."""
        self.monitor.close()
        for connection in self._connections:
            connection.connection.close()
        self._connections.clear()
        self.engine.dispose()
