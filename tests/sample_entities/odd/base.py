"""The base classes of the odd entities, in a metadata of their own."""

from sqlalchemy.orm import registry

from rowhouse.entities.model import BigIntegerKey, IntegerKey, Record, UUIDKey
from tests.sample_entities.metadata import new_metadata, table_of

__all__ = ["OddBigEntity", "OddEntity", "OddRecord", "OddUUIDEntity", "metadata", "table_of"]

metadata = new_metadata()


class OddRecord(Record, registry=registry(metadata=metadata)):
    """`Record` in the odd metadata."""


class OddEntity(IntegerKey, OddRecord):
    """`Entity` in the odd metadata."""


class OddBigEntity(BigIntegerKey, OddRecord):
    """An entity with a 64-bit key."""


class OddUUIDEntity(UUIDKey, OddRecord):
    """An entity with a UUID key."""
