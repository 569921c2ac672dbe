"""What the odd entities derive from: a metadata of their own, which no migration ever sees.

The accounts' tables are copied into it, so that an owner column can refer to them and a caller can sign in; those of the archive, the
history and the idempotency keys are too.
"""

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

from rowhouse.auth.models import RefreshToken, User
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import fold_with
from rowhouse.entities.model import BigIntegerKey, IntegerKey, Record, UUIDKey
from rowhouse.history.deleted_rows import deleted_rows
from rowhouse.history.entries import HistoryEntry
from rowhouse.requests.idempotency import idempotency_keys

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
fold_with(metadata)


def table_of(model: type[SQLModel]) -> sa.Table:
    """The table behind a table class."""
    table: sa.Table = model.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    return table


for shared_model in (User, RefreshToken, HistoryEntry):
    table_of(shared_model).to_metadata(metadata)
for shared_table in (deleted_rows, idempotency_keys):
    shared_table.to_metadata(metadata)


class OddRecord(Record, registry=registry(metadata=metadata)):
    """`Record` in the odd metadata."""


class OddEntity(IntegerKey, OddRecord):
    """`Entity` in the odd metadata."""


class OddBigEntity(BigIntegerKey, OddRecord):
    """An entity with a 64-bit key."""


class OddUUIDEntity(UUIDKey, OddRecord):
    """An entity with a UUID key."""
