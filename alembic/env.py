"""Runs the migrations on the database that the settings name; the metadata is everything `app.api` registers.

The attributes of the configuration may name another database (`settings`, or an open `connection`) and other models (`metadata`).
"""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import context
from sqlmodel import SQLModel

import app.api  # noqa: F401  imports every model
from rowhouse.core.settings import Settings
from rowhouse.db.engine import url_of
from rowhouse.migrations.autogenerate import autogenerate_options
from rowhouse.migrations.locks import Patience
from rowhouse.migrations.running import migrating, write_out_driver_sql
from rowhouse.migrations.sqlite.rebuild import guarded

METADATA = context.config.attributes.get("metadata", SQLModel.metadata)


def run() -> None:
    """Migrate in one transaction, over a connection of the application's own kind; or write the SQL out (`--sql`)."""
    given = context.config.attributes.get("connection")
    settings = context.config.attributes.get("settings") or Settings()
    if context.is_offline_mode():
        _write_out(url_of(settings))
    elif given is not None:
        _migrate(given)
    else:
        with migrating(settings) as connection:
            Patience(connection).run(_migrate)


def _migrate(connection: sa.Connection, on_version_apply: Callable[..., None] | None = None) -> None:
    options = autogenerate_options(METADATA)
    context.configure(connection=connection, target_metadata=METADATA, on_version_apply=on_version_apply, **options)
    with guarded(connection, context.begin_transaction):
        context.run_migrations()


def _write_out(url: sa.URL) -> None:
    options = autogenerate_options(METADATA)
    context.configure(url=url, target_metadata=METADATA, literal_binds=True, **options)
    write_out_driver_sql(context.get_context())
    with context.begin_transaction():
        context.run_migrations()


run()
