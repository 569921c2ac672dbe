"""Creates the SQLAlchemy engine of a database, set up so that SQLite and PostgreSQL behave the same.

The driver is in autocommit mode: a transaction begins on request. Every connection carries the `Driver` that begins and
ends it (`driver_of`). Commits nothing.
"""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from pydantic_core import to_json, to_jsonable_python
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

from rowhouse.core.settings import Settings
from rowhouse.db.dialects.libpq import PostgresqlDriver, StatementPreparation
from rowhouse.db.dialects.postgresql import connect_arguments, open_session
from rowhouse.db.dialects.sqlite_schemas import NAME as SQLITE
from rowhouse.db.sql_functions import FOLD, fold_text
from rowhouse.db.sqlalchemy_internals import write_standard_literals

DRIVER = "rowhouse_driver"
# An execution option: "read" begins a transaction on SQLite without the write lock.
TRANSACTION_KIND = "rowhouse_transaction"
HEROKU = "postgres://"
DRIVERS = ("sqlite", "sqlite+pysqlite", SQLITE, "postgresql", "postgresql+psycopg")
# Several servers in one URL, as libpq writes them; SQLAlchemy has them in `host`.
SEVERAL_HOSTS = re.compile(
    r"(?P<start>\w+(?:\+\w+)?://(?:[^/]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<path>(?:/[^?]*)?)(?:\?(?P<query>.*))?"
)
# Digits that are no integer of 64 bits, or just one.
LONG, LONG_IN_BYTES = re.compile(r"\d{19}"), re.compile(rb"\d{19}")
# 8 MB of pages for a connection: with the default of 2 MB, an estimated total reads its sample of a large table each
# time. The write-ahead log shrinks to 4 MB again after a long reader has ended.
PRAGMAS = (
    "journal_mode=WAL",
    "foreign_keys=ON",
    "synchronous=NORMAL",
    "temp_store=MEMORY",
    "cache_size=-8000",
    "journal_size_limit=4194304",
)


class Driver(Protocol):
    """A connection for compiled statements. It begins and ends the transaction of its session."""

    @property
    def in_transaction(self) -> bool:
        """True if a transaction is open, or begins with the next statement."""

    def begin(self, *, write: bool = True) -> None:
        """Begin a transaction, at the latest with the next statement."""

    def begin_with_read(self) -> None:
        """Begin a transaction with the next read, where that saves a round trip and blocks no other writer."""

    def begin_now(self, *, write: bool = True) -> None:
        """Begin a transaction now, unless one is open."""

    def commit(self) -> None:
        """Commit."""

    def rollback(self) -> None:
        """Roll back."""

    def limit_lock_wait(self, seconds: float | None) -> None:
        """Limit the wait for locks, until it is called with None."""

    def interrupt(self) -> None:
        """Interrupt the statement that another thread runs."""

    def execute(self, text: str, values: Sequence[Any] = (), /, **options: Any) -> Any:
        """Run a statement, in the transaction if one is open."""


class SqliteDriver:
    """A `Driver` for SQLite."""

    def __init__(self, connection: sqlite3.Connection, *, lock_seconds: float) -> None:
        self._connection = connection
        self._lock_seconds = lock_seconds
        self.reads_any_text = False
        self.execute = connection.execute
        self.interrupt = connection.interrupt

    def read_any_text(self) -> None:
        """From now on, read texts that are not UTF-8 too, with U+FFFD for what is not. Each text takes longer."""
        self.reads_any_text = True
        self._connection.text_factory = partial(str, encoding="utf-8", errors="replace")

    def limit_lock_wait(self, seconds: float | None) -> None:
        """Limit the wait for the write lock."""
        wait_seconds = self._lock_seconds if seconds is None else seconds
        self._connection.execute(f"PRAGMA busy_timeout={int(wait_seconds * 1000)}")

    @property
    def in_transaction(self) -> bool:
        """True if a transaction is open."""
        return self._connection.in_transaction

    def begin(self, *, write: bool = True) -> None:
        """Begin.

        A writer takes the lock now: upgrading a reader fails with "database is locked" whatever the time-out.
        """
        self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    def begin_with_read(self) -> None:
        """Do nothing: beginning early would hold the write lock for longer."""

    def begin_now(self, *, write: bool = True) -> None:
        """Begin unless a transaction is open."""
        if not self._connection.in_transaction:
            self.begin(write=write)

    def commit(self) -> None:
        """Commit."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Roll back."""
        self._connection.execute("ROLLBACK")


def url_of(settings: Settings) -> sa.URL:
    """Return the database's URL. `postgres://`, as hosting services write it, becomes `postgresql://`.

    Raises:
        ValueError, sqlalchemy.exc.ArgumentError: at start-up, for an invalid URL, or another database or driver.
    """
    given = settings.database_url
    if given.startswith(HEROKU):
        given = "postgresql://" + given.removeprefix(HEROKU)
    if (several := SEVERAL_HOSTS.fullmatch(given)) is not None and not given.startswith("sqlite"):
        options = [*(f"host={host}" for host in several["hosts"].split(",")), *filter(None, [several["query"]])]
        given = f"{several['start']}{several['path'] or '/'}?{'&'.join(options)}"
    try:
        url = make_url(given)
    except ValueError:  # its message quotes a part of the URL, which may be the password
        raise ValueError("DATABASE_URL: the port is not a number; in a password, write / as %2F and @ as %40") from None
    if url.drivername not in DRIVERS:
        raise ValueError(f"DATABASE_URL: it must begin with sqlite:/// or postgresql://, not {url.drivername}://")
    return url.set(drivername=SQLITE) if url.get_backend_name() == "sqlite" else url


