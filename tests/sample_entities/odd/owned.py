"""Owned entities that refer to each other, for the state machine."""

from datetime import datetime
from decimal import Decimal

from sqlmodel import Field

from rowhouse.entities.search_index import SearchIndex
from tests.sample_entities.odd.base import OddEntity
from tests.sample_entities.odd.columns import Colour


class Crate(OddEntity, table=True):
    """Owned and read by anyone; its unique label may be missing. What it is searched by has an index."""

    __table_args__ = (SearchIndex("place", "label"),)

    keeper_id: int = Field(foreign_key="users.id", index=True)
    label: str | None = Field(default=None, max_length=40, unique=True)
    place: str = Field(default="hall", max_length=40)


class Exhibit(OddEntity, table=True):
    """Owned and private; almost every column may be null. Refers to crates, which anyone reads, and to exhibits."""

    owner_id: int = Field(foreign_key="users.id", index=True)
    code: str = Field(max_length=40, unique=True)
    title: str = Field(max_length=80)
    note: str | None = Field(default=None, max_length=80)
    colour: Colour | None = None
    price: Decimal | None = Field(default=None, max_digits=10, decimal_places=2)
    seen_at: datetime | None = None
    rank: int = 0
    crate_id: int | None = Field(default=None, foreign_key="crates.id", index=True)
    twin_id: int | None = Field(default=None, foreign_key="exhibits.id", index=True)
