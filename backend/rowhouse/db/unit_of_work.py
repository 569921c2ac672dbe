"""Thread-held connections and the unit of work, alike on SQLite and PostgreSQL.

Every worker thread holds one connection for as long as it lives (`ThreadConnection`). The driver is in autocommit, so a read is one
round trip; a transaction begins with the first statement that writes, or when a session asks for one.

A request's `UnitOfWork` is the only thing that commits, and it does so once: when the answer is made, before it is sent. What fails
in between undoes the write.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import psycopg
import sqlalchemy as sa
import structlog
from sqlmodel import Session, SQLModel

from rowhouse.core.errors import (
    ConnectionLostError,
    DatabaseError,
    InvalidInputError,
    LockedError,
    RowhouseError,
)
from rowhouse.core.logging_config import note_account
from rowhouse.core.security import Caller
from rowhouse.core.settings import Settings
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Predicate, Row
from rowhouse.db.engine import Driver, create_engine, driver_of
from rowhouse.db.integrity import ConstraintCatalog, ForeignKeyError, is_disconnect, is_read_only, translate
from rowhouse.db.statement_monitor import MONITORED, StatementMonitor

UNIT = "rowhouse_unit_of_work"
DRIVER_ERRORS = (sqlite3.Error, psycopg.Error)
STATEMENT_ERRORS = (sa.exc.DBAPIError, *DRIVER_ERRORS)
log = structlog.get_logger("database")
Authenticator = Callable[["UnitOfWork", str], Caller]


class ThreadConnection:
    """One thread's connection: SQLAlchemy's, and the driver's below it for compiled statements."""

    __slots__ = ("connection", "driver", "started")

    def __init__(self, engine: sa.Engine) -> None:
        self.connection = engine.connect()
        self.driver: Driver = driver_of(self.connection)
        self.started: float | None = None
        self.connection.info[MONITORED] = self

    def stop(self) -> None:
        """Have the statement that runs end with an error; called by another thread."""
        self.driver.interrupt()


class Database:
    """The engine, the connection of each thread, and the catalogue of constraints.

    Example:
        database = Database(Settings())
        with UnitOfWork(database, write=True) as unit:
            unit.session.add(category)
        database.dispose()
    """

    def __init__(self, settings: Settings, metadata: sa.MetaData = SQLModel.metadata) -> None:
        self.settings = settings
        self.engine = create_engine(settings, serves=True)
        self.dialect = self.engine.dialect
        self.write_lock = threading.Lock() if self.dialect.name == "sqlite" else None
        self.catalog = ConstraintCatalog(metadata)
        self._local = threading.local()
        self._connections: list[ThreadConnection] = []
        # What an application keeps beside its database, as SQLAlchemy's own `info`.
        self.info: dict[str, Any] = {}
        self._statements: dict[str, CompiledStatement] = {}
        self._compiled: dict[sa.Select[Any], CompiledStatement] = {}
        self.monitor = StatementMonitor(
            self.engine, slow_ms=settings.slow_statement_ms, seconds=settings.statement_seconds
        )

    def statement_for(self, name: str, make: Callable[[sa.Dialect], CompiledStatement]) -> CompiledStatement:
        """The statement that `make` gives for this database's dialect, made once under `name`."""
        statement = self._statements.get(name)
        if statement is None:
            statement = self._statements[name] = make(self.dialect)
        return statement

    def compiled(self, source: sa.Select[Any]) -> CompiledStatement:
        """The statement for a select that is a constant of its module."""
        statement = self._compiled.get(source)
        if statement is None:
            statement = CompiledStatement(source, self.dialect, columns=list(source.selected_columns))
            self._compiled[source] = statement
        return statement

    def thread_connection(self) -> ThreadConnection:
        """This thread's connection, opened at its first use.

        Raises:
            UnavailableError: 503 when the database does not answer.
        """
        link: ThreadConnection | None = getattr(self._local, "thread_connection", None)
        if link is None:
            try:
                link = ThreadConnection(self.engine)
            except STATEMENT_ERRORS as error:
                raise DatabaseError from error
            self._local.thread_connection = link
            self._connections.append(link)
            self.monitor.start(self._connections)
        return link

    def translate_error(self, error: BaseException) -> RowhouseError:
        """The error of our tree for one of SQLAlchemy's or the driver's."""
        if not isinstance(error, sa.exc.DBAPIError):
            return translate(error, self.catalog)
        found = translate(error.orig, self.catalog)
        return self.catalog.reference_error(found, error.statement) if isinstance(found, ForeignKeyError) else found

    def discard_connection(self) -> None:
        """Forget this thread's connection after it broke; the next use opens another."""
        link: ThreadConnection | None = getattr(self._local, "thread_connection", None)
        if link is not None:
            self._local.thread_connection = None
            self._connections.remove(link)
            link.connection.invalidate()
            link.connection.close()

    def dispose(self) -> None:
        """Close every connection; for shutdown, when no thread works any more."""
        self.monitor.close()
        for link in self._connections:
            link.connection.close()
        self._connections.clear()
        self.engine.dispose()