def create_engine(settings: Settings, *, serves: bool = False) -> sa.Engine:
    """Return an engine for `settings.database_url`. With `serves` it limits the time of a statement.

    Raises:
        ValueError: at start-up, for a database that threads cannot share.
    """
    url = url_of(settings)
    # Errors do not contain the values, which must never be logged.
    options: dict[str, Any] = {"pool_size": settings.worker_threads, "max_overflow": -1, "hide_parameters": True}
    options["json_serializer"], options["json_deserializer"] = json_text, document_in
    if url.get_backend_name() == "sqlite":
        options["json_serializer"] = json_of_sqlite
        _require_file(url)
        arguments: dict[str, Any] = {"timeout": settings.lock_seconds, "check_same_thread": False}
        engine = sa.create_engine(url, connect_args=arguments, **options)
        event.listen(engine, "connect", SqliteConnections(settings).prepare)
    else:
        engine = sa.create_engine(url, connect_args=connect_arguments(url), **options)
        event.listen(engine, "connect", PostgresqlConnections(settings, serves=serves).prepare)
        event.listen(engine, "connect", lambda *_connection: write_standard_literals(engine.dialect))
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def disposing(engine: sa.Engine) -> Iterator[sa.Engine]:
    """Close every connection of an engine at the end of the block.

    Example:
        with disposing(create_engine(settings)) as engine, engine.connect() as connection:
            connection.execute(statement)
    """
    try:
        yield engine
    finally:
        engine.dispose()


def json_text(document: Any) -> str:
    """Return a document as JSON text. Values of Python that JSON lacks are written as pydantic writes them.

    NaN and Infinity are null, as in a response.
    """
    try:
        return json.dumps(document, default=to_jsonable_python, allow_nan=False)
    except ValueError:
        return to_json(document, inf_nan_mode="null").decode()


def json_of_sqlite(document: Any) -> str | float:
    """Return a document for SQLite, which reads a JSON text that is a number as one, and may miss its last digit."""
    return document if isinstance(document, float) and isfinite(document) else json_text(document)


def document_in(text: str | bytes) -> Any:
    """Return the document in a JSON text.

    PostgreSQL's JSONB writes a large float with all of its digits: `1e300` is then an integer of 301 digits.
    """
    is_long = LONG.search(text) if isinstance(text, str) else LONG_IN_BYTES.search(text)
    return json.loads(text, parse_int=_whole_number if is_long else None)


def _whole_number(digits: str) -> int | float:
    """Return the integer with these digits, or the float that has them and nothing else behind its own."""
    number, nearest = int(digits), float(digits)
    return nearest if abs(number) >= 2**63 and isfinite(nearest) and Decimal(repr(nearest)) == number else number


def driver_of(connection: sa.Connection) -> Any:
    """Return the `Driver` below a connection of an engine from `create_engine`."""
    return connection.info[DRIVER]


def _require_file(url: sa.URL) -> None:
    if url.database in (None, "", ":memory:", "file::memory:") or url.query.get("mode") == "memory":
        raise ValueError("DATABASE_URL: an in-memory SQLite database is a different one in every thread; name a file")
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"DATABASE_URL: the folder {folder} cannot be created: {error.strerror}") from error


class SqliteConnections:
    """Sets up the connections of one engine."""

    def __init__(self, settings: Settings) -> None:
        self._lock_seconds = settings.lock_seconds

    def prepare(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        """Set up a new connection."""
        connection.isolation_level = None
        connection.create_function(FOLD, 1, fold_text, deterministic=True)
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        entry.info[DRIVER] = SqliteDriver(connection, lock_seconds=self._lock_seconds)


class PostgresqlConnections:
    """Sets up the connections of one engine. They share one switch for prepared statements."""

    def __init__(self, settings: Settings, *, serves: bool) -> None:
        self._pooler = settings.database_pooler
        self._timeouts: Mapping[str, float] = {"lock_timeout": settings.lock_seconds}
        if serves:
            self._timeouts = {**self._timeouts, "statement_timeout": settings.statement_seconds}
        self._preparing = StatementPreparation(settings.prepare_statements)

    def prepare(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        """Set up a new connection."""
        session = open_session(connection, self._timeouts, pooler=self._pooler)
        entry.info[DRIVER] = PostgresqlDriver(
            connection, preparing=self._preparing, local=session.local, is_pooled=session.is_pooled
        )


def _begin(connection: sa.Connection) -> None:
    """Begin explicitly, because the driver is in autocommit mode, unless a unit of work has begun already."""
    options = connection.get_execution_options()
    if options.get("isolation_level") != "AUTOCOMMIT":
        driver_of(connection).begin_now(write=options.get(TRANSACTION_KIND, "write") == "write")
