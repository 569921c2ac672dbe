"""Decides whether this process can serve: the response of `/ready`, and the condition of a start.

The database must respond, have the revision and the tables that the code needs, and accept writes. The check has a
thread of its own, so that a busy server is ready. Concurrent checks share one result. Must not tell a client more than
which part is not ready.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from rowhouse.core.error_causes import cause_of
from rowhouse.core.errors import ConnectionLostError, DatabaseError, ReadOnlyDatabaseError, RowhouseError
from rowhouse.core.settings import Settings
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.health.drain import DRAINING, Drain
from rowhouse.health.migration_state import Revisions
from rowhouse.health.table_check import RequiredTable, table_mismatch
from rowhouse.workers.runner import RequestRunner, WorkerGroup

PROBE_SECONDS = 2.0
RETRY_SECONDS = 1.0
# A migration may have locked a table.
WARM_UP_SECONDS = 1.0
# How long the result of the table check is kept while the revision is the same.
TABLES_SECONDS = 5.0
SILENT = "The database does not answer."
REFUSED = "The database rejects the server's queries; the log says why."
SLOW = f"The database does not answer within {PROBE_SECONDS:g} s."
STANDBY = "The database takes no writes: {}. If this server only reads, set READ_ONLY=true."
UNDEFINED_TABLE = "42P01"
VERSION = sa.table("alembic_version", sa.column("version_num", sa.String()))
SELECT_VERSION = sa.select(VERSION.c.version_num)
MODE: tuple[sa.ColumnElement[Any], ...] = (
    sa.literal_column("pg_catalog.pg_is_in_recovery()", sa.Boolean()).label("standby"),
    sa.literal_column("pg_catalog.current_setting('default_transaction_read_only')", sa.String()).label("read_only"),
)
SELECT_MODE = sa.select(*MODE)
log = structlog.get_logger("ready")


class StartRefusedError(Exception):
    """The process must not serve. A startup check raises it with a sentence that says what to do.

    Example:
        def require_currency(unit: UnitOfWork, *, settings: Settings) -> None:
            if not unit.session.exec(select(Currency.id).limit(1)).first():
                raise StartRefusedError("The table currencies is empty; run python -m shop.currencies first.")
    """


@dataclass(frozen=True, slots=True)
class ReadinessFailure:
    """Why the process cannot serve.

    `cause` is for the log. `is_permanent`: waiting does not help. A start fails with `refusal`.
    """

    detail: str
    cause: Mapping[str, str]
    is_permanent: bool = False
    refusal: StartRefusedError | None = None


class DatabaseCheck:
    """Checks the database, in a worker thread."""

    def __init__(self, revisions: Revisions | None, required: Iterable[RequiredTable]) -> None:
        self.revisions = revisions
        self._required = tuple(required)
        self._stored: frozenset[str] | None = None
        self._fits_until = 0.0

    def forget(self) -> None:
        """Check the tables again next time: the database was unreachable, and may be another one now."""
        self._fits_until = 0.0

    def __call__(self, unit: UnitOfWork) -> ReadinessFailure | None:
        """Return the first failure, or None."""
        stored = stored_revisions(unit)
        if self.revisions is not None and (mismatch := self.revisions.mismatch(stored)) is not None:
            return ReadinessFailure(mismatch, {}, is_permanent=not stored)
        if stored != self._stored or time.monotonic() >= self._fits_until:
            mismatch = table_mismatch(unit, self._required)
            self._stored, self._fits_until = stored, 0.0 if mismatch else time.monotonic() + TABLES_SECONDS
            if mismatch is not None:
                return ReadinessFailure(mismatch, {})
        if not unit.settings.read_only:
            _require_writes(unit)
        return None


def stored_revisions(unit: UnitOfWork) -> frozenset[str]:
    """Return the revisions of the database. Empty if it was never migrated.

    Raises:
        UnavailableError: 503 when the database does not answer.
    """
    try:
        return frozenset(str(row["version_num"]) for row in unit.fetch(SELECT_VERSION, {}))
    except RowhouseError as error:
        cause = cause_of(error)
        if cause.get("sqlstate") != UNDEFINED_TABLE and "no such table" not in cause.get("message", ""):
            raise
        return frozenset()


def _require_writes(unit: UnitOfWork) -> None:
    """Reject a standby, a read-only database, and a file that is not writable.

    Raises:
        ReadOnlyDatabaseError: 503. The runner then tries a new connection, which may reach the present primary.
    """
    if unit.database.dialect.name == "sqlite":
        reason = _read_only_file(unit)
    else:
        (mode,) = unit.fetch(SELECT_MODE, {})
        reason = "it is a standby" if mode["standby"] else None
        if reason is None and mode["read_only"] == "on":
            reason = "default_transaction_read_only is on"
    if reason is not None:
        raise ReadOnlyDatabaseError(STANDBY.format(reason))


def _read_only_file(unit: UnitOfWork) -> str | None:
    driver = unit.thread_connection.driver
    ((_number, _name, path),) = driver.execute("SELECT * FROM pragma_database_list WHERE name = 'main'").fetchall()
    ((only_queries,),) = driver.execute("PRAGMA query_only").fetchall()
    if only_queries or "mode=ro" in unit.settings.database_url:
        return "DATABASE_URL opens the file read-only"
    if not (os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK)):  # noqa: PTH120  a text from SQLite
        return "its file is gone, or it or its folder may not be written"
    return None


class Readiness:
    """The readiness of the process.

    `prepare` runs once the database can serve, and creates the administrator. `warm_up` runs after it, in a thread that
    handles requests. If it fails, or takes longer than `WARM_UP_SECONDS`, the process serves all the same.
    """

    def __init__(
        self,
        runner: RequestRunner,
        check: DatabaseCheck,
        drain: Drain,
        *,
        prepare: Callable[[UnitOfWork], Any],
        warm_up: Callable[[UnitOfWork], Any],
        settings: Settings,
    ) -> None:
        self._runner = runner
        self._database_check = check
        self._drain = drain
        self._prepare, self._warm_up = prepare, warm_up
        self._writes = not settings.read_only
        self._is_prepared = False
        self._pending: asyncio.Task[ReadinessFailure | None] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._warming_up: asyncio.Task[None] | None = None
        self._last_logged: str | None = "never checked"

    @property
    def note(self) -> dict[str, str]:
        """Further members of the response of a ready process."""
        if self._database_check.revisions is not None:
            return {}
        return {"migrations": "none found for these models; their tables were compared instead"}

    async def failure(self, *, seconds: float = PROBE_SECONDS) -> ReadinessFailure | None:
        """Return why the process cannot serve now, within `seconds`. None if it can."""
        if self._drain.has_begun:
            return ReadinessFailure(DRAINING, {})
        pending, loop = self._pending, asyncio.get_running_loop()
        if pending is None or pending.done() or pending.get_loop() is not loop:
            pending = self._pending = loop.create_task(self._check())
        try:
            async with asyncio.timeout(seconds):
                failure = await asyncio.shield(pending)
        except TimeoutError:
            failure = ReadinessFailure(SLOW, {})
        if failure is not None and failure.detail in (SILENT, SLOW):
            self._database_check.forget()
        self._log_change(failure)
        return failure

    async def _check(self) -> ReadinessFailure | None:
        """Check the database, for all waiting callers, until it responds."""
        try:
            failure = await self._runner.run(self._database_check, write=False, group=WorkerGroup.PROBE)
            if failure is None and not self._is_prepared:
                await self._runner.run(self._prepare, write=self._writes, group=WorkerGroup.PROBE)
                self._warming_up = asyncio.create_task(self._prepare_requests())
                await asyncio.wait({self._warming_up}, timeout=WARM_UP_SECONDS)
                self._is_prepared = True
        except StartRefusedError as error:
            return ReadinessFailure(str(error), {}, is_permanent=True, refusal=error)
        except ReadOnlyDatabaseError as error:
            return ReadinessFailure(error.detail, cause_of(error))
        except RowhouseError as error:
            cause = cause_of(error)
            detail = SILENT if isinstance(error, (DatabaseError, ConnectionLostError)) else REFUSED
            return ReadinessFailure(detail, cause, is_permanent=_is_permanent(cause))
        return failure

    async def _prepare_requests(self) -> None:
        try:
            await self._runner.run(self._warm_up, write=False)
        except RowhouseError as error:
            log.warning("the first requests will take longer", reason=error.detail, **cause_of(error))

    def _log_change(self, failure: ReadinessFailure | None) -> None:
        """Log a change, not each probe."""
        reason = None if failure is None else failure.detail
        if reason == self._last_logged:
            return
        self._last_logged = reason
        if failure is None:
            log.info("ready")
        else:
            log.warning("not ready", reason=failure.detail, **failure.cause)

    async def start(self, *, seconds: float) -> None:
        """Check for the first time. After a failure, check again in the background until it is fixed.

        Raises:
            StartRefusedError: if the process must not serve.
        """
        failure = await self.failure(seconds=seconds)
        if failure is not None and failure.refusal is not None:
            raise failure.refusal
        if failure is not None:
            self._waiting = asyncio.create_task(self._until_ready())

    async def _until_ready(self) -> None:
        is_ready = False
        while not is_ready:
            await asyncio.sleep(RETRY_SECONDS)
            is_ready = await self.failure() is None

    def close(self) -> None:
        """Stop checking, even while the database does not respond."""
        for task in (self._waiting, self._pending, self._warming_up):
            if task is not None:
                task.cancel()


# Messages of PostgreSQL for connections that only other settings can fix. They have no SQLSTATE: libpq returns only
# text.
WRONG_SETTINGS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied for database",
    "is not permitted to log in",
    "invalid connection option",
    'value: "',  # invalid sslmode value: "on"
    'for connection option "',
    "invalid port number",
    "definition of service",
    "server does not support SSL",
)


def _is_permanent(cause: Mapping[str, str]) -> bool:
    return any(words in cause.get("message", "") for words in WRONG_SETTINGS) and "sqlstate" not in cause
