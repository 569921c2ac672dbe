"""A program: compares the models, declares a new entity, lets Alembic write its migration, and applies it.

DATABASE_URL=... python -m tests.migrations.new_entity_program <alembic.ini> It is a process of its own, because a class stays in
the metadata. The database must be empty; the migration stays in the directory.
"""

import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlmodel import Field

from rowhouse.entities.model import SECRET, BigIntegerKey, Record
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.entities.search_index import SearchIndex
from rowhouse.migrations.writing import position


class Colour(StrEnum):
    """An enum whose values differ from its names."""

    DARK_RED = "dark red"
    GREEN = "green"


def declare() -> None:
    """Declare a column of every type that an entity may have."""

    class OddHouse(BigIntegerKey, Record, table=True):
        """An entity without rows."""

        __table_args__ = (
            sa.CheckConstraint("storeys > 0", name="storeys_positive"),
            sa.UniqueConstraint("street", "number"),
            sa.Index(None, "built_on", "storeys"),
            SearchIndex("note", "street"),
            NoOverlap("owner_id", "let_from", "let_until", live={"colour": (Colour.GREEN,)}),
        )

        street: str = Field(min_length=1, max_length=80)
        number: int
        storeys: int = Field(default=1, gt=0, sa_type=sa.SmallInteger)
        inhabitants: int | None = Field(default=None, sa_type=sa.BigInteger)
        note: str | None = None
        story: str = Field(sa_type=sa.Text)
        code: str = Field(sa_column=sa.Column(sa.String(40), nullable=False))
        motto: str | None = Field(default=None, sa_type=sa.Unicode(20))
        colour: Colour = Colour.GREEN
        price: Decimal = Field(gt=0, max_digits=10, decimal_places=2)
        height_m: float | None = None
        is_listed: bool = False
        built_on: date
        opens_at: time | None = None
        last_seen_at: datetime | None = Field(default=None, index=True)
        lease: timedelta | None = None
        cadastre: UUID = Field(unique=True)
        plan: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
        door_token: Annotated[str, SECRET] = Field(max_length=64)
        neighbour_id: int | None = Field(default=None, foreign_key="odd_houses.id", index=True, sa_type=sa.BigInteger)
        owner_id: int = Field(foreign_key="users.id", ondelete="CASCADE")
        let_from: date
        let_until: date


def write_and_apply(ini: str) -> None:
    """Run all steps. Each raises or exits if it finds a fault."""
    config = Config(ini)
    config.set_main_option("file_template", "%%(slug)s")
    command.upgrade(config, "heads")
    declare()
    command.revision(config, "odd houses", autogenerate=True, rev_id="odd", **position(config))
    command.upgrade(config, "heads")
    command.check(config)
    command.downgrade(config, "project@-1")
    command.upgrade(config, "heads")


if __name__ == "__main__":
    write_and_apply(sys.argv[1])
