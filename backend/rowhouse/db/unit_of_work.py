"""The unit of work: all database work of one request, the same on SQLite and PostgreSQL.

It is the only thing that commits, and it commits once: when the response is ready, before it is sent. An error before
that rolls the transaction back. A transaction begins with the first statement that writes, or when a session is used.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
import structlog
from sqlmodel import Session

from rowhouse.core.errors import (
    ConnectionLostError,
    DatabaseError,
    LockedError,
    RowhouseError,
    TransactionRetryError,
)
from rowhouse.core.logging_config import note_account
from rowhouse.core.security import Caller
from rowhouse.core.settings import Settings
from rowhouse.db.assumption import Assumption
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Predicate, Row, WithCondition, unreadable_text
from rowhouse.db.database import DRIVER_ERRORS, STATEMENT_ERRORS, Database
from rowhouse.db.integrity import ForeignKeyError, is_disconnect, is_read_only
from rowhouse.metrics.layout import LOCK_WAIT_SECONDS, LOCK_WAITS
from rowhouse.metrics.recorder import Stopwatch

UNIT = "rowhouse_unit_of_work"
log = structlog.get_logger("database")
Authenticator = Callable[["UnitOfWork", str], Caller]


class _Ended:
    """The connection of a unit of work that has ended. Another request uses the real one."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError(
            "the unit of work of this request has ended: read all rows before you return, also for a StreamingResponse"
        )


