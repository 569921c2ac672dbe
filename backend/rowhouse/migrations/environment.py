"""Runs migrations for Alembic. A project's `env.py` calls `run` and nothing else.

    from sqlmodel import SQLModel
    import api  # imports every model
    from rowhouse.migrations.environment import run

    run(SQLModel.metadata)

`alembic -x branch=rowhouse check` compares the engine's own tables instead of the project's.
"""

import logging
from collections.abc import Callable

import sqlalchemy as sa
from alembic import context

from rowhouse.core.settings import Settings
from rowhouse.db.engine import url_of
from rowhouse.migrations.autogenerate import autogenerate_options
from rowhouse.migrations.engine_tables import PROJECT
from rowhouse.migrations.locks import LockRetries
from rowhouse.migrations.running import migrating, write_out_driver_sql
from rowhouse.migrations.sqlite.rebuild import guarded


def run(metadata: sa.MetaData) -> None:
    """Run the migrations that Alembic asks for in one transaction, or write their SQL out (`--sql`).

    Uses the database that the settings name. Attributes of Alembic's configuration replace what is given here:
    `settings`, an open `connection`, and `metadata`. Only one migrator works on a database at a time.
    """
    log = logging.getLogger("alembic")
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)  # `env.py` may import an application, which makes Alembic log every step
    attributes = context.config.attributes
    metadata = attributes.setdefault("metadata", metadata)
    settings = attributes.get("settings") or Settings()
    if context.is_offline_mode():
        _write_out(url_of(settings), metadata)
    elif (given := attributes.get("connection")) is not None:
        _migrate(given, metadata)
    else:
        with migrating(settings) as connection:
            LockRetries(connection).run(lambda opened, applied: _migrate(opened, metadata, applied))


def _migrate(
    connection: sa.Connection, metadata: sa.MetaData, on_version_apply: Callable[..., None] | None = None
) -> None:
    branch = context.get_x_argument(as_dictionary=True).get("branch", PROJECT)
    options = autogenerate_options(metadata, branch)
    context.configure(connection=connection, target_metadata=metadata, on_version_apply=on_version_apply, **options)
    with guarded(connection, context.begin_transaction):
        context.run_migrations()


def _write_out(url: sa.URL, metadata: sa.MetaData) -> None:
    options = autogenerate_options(metadata)
    context.configure(url=url, target_metadata=metadata, literal_binds=True, **options)
    write_out_driver_sql(context.get_context())
    with context.begin_transaction():
        context.run_migrations()
