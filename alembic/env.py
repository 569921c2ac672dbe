"""Runs the migrations on the database that the settings name; the metadata is everything `backend.api` registers."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateTableOp
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import UTCDateTime

import backend.api
import backend.crud.migration
import backend.crud.search_migration  # and `SearchIndex`
from backend.core.config import Settings
from backend.core.engines import create_engine
from backend.crud.model import EnumText
from backend.crud.no_overlap import NoOverlap


def render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write plain SQLAlchemy types, so that a migration does not change when the code does."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, EnumText):
        length = item.impl_instance.length if isinstance(item.impl_instance, sa.String) else None
        return f"sa.String(length={length}).with_variant(sa.String(length={length}, collation='C'), 'postgresql')"
    return False


def run() -> None:
    """Migrate over a connection of the application's own kind, in one transaction."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        _migrate(connection)
        return
    engine = create_engine(Settings())
    with engine.connect() as opened:
        _migrate(opened)
        opened.commit()
    engine.dispose()


def include_object(element: Any, _name: str | None, kind: str, _reflected: object, _other: object) -> bool:
    """Leave the search indexes to those who know them."""
    return backend.crud.search_migration.is_compared(element, kind)


def leave_out(_context: object, _revision: object, directives: list[Any]) -> None:
    """A table's `info` is for the application, and `NoOverlap` becomes an operation of its own."""
    for directive in directives:
        for step in getattr(directive.upgrade_ops, "ops", ()):
            if isinstance(step, CreateTableOp):
                step.info = {}
                step.columns = [part for part in step.columns if not isinstance(part, NoOverlap)]


def _migrate(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_item=render_item,
        include_object=include_object,
        render_as_batch=connection.dialect.name == "sqlite",
        process_revision_directives=leave_out,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