ENDED: Any = _Ended()


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
        "_assumption",
        "_authenticator",
        "_discards",
        "_holds_write_lock",
        "_lock_seconds",
        "_session",
        "_writes",
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
        self._writes: list[str] = []
        self._assumption: Assumption | None = None
        self._after_commit: list[Callable[[], object]] | None = None
        self._holds_write_lock = self._discards = False
        self._lock_seconds = lock_seconds
        if lock_seconds is not None:
            self.thread_connection.driver.limit_lock_wait(lock_seconds)

    @property
    def settings(self) -> Settings:
        """The application's settings."""
        return self.database.settings

    def authenticate(self, token: str) -> Caller:
        """Return the caller who holds `token`, and keep it as `self.caller` for the rest of the request.

        Raises:
            NotAuthenticatedError: 401 when the token is not valid.
            PermissionDeniedError: 403 when the account is disabled.
        """
        if self._authenticator is None:
            raise LookupError("create_app() was given no authenticator")
        self.caller = self._authenticator(self, token)
        note_account(self.caller.id)
        return self.caller

    def assume(self, assumption: Assumption) -> None:
        """Take the caller's account as it was read last, and check it with the first statement of the request.

        `run_for_caller` adds the condition to its statement. Anything else reads the account first, and so does the end
        of a request that has run no statement.
        """
        self._assumption = assumption

    def _confirm(self) -> None:
        """Read the account that was assumed.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: as `authenticate`.
            TransactionRetryError: if it has changed. The request begins again.
        """
        assumption, self._assumption = self._assumption, None
        if assumption is not None and assumption.read(self) != assumption.caller:
            raise TransactionRetryError(reason="the account of the caller has changed")

    def fetch_account(self, source: sa.Select[Any], parameters: Mapping[str, Any]) -> list[Row]:
        """As `fetch`, for the first statement of a request, whose result is the same in text and in binary.

        A write begins its transaction in the same round trip.
        """
        if self.write and not self.thread_connection.driver.in_transaction:
            self.thread_connection.driver.begin_with_read()
        return self.fetch(source, parameters)

    def begin(self) -> None:
        """Begin the transaction unless it is open. Reads before it each ran on their own."""
        if self._assumption is not None:
            self._confirm()
        self._begin()

    def _begin(self) -> None:
        driver = self.thread_connection.driver
        if not driver.in_transaction:
            if self.write:
                self._acquire_write_lock()
            try:
                driver.begin(write=self.write)
            except DRIVER_ERRORS as error:
                raise self.database.translate_error(error) from error

    def discard_changes(self) -> None:
        """Roll back at the end instead of committing, because the response is an error."""
        self._discards = True

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the transaction is committed, before the response is sent.

            unit.on_commit(partial(send_receipt, order_id))

        Callbacks run in the order in which they were added, in this thread, without this unit's connection: open
        another unit for the database. They never run when the transaction is rolled back. An error in a callback is
        logged, and the others still run: the data is stored, so the client gets its success.
        """
        if self._after_commit is None:
            self._after_commit = []
        self._after_commit.append(callback)

    def _begin_connection(self) -> sa.Connection:
        """Return SQLAlchemy's connection, inside the transaction of this unit."""
        self.begin()
        if not self.thread_connection.connection.in_transaction():
            self.thread_connection.connection.begin()
        return self.thread_connection.connection

    def _acquire_write_lock(self) -> None:
        """Wait for this process's write lock, where the database has one writer.

        SQLite itself waits by polling: with many writers, one of them can be unlucky until it times out.
        """
        lock = self.database.write_lock
        if lock is not None and not self._holds_write_lock:
            if not lock.acquire(blocking=False):
                with Stopwatch(self.database.metrics, LOCK_WAITS, LOCK_WAIT_SECONDS):
                    is_free = lock.acquire(timeout=self._lock_seconds or self.settings.lock_seconds)
                if not is_free:
                    raise LockedError(reason="SQLite's write lock was not free within LOCK_SECONDS")
            self._holds_write_lock = True

    def _release_write_lock(self) -> None:
        if self._holds_write_lock and self.database.write_lock is not None:
            self._holds_write_lock = False
            self.database.write_lock.release()

    def savepoint(self) -> sa.NestedTransaction:
        """Return a context manager. An error in its block rolls back what the block did; the transaction goes on."""
        return self._begin_connection().begin_nested()

    @property
    def session(self) -> Session:
        """The SQLModel session of this request, inside its transaction. Flush it, never commit it."""
        if self._session is None:
            connection = self._begin_connection()
            # The session joins the transaction as it is, also within a savepoint, and makes no savepoint of its own.
            options: dict[str, Any] = {
                "expire_on_commit": False,
                "info": {UNIT: self},
                "join_transaction_mode": "rollback_only",
            }
            self._session = Session(bind=connection, autoflush=True, **options)
        return self._session

    @contextmanager
    def flushing(self) -> Iterator[None]:
        """For listeners to a flush of the session: within the block, `run` does not flush the session again."""
        session, self._session = self._session, None
        try:
            yield
        finally:
            self._session = session

    def run(
        self, statement: CompiledStatement, parameters: Mapping[str, Any], predicate: Predicate = EVERYTHING
    ) -> list[Row]:
        """Run a compiled statement, inside the transaction if one is open. Return its rows as dicts.

        Raises:
            ConflictError, InvalidInputError, UnavailableError: when the database refuses the statement.
        """
        if self._assumption is not None:
            self._confirm()
        return self._run(statement, parameters, predicate)

    def run_for_caller(
        self,
        statement_for: Callable[[Predicate], CompiledStatement],
        parameters: Mapping[str, Any],
        predicate: Predicate,
    ) -> list[Row]:
        """As `run`, for a statement on one row.

        `statement_for` returns it for a condition on the row, such as `Statements.get`. The account that was assumed is
        a condition too. Only where the statement fails or finds no row the account is read, and the statement runs
        again.
        """
        assumption = self._assumption
        if assumption is not None and predicate.key is not predicate:
            combined = WithCondition(predicate, assumption.condition)
            try:
                rows = self._run(statement_for(combined), {**parameters, **assumption.values}, combined)
            except RowhouseError as error:
                if not is_disconnect(error):
                    self._undo_first_statement()
                    self._confirm()
                raise
            if rows:
                self._assumption = None
                return rows
        return self.run(statement_for(predicate), parameters, predicate)

    def _undo_first_statement(self) -> None:
        """Roll back a statement that has failed, before which there was none: PostgreSQL runs no other one after it."""
        if self.thread_connection.driver.in_transaction:
            self.thread_connection.driver.rollback()

    def _run(self, statement: CompiledStatement, parameters: Mapping[str, Any], predicate: Predicate) -> list[Row]:
        if self._session is not None:
            self._session.flush()
        if statement.writes:
            self._begin()
            self._writes.append(statement.text)
        return self._execute(statement, parameters, predicate)

    def _execute(self, statement: CompiledStatement, parameters: Mapping[str, Any], predicate: Predicate) -> list[Row]:
        connection = self.thread_connection
        connection.started = started = perf_counter()
        try:
            return statement.execute(connection.driver, parameters, predicate)
        except DRIVER_ERRORS as error:
            raise self.database.translate_error(error) from error
        finally:
            connection.started = None
            seconds = perf_counter() - started
            connection.statements += 1
            connection.seconds += seconds
            if seconds >= self.database.monitor.slow_seconds:
                self.database.monitor.log_if_slow(started, statement.text)

    def fetch(self, source: sa.Select[Any], parameters: Mapping[str, Any]) -> list[Row]:
        """Return the rows of a select that is a module-level constant.

        It is compiled at its first use; its values are `bindparam`s.
        """
        return self.run(self.database.compiled(source), parameters)

    def expire_session(self) -> None:
        """Make the session read its rows again, after a compiled statement may have changed them."""
        if self._session is not None:
            self._session.expire_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        committed = False
        try:
            if self._assumption is not None and not is_disconnect(error):
                self._confirm()
            keeps_changes = isinstance(error, RowhouseError) and error.keeps_changes
            if keeps_changes or (error is None and not self._discards):
                self._commit()
                committed = True
            elif isinstance(error, STATEMENT_ERRORS):
                raise self.database.translate_error(error) from error
            elif (unreadable := unreadable_text(error, self.thread_connection.driver)) is not None:
                raise unreadable from error
        except RowhouseError as refused:
            error = refused
            raise
        finally:
            try:
                self._release(broken=error is not None and (is_disconnect(error) or is_read_only(error)))
            finally:
                self._release_write_lock()
                self.thread_connection, self._session = ENDED, None
                if committed and self._after_commit is not None:
                    _run_all(self._after_commit)

    def _commit(self) -> None:
        """Commit.

        Raises:
            RowhouseError: when the database refuses. A connection lost during the commit is a `DatabaseError` and is
                not retried: nobody knows whether the database has committed.
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
            if isinstance(found, ForeignKeyError):  # a deferred key
                found = self.database.catalog.reference_error_at_commit(found, self._writes)
            raise (DatabaseError() if isinstance(found, ConnectionLostError) else found) from error

    def _release(self, *, broken: bool) -> None:
        """Prepare the connection for the next unit of work, or discard it when it is broken."""
        connection, driver = self.thread_connection.connection, self.thread_connection.driver
        self.thread_connection.started = None
        if broken or connection.invalidated:
            self.database.discard_connection()
            return
        try:
            if self._session is not None:
                self._session.close()
                self._session.bind = None  # a response that is streamed later must not use the connection
            if connection.get_transaction() is not None:
                connection.rollback()
            if driver.in_transaction:
                driver.rollback()
            if self._lock_seconds is not None:
                driver.limit_lock_wait(None)
        except STATEMENT_ERRORS as error:
            log.warning("discarded a connection that could not be rolled back", error=type(error).__name__)
            self.database.discard_connection()


def _run_all(callbacks: list[Callable[[], object]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:  # the data is stored: no error here may turn the success into a failure
            log.exception("a callback after the commit failed", callback=repr(callback))