class UnitOfWork:
    """The database work of one request: at most one transaction, committed once, before the response.

    Example:
        with UnitOfWork(database, write=True) as unit:
            unit.session.add(category)
            unit.on_commit(partial(announce, category.name))

    Leaving the block commits; an exception rolls back. `lock_seconds` limits the wait for locks, where it is less than
    the setting. Outside a request use `rowhouse.unit`.
    """

    __slots__ = (
        "_after_commit",
        "_authenticator",
        "_holds_write_lock",
        "_lock_seconds",
        "_session",
        "caller",
        "database",
        "thread_connection",
        "write",
    )

    def __init__(
        self,
        database: Database,
        *,
        write: bool,
        authenticator: Authenticator | None = None,
        lock_seconds: float | None = None,
    ) -> None:
        self.database = database
        self.write = write
        self.thread_connection = database.thread_connection()
        self.caller: Caller | None = None
        self._authenticator = authenticator
        self._session: Session | None = None
        self._after_commit: list[Callable[[], object]] | None = None
        self._holds_write_lock = False
        self._lock_seconds = lock_seconds
        if lock_seconds is not None:
            self.thread_connection.driver.limit_lock_wait(lock_seconds)

    @property
    def settings(self) -> Settings:
        """The application's settings."""
        return self.database.settings

    def authenticate(self, token: str) -> Caller:
        """The caller who holds `token`, remembered for the rest of the request.

        Raises:
            NotAuthenticatedError: 401 when the token does not hold.
            PermissionDeniedError: 403 when the account is disabled.
        """
        if self._authenticator is None:
            raise LookupError("create_app() was given no authenticator")
        if self.write and not self.thread_connection.driver.in_transaction:
            self.thread_connection.driver.begin_with_read()
        self.caller = self._authenticator(self, token)
        note_account(self.caller.id)
        return self.caller

    def begin(self) -> None:
        """Make sure that a transaction is open; reads before it were each on their own."""
        driver = self.thread_connection.driver
        if not driver.in_transaction:
            if self.write:
                self._acquire_write_lock()
            try:
                driver.begin(write=self.write)
            except DRIVER_ERRORS as error:
                raise self.database.translate_error(error) from error

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the transaction is committed, before the response is sent.

            unit.on_commit(partial(send_receipt, order_id))

        Callbacks run in the order in which they were added, in this thread, without this unit's connection: open another unit for the
        database. They never run when the transaction is rolled back. An error of one is logged, and the others still run: the
        data is stored, so the client gets its success.
        """
        if self._after_commit is None:
            self._after_commit = []
        self._after_commit.append(callback)

    def _begin_connection(self) -> sa.Connection:
        """SQLAlchemy's connection, inside the transaction of this unit."""
        self.begin()
        if not self.thread_connection.connection.in_transaction():
            self.thread_connection.connection.begin()
        return self.thread_connection.connection

    def _acquire_write_lock(self) -> None:
        """Wait for this process's turn to write, where the database has one writer.

        SQLite's own waiting is by sleeping and luck: with many writers, one can miss its turn until it times out.
        """
        if self.database.write_lock is not None and not self._holds_write_lock:
            if not self.database.write_lock.acquire(timeout=self._lock_seconds or self.settings.lock_seconds):
                raise LockedError(reason="SQLite's one writer was not free within LOCK_SECONDS")
            self._holds_write_lock = True

    def _release_write_lock(self) -> None:
        if self._holds_write_lock and self.database.write_lock is not None:
            self._holds_write_lock = False
            self.database.write_lock.release()

    def savepoint(self) -> sa.NestedTransaction:
        """A context manager: an error within undoes what was done within, and the transaction goes on."""
        return self._begin_connection().begin_nested()

    @property
    def session(self) -> Session:
        """The SQLModel session of this request, inside its transaction. Flush it; never commit it."""
        if self._session is None:
            connection = self._begin_connection()
            # It joins the transaction as it is, also one that stands at a savepoint: it makes no savepoint of its own.
            options: dict[str, Any] = {
                "expire_on_commit": False,
                "info": {UNIT: self},
                "join_transaction_mode": "rollback_only",
            }
            self._session = Session(bind=connection, autoflush=True, **options)
        return self._session

    @contextmanager
    def flushing(self) -> Iterator[None]:
        """For what listens to a flush of the session: within, `run` does not flush it once more."""
        session, self._session = self._session, None
        try:
            yield
        finally:
            self._session = session

    def run(
        self, statement: CompiledStatement, parameters: Mapping[str, Any], predicate: Predicate = EVERYTHING
    ) -> list[Row]:
        """The rows that a compiled statement gives, as dicts; inside the transaction if one is open.

        Raises:
            ConflictError, InvalidInputError, UnavailableError: what the database objects to.
        """
        if self._session is not None:
            self._session.flush()
        if statement.writes:
            self.begin()
        link = self.thread_connection
        link.started = started = perf_counter()
        try:
            return statement.execute(link.driver, parameters, predicate)
        except DRIVER_ERRORS as error:
            raise self.database.translate_error(error) from error
        finally:
            link.started = None
            if perf_counter() - started >= self.database.monitor.slow_seconds:
                self.database.monitor.log_if_slow(started, statement.text)

    def fetch(self, source: sa.Select[Any], parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a select that is a constant of its module, compiled at its first use; values are `bindparam`s."""
        return self.run(self.database.compiled(source), parameters)

    def expire_session(self) -> None:
        """Have the session read again what a compiled statement may have changed below it."""
        if self._session is not None:
            self._session.expire_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        committed = False
        try:
            if error is None or (isinstance(error, RowhouseError) and error.keeps_changes):
                self._commit()
                committed = True
            elif isinstance(error, STATEMENT_ERRORS):
                raise self.database.translate_error(error) from error
            elif isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
                raise InvalidInputError([], "Some text holds half a surrogate pair, which is no character.") from error
        except RowhouseError as refused:
            error = refused
            raise
        finally:
            try:
                self._release(broken=error is not None and (is_disconnect(error) or is_read_only(error)))
            finally:
                self._release_write_lock()
                if committed and self._after_commit is not None:
                    _run_all(self._after_commit)

    def _commit(self) -> None:
        """Commit what was done.

        Raises:
            RowhouseError: when the database refuses. A connection that is lost meanwhile is `DatabaseError`, and is not tried again:
                nobody knows whether the database has committed.
        """
        try:
            if self._session is not None:
                self._session.flush()
        except STATEMENT_ERRORS as error:
            raise self.database.translate_error(error) from error
        try:
            if self.thread_connection.connection.in_transaction():
                self.thread_connection.connection.commit()
            elif self.thread_connection.driver.in_transaction:
                self.thread_connection.driver.commit()
        except STATEMENT_ERRORS as error:
            found = self.database.translate_error(error)
            raise (DatabaseError() if isinstance(found, ConnectionLostError) else found) from error

    def _release(self, *, broken: bool) -> None:
        """Leave the connection as the next unit of work wants it, or drop it."""
        connection, driver = self.thread_connection.connection, self.thread_connection.driver
        self.thread_connection.started = None
        if broken or connection.invalidated:
            self.database.discard_connection()
            return
        try:
            if self._session is not None:
                self._session.close()
            if connection.get_transaction() is not None:
                connection.rollback()
            if driver.in_transaction:
                driver.rollback()
            if self._lock_seconds is not None:
                driver.limit_lock_wait(None)
        except STATEMENT_ERRORS as error:
            log.warning("a connection was dropped that could not be rolled back", error=type(error).__name__)
            self.database.discard_connection()


def _run_all(callbacks: list[Callable[[], object]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:  # the data is stored: an error of whatever kind must not turn the success into a failure
            log.exception("a callback after the commit failed", callback=repr(callback))
