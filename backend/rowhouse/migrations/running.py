"""Runs one migrator at a time, or writes migrations as SQL. Must not know any migration."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine, disposing

# Long enough for another migrator that makes an index of a large table.
WAIT_SECONDS = 600
POLL_SECONDS = 0.1
# The key of PostgreSQL's advisory lock; any number will do that nobody else uses in this database.
LOCK_KEY = 0x526F77686F757365
NO_TIME_OUT = sa.text("SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout'")
# The last statement before a long pause. A SELECT would keep its snapshot until the next statement, and hold up an
# index that is made concurrently; this one takes none.
STAY_IDLE = sa.text("SET LOCAL idle_in_transaction_session_timeout = 0")
LOCK = sa.text("SELECT pg_try_advisory_xact_lock(:key)")


class StillMigratingError(CommandError):
    """Another migrator held the lock for the whole waiting time."""


@contextmanager
def migrating(settings: Settings) -> Iterator[sa.Connection]:
    """Open a connection for migrations. Wait up to `WAIT_SECONDS` while another migrator works."""
    if settings.database_url.startswith("sqlite"):
        # Each migrator's transaction begins with the write lock, before it reads which migrations were applied.
        settings = settings.model_copy(update={"lock_seconds": WAIT_SECONDS})
    with disposing(create_engine(settings)) as engine, _alone(engine), engine.connect() as connection:
        yield connection


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Hold PostgreSQL's lock of migrators.

    It belongs to a transaction on a connection of its own. A session's lock would be lost, or left behind, in a pooler
    that gives each transaction another session; a lock of the migrations' own transaction would end in an
    `autocommit_block()`.
    """
    if engine.dialect.name != "postgresql":
        yield
        return
    deadline = time.monotonic() + WAIT_SECONDS
    with engine.connect() as holder:
        while not _locks(holder):
            # Waiting inside a statement would block an index that the other migrator builds concurrently.
            holder.rollback()
            if time.monotonic() > deadline:
                raise StillMigratingError(
                    f"another migrator has been at work for {WAIT_SECONDS} seconds; try again later"
                )
            time.sleep(POLL_SECONDS)
        yield


def _locks(holder: sa.Connection) -> bool:
    """Try to take the lock, in a transaction that may stay open for a long time."""
    holder.execute(NO_TIME_OUT).all()
    is_locked = bool(holder.execute(LOCK, {"key": LOCK_KEY}).scalar())
    holder.execute(STAY_IDLE)
    return is_locked


class UnreadableError(CommandError):
    """A migration reads rows, but `--sql` has no database."""


class _Unread:
    """The result of a statement in `--sql` mode. Reading it is an error."""

    def __getattr__(self, name: str) -> NoReturn:
        raise UnreadableError("this migration reads the database, so it cannot be written out as SQL (--sql)")

    def __iter__(self) -> NoReturn:
        self.all()


def write_out_driver_sql(context: MigrationContext) -> None:
    """In `--sql` mode, write what a migration sends to the driver through `op.get_bind()`.

    Alembic writes only what it compiles itself, and returns None for every result.
    """
    stand_in: Any = context.connection  # Alembic's, which has no `exec_driver_sql`
    execute = stand_in.execute

    def execute_unread(*statement: Any, **options: Any) -> _Unread:
        execute(*statement, **options)
        return _Unread()

    def exec_driver_sql(statement: str) -> _Unread:
        context.impl.static_output(statement.strip() + context.impl.command_terminator)
        return _Unread()

    stand_in.execute = execute_unread
    stand_in.exec_driver_sql = exec_driver_sql
