"""Retries a migration that gets no lock of PostgreSQL.

A statement that changes a table waits for every transaction that uses the table, and later ones wait behind it. So it
waits at most `lock_timeout` (LOCK_SECONDS, unless the role has its own). Then the transaction is rolled back, which
lets the others pass, and is tried again, for at most `RETRY_SECONDS`. What a migration has committed in an
`autocommit_block()` never runs twice: there, and in the first statement after it, only the failed statement is
retried. Migrations that use a new member of an enum are tried again, too (`native_enums`).

SQLite waits for its write lock instead (`running`).
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from psycopg.errors import ActiveSqlTransaction, DeadlockDetected, LockNotAvailable, UnsafeNewEnumValueUsage
from psycopg.pq import TransactionStatus
from sqlalchemy import event

from rowhouse.db.engine import driver_of
from rowhouse.migrations.operations.native_enums import replace_types, replaces_types

RETRY_SECONDS = 180.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 16.0
SHOWN = 100  # characters of a statement
CONCURRENTLY = re.compile(r"\bCONCURRENTLY\b", re.IGNORECASE)
LOCK_ERRORS = (LockNotAvailable, DeadlockDetected)
# The oldest transaction that holds a lock on something that the statement names. A role without the right to see other
# sessions' activity still sees their roles.
HOLDER = r"""
SELECT pid, coalesce(usename::text, backend_type), state,
       floor(extract(epoch FROM clock_timestamp() - xact_start))::integer
FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_stat_activity USING (pid)
WHERE granted AND pid <> pg_backend_pid() AND relnamespace <> 'pg_catalog'::regnamespace
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND $1 ~ ('\y' || regexp_replace(relname, '(\W)', '\\\1', 'g') || '\y')
ORDER BY xact_start, pid LIMIT 1
"""
log = logging.getLogger("rowhouse.migrations")
Migrate = Callable[[sa.Connection, Callable[..., None]], None]


class LockedOutError(CommandError):
    """A migration got no lock in time, or cannot be tried again."""


class LockRetries:
    """Runs migrations on one connection, the only one of its engine, and retries when they get no lock."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._deadline: float | None = None
        self._pause = FIRST_PAUSE
        # Of the current migration, and of the open transaction.
        self._has_committed = False
        self._statements = 0
        event.listen(connection, "begin", self._began)
        event.listen(connection, "commit", self._committed)
        event.listen(connection, "before_cursor_execute", self._counted)
        if connection.dialect.name == "postgresql":
            event.listen(connection.engine, "do_execute", self._execute)

    def run(self, migrate: Migrate) -> None:
        """Call `migrate(connection, on_version_apply)`, again if it got no lock.

        It starts at the first pending migration.

        Raises:
            LockedOutError: no lock for `RETRY_SECONDS`, or a part is committed and the rest failed.
        """
        while True:
            self._has_committed = False
            try:
                return migrate(self._connection, self.applied)
            except sa.exc.OperationalError as error:
                if self._can_use_new_members(error.orig):
                    continue
                if not isinstance(error.orig, LOCK_ERRORS):
                    raise
                if self._has_committed:
                    raise _half_done(error.orig, str(error.statement)) from error
                self._give_way(error.orig, str(error.statement))

    def _can_use_new_members(self, error: BaseException | None) -> bool:
        """Return True if the migrations failed because one uses a member of an enum that another has just added.

        They are tried once more, and replace the type instead.
        """
        if not isinstance(error, UnsafeNewEnumValueUsage) or self._has_committed or replaces_types(self._connection):
            return False
        replace_types(self._connection)
        return True

    def applied(self, *, ctx: MigrationContext, **_others: Any) -> None:
        """Commit the revision of a migration with an `autocommit_block()` before the next one begins."""
        if self._has_committed:
            with ctx.autocommit_block():
                pass  # which commits what is open
            self._has_committed = False

    def _began(self, _connection: sa.Connection) -> None:
        self._statements = 0

    def _committed(self, _connection: sa.Connection) -> None:
        self._has_committed = True

    def _counted(self, *_statement: Any) -> None:
        self._statements += 1

    def _execute(self, cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        """Retry a statement that can run alone. Return True if it was run, False to let SQLAlchemy run it."""
        is_outside = cursor.connection.info.transaction_status == TransactionStatus.IDLE
        if is_outside and CONCURRENTLY.search(statement):
            with _unbounded(driver_of(self._connection)):
                cursor.execute(statement, parameters)
        elif is_outside or self._is_first(cursor.connection):
            self._persist(cursor, statement, parameters, is_outside=is_outside)
        else:
            return False
        return True

    def _is_first(self, connection: psycopg.Connection[Any]) -> bool:
        """Return True for the first statement after an `autocommit_block()`: a rollback undoes nothing else."""
        if not self._has_committed or self._statements > 1:
            return False
        row: Any = connection.execute("SELECT pg_current_xact_id_if_assigned() IS NULL").fetchone()
        return bool(row[0])

    def _persist(self, cursor: Any, statement: str, parameters: Any, *, is_outside: bool) -> None:
        driver = driver_of(self._connection)
        while True:
            try:
                run = partial(_bounded, driver, cursor) if is_outside and driver.is_pooled else cursor.execute
                run(statement, parameters)
            except LOCK_ERRORS as error:
                if driver.in_transaction:
                    driver.rollback()
                self._give_way(error, statement)
                if not is_outside:
                    driver.begin_now()
            else:
                return

    def _give_way(self, error: BaseException, statement: str) -> None:
        """Log what failed and wait, longer each time. No transaction may be open."""
        now = time.monotonic()
        self._deadline = self._deadline or now + RETRY_SECONDS
        holder = _holder(self._connection, statement)
        if now >= self._deadline:
            raise LockedOutError(
                f"`{_short(statement)}` got no lock in {RETRY_SECONDS:.0f} seconds: "
                f"{holder or 'its holder is unknown'}. Nothing of the migration is stored except what an "
                "autocommit_block() committed; try again later, or end that transaction"
            ) from error
        pause = min(self._pause, self._deadline - now)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        found = f" ({holder})" if holder else ""
        log.warning("no lock for `%s`%s; trying again in %.1f s", _short(statement), found, pause)
        time.sleep(pause)


@contextmanager
def _unbounded(driver: Any) -> Iterator[None]:
    """Let a statement wait without a limit: nothing waits behind it, and a timeout would leave an invalid index.

    Changes nothing in a session that a pooler shares; it has no timeout of its own.
    """
    if driver.is_pooled:
        yield
        return
    former = driver.execute("SELECT current_setting('lock_timeout')").fetchone()[0]
    driver.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        driver.execute("SELECT set_config('lock_timeout', $1, false)", [former])


def _bounded(driver: Any, cursor: Any, statement: str, parameters: Any) -> None:
    """Run a statement in its own transaction if it may run in one: that sets the timeouts of a shared session."""
    driver.begin_now()
    try:
        cursor.execute(statement, parameters)
    except ActiveSqlTransaction:
        driver.rollback()
        cursor.execute(statement, parameters)
    except psycopg.Error:
        driver.rollback()
        raise
    else:
        driver.commit()


def _holder(connection: sa.Connection, statement: str) -> str | None:
    """Describe the transaction that holds what a statement names. None if there is none."""
    row = driver_of(connection).execute(HOLDER, [statement], prepare=False).fetchone()
    if row is None:
        return None
    process, role, state, seconds = row
    if state is None:
        return f"process {process} of {role} holds it"
    return f"process {process} of {role}, {state}, began {seconds} seconds ago"


def _half_done(error: BaseException, statement: str) -> LockedOutError:
    return LockedOutError(
        f"`{_short(statement)}` failed ({type(error).__name__}) behind an autocommit_block(), whose part of the "
        "migration is committed and does not run again. Run the rest by hand and `alembic stamp` the revision; the "
        "next time, put it into a migration of its own"
    )


def _short(statement: str) -> str:
    words = " ".join(statement.split())
    return words if len(words) <= SHOWN else f"{words[:SHOWN]} …"
