"""Separates the engine's tables from the project's: each branch of migrations changes only its own tables.

Adopted tables belong to no branch, and where there are some, neither do tables that no class has. Must not know any
table of a project.
"""

from collections.abc import Callable
from typing import cast

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.script import Script
from sqlmodel import SQLModel

from rowhouse.entities.model import is_adopted

ENGINE = "rowhouse"  # the label of the engine's branch of migrations
PROJECT = "project"  # the label that a project's first migration gets
ENGINE_TABLES = frozenset({"users", "refresh_tokens", "idempotency_keys", "deleted_rows", "history_entries"})
IsCompared = Callable[[str], bool]


def is_compared(metadata: sa.MetaData, branch: str = PROJECT) -> IsCompared:
    """Return a predicate on full names of tables: True for the tables that this branch of migrations changes.

    The engine's branch looks at the engine's tables, every other branch at all other tables. A table of the same name
    that other models declare belongs to the project. No branch changes an adopted table. In a project with adopted
    tables, a table without a class may belong to another program and is left alone. In other projects it is a table
    whose class was removed.
    """
    own = SQLModel.metadata.tables
    engine = {name for name in ENGINE_TABLES if metadata.tables.get(name, own[name]) is own[name]}
    adopted = {name for name, table in metadata.tables.items() if is_adopted(table)}
    if not adopted or branch == ENGINE:
        return lambda name: (name in engine) == (branch == ENGINE)
    project = metadata.tables.keys() - engine - adopted
    return lambda name: name in project


def compares_of(context: AutogenContext) -> IsCompared:
    """Return the predicate of a comparison that is under way. Without the engine's options every table is compared."""
    return cast(IsCompared, context.opts.get("compares", lambda _name: True))


def is_of_engine(script: Script) -> bool:
    """Return True for a migration of the engine's branch."""
    return ENGINE in script.branch_labels
