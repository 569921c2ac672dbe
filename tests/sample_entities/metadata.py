"""The metadata of a group of sample entities, which no migration sees.

The engine's own tables are copied into it: an owner column can refer to accounts, and rows have a history.
"""

import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.auth.models import RefreshToken, User
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import fold_with
from rowhouse.history.deleted_rows import deleted_rows
from rowhouse.history.entries import HistoryEntry
from rowhouse.requests.idempotency import idempotency_keys


def table_of(model: type[SQLModel]) -> sa.Table:
    """Return the table of a table class."""
    table: sa.Table = model.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    return table


def new_metadata() -> sa.MetaData:
    """Return a metadata that holds the engine's own tables."""
    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    fold_with(metadata)
    for model in (User, RefreshToken, HistoryEntry):
        table_of(model).to_metadata(metadata)
    for table in (deleted_rows, idempotency_keys):
        table.to_metadata(metadata)
    return metadata
