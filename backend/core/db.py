"""Engines, thread-held connections and the unit of work, alike on SQLite and PostgreSQL.

Every worker thread holds one connection for as long as it lives (`Link`). The driver is in autocommit, so a read is one
round trip; a transaction begins when a write or a session asks for one, and on SQLite a writing one takes the write lock
at once (`BEGIN IMMEDIATE`), because upgrading a reader fails with "database is locked" whatever the time-out.

A request's `UnitOfWork` is the only thing that commits, and it does so once, before the answer.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session, SQLModel

from backend.core.config import Settings
from backend.core.constraints import ConstraintCatalog, is_disconnect, translate
from backend.core.errors import InvalidInputError, RowhouseError, UnavailableError
from backend.core.folding import FOLD, fold_text
from backend.core.libpq import Libpq
from backend.core.security import Caller
from backend.core.statement import EVERYTHING, Predicate, Row, Statement

TRANSACTION_KIND = "rowhouse_transaction"
UNIT = "rowhouse_unit_of_work"
DRIVER_ERRORS = (sqlite3.Error, psycopg.Error)
Authenticator = Callable[["UnitOfWork", str], Caller]


def create_engine(settings: Settings) -> sa.Engine:
    """An engine for `settings.database_url`, prepared so that both databases behave alike."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:", "file::memory:") or url.query.get("mode") == "memory":
            raise ValueError("DATABASE_URL: an in-memory SQLite is another database in every thread; name a file")
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {"timeout": settings.lock_seconds, "check_same_thread": False}
        prepare: Callable[[DBAPIConnection, ConnectionPoolEntry], None] = _prepare_sqlite
    else:
        milliseconds = int(settings.lock_seconds * 1000)
        options = {
            "autocommit": True,
            "connect_timeout": 2,
            # Its cursors prepare nothing: what they do at a rollback (DEALLOCATE ALL) would take what `Libpq` has prepared along.
            "prepare_threshold": None,
            "options": f"-c timezone=UTC -c lock_timeout={milliseconds}",
        }
        prepare = _prepare_postgresql
    # Without the values, which the log must never hold, in the errors' texts.
    engine = sa.create_engine(
        url, connect_args=options, pool_size=settings.worker_threads, max_overflow=-1, hide_parameters=True
    )
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    connection.create_function(FOLD, 1, fold_text, deterministic=True)
    cursor = connection.cursor()
    # 8 MB of pages a connection: in the 2 MB of the default, an estimated total reads its sample of a large table anew each time.
    for pragma in (
        "journal_mode=WAL",
        "foreign_keys=ON",
        "synchronous=NORMAL",
        "temp_store=MEMORY",
        "cache_size=-8000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(_connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Everything is in the connection's start-up packet."""


def _begin(connection: sa.Connection) -> None:
    """Begin explicitly, for the driver is in autocommit; a writer on SQLite takes the lock now."""
    mode = connection.get_execution_options().get(TRANSACTION_KIND, "write")
    immediate = mode == "write" and connection.dialect.name == "sqlite"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


class Link:
    """One thread's connection: SQLAlchemy's, and the driver's below it for compiled statements."""

    __slots__ = ("connection", "driver")

    def __init__(self, engine: sa.Engine) -> None:
        self.connection = engine.connect()
        driver = self.connection.connection.driver_connection
        if driver is None:
            raise UnavailableError("The database does not answer.")
        self.driver: Any = Libpq(driver) if isinstance(driver, psycopg.Connection) else driver


class Database:
    """The engine, the threads' connections and the catalogue of constraints."""

    def __init__(self, settings: Settings, metadata: sa.MetaData = SQLModel.metadata) -> None:
        self.settings = settings
        self.engine = create_engine(settings)
        self.dialect = self.engine.dialect
        self.turn = threading.Lock() if self.dialect.name == "sqlite" else None
        self.catalog = ConstraintCatalog(metadata)
        self._held = threading.local()
        self._links: list[Link] = []
        self._made: dict[str, Statement] = {}
        self._compiled: dict[sa.Select[Any], Statement] = {}

    def made(self, name: str, make: Callable[[sa.Dialect], Statement]) -> Statement:
        """The statement that `make` gives for this database's dialect, made once under `name`."""
        statement = self._made.get(name)
        if statement is None:
            statement = self._made[name] = make(self.dialect)
        return statement

    def compiled(self, source: sa.Select[Any]) -> Statement:
        """The statement for a select that is a constant of its module."""
        statement = self._compiled.get(source)
        if statement is None:
            statement = Statement(source, self.dialect, columns=list(source.selected_columns))
            self._compiled[source] = statement
        return statement

    def link(self) -> Link:
        """This thread's connection, opened at its first use.

        Raises:
            UnavailableError: 503 when the database does not answer.
        """
        link: Link | None = getattr(self._held, "link", None)
        if link is None:
            try:
                link = Link(self.engine)
            except sa.exc.DBAPIError as error:
                raise translate(error.orig, self.catalog) from error
            self._held.link = link
            self._links.append(link)
        return link

    def drop_link(self) -> None:
        """Forget this thread's connection after it broke; the next use opens another."""
        link: Link | None = getattr(self._held, "link", None)
        if link is not None:
            self._held.link = None
            self._links.remove(link)
            link.connection.invalidate()
            link.connection.close()

    def dispose(self) -> None:
        """Close every connection; for shutdown, when no thread works any more."""
        for link in self._links:
            link.connection.close()
        self._links.clear()
        self.engine.dispose()


class UnitOfWork:
    """What one request does to the database: at most one transaction, committed once, before the answer.

    Use as a context manager: leaving it commits, an exception rolls back.
    """

    __slots__ = ("_authenticator", "_has_turn", "_session", "caller", "database", "link", "write")

    def __init__(self, database: Database, *, write: bool, authenticator: Authenticator | None = None) -> None:
        self.database = database
        self.write = write
        self.link = database.link()
        self.caller: Caller | None = None
        self._authenticator = authenticator
        self._session: Session | None = None
        self._has_turn = False

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
        self.caller = self._authenticator(self, token)
        return self.caller

    def begin(self) -> None:
        """Make sure that a transaction is open; reads before it were each on their own."""
        connection = self.link.connection
        if not connection.in_transaction():
            if self.write:
                self._queue_to_write()
            connection.execution_options(**{TRANSACTION_KIND: "write" if self.write else "read"})
            connection.begin()

    def _queue_to_write(self) -> None:
        """Wait for this process's turn to write, where the database has one writer.

        SQLite's own waiting is by sleeping and luck: with many writers, one can miss its turn until it times out.
        """
        if self.database.turn is not None and not self._has_turn:
            if not self.database.turn.acquire(timeout=self.settings.lock_seconds):
                raise UnavailableError
            self._has_turn = True

    def _end_turn(self) -> None:
        if self._has_turn and self.database.turn is not None:
            self._has_turn = False
            self.database.turn.release()

    def savepoint(self) -> sa.NestedTransaction:
        """A context manager: an error within undoes what was done within, and the transaction goes on."""
        self.begin()
        return self.link.connection.begin_nested()

    @property
    def session(self) -> Session:
        """The SQLModel session of this request, inside its transaction. Flush it; never commit it."""
        if self._session is None:
            self.begin()
            # It joins the transaction as it is, also one that stands at a savepoint: it makes no savepoint of its own.
            options: dict[str, Any] = {
                "expire_on_commit": False,
                "info": {UNIT: self},
                "join_transaction_mode": "rollback_only",
            }
            self._session = Session(bind=self.link.connection, autoflush=True, **options)
        return self._session

    @contextmanager
    def flushing(self) -> Iterator[None]:
        """For what listens to a flush of the session: within, `run` does not flush it once more."""
        session, self._session = self._session, None
        try:
            yield
        finally:
            self._session = session

    def run(self, statement: Statement, parameters: Mapping[str, Any], predicate: Predicate = EVERYTHING) -> list[Row]:
        """The rows that a compiled statement gives, as dicts; inside the transaction if one is open.

        Raises:
            ConflictError, InvalidInputError, UnavailableError: what the database objects to.
        """
        if self._session is not None:
            self._session.flush()
        try:
            return statement.execute(self.link.driver, parameters, predicate)
        except DRIVER_ERRORS as error:
            raise translate(error, self.database.catalog) from error

    def fetch(self, source: sa.Select[Any], parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of a select that is a constant of its module, compiled at its first use; values are `bindparam`s."""
        return self.run(self.database.compiled(source), parameters)

    def forget_loaded(self) -> None:
        """Have the session read again what a compiled statement may have changed below it."""
        if self._session is not None:
            self._session.expire_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None or (isinstance(error, RowhouseError) and error.keeps_changes):
                self._commit()
            elif isinstance(error, sa.exc.DBAPIError):
                raise translate(error.orig, self.database.catalog) from error
            elif isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
                raise InvalidInputError([], "Some text holds half a surrogate pair, which is no character.") from error
        except sa.exc.DBAPIError as refused:
            raise translate(refused.orig, self.database.catalog) from refused
        finally:
            try:
                self._release(broken=is_disconnect(error))
            finally:
                self._end_turn()

    def _commit(self) -> None:
        if self._session is not None:
            self._session.flush()
        if self.link.connection.in_transaction():
            self.link.connection.commit()

    def _release(self, *, broken: bool) -> None:
        transaction = self.link.connection.get_transaction()
        commit_refused = transaction is not None and not transaction.is_active
        if broken or commit_refused or self.link.connection.invalidated:
            # After a refused commit SQLAlchemy, and SQLite itself, are still inside the transaction.
            self.database.drop_link()
            return
        if self._session is not None:
            self._session.close()
        if self.link.connection.in_transaction():
            self.link.connection.rollback()
