"""Odd keys, references, owners, marks, rules and names."""

from datetime import date
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import field_validator, model_validator
from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field

from rowhouse.entities.model import CREATE_ONLY, READ_ONLY, SECRET
from rowhouse.entities.no_overlap import NoOverlap
from tests.sample_entities.odd.base import OddBigEntity, OddEntity, OddUUIDEntity


class Leaf(OddUUIDEntity, table=True):
    """A UUID key and a nullable column to sort by; its plural is irregular."""

    name: str = Field(max_length=60)
    position: int | None = Field(default=None, index=True)


class Vein(OddEntity, table=True):
    """Refers to a UUID key and to a 64-bit one."""

    leaf_id: UUID = Field(foreign_key="leafs.id", index=True)
    branch_id: int | None = Field(default=None, foreign_key="branches.id", sa_type=BigInteger)
    width: float = 1.0


class Branch(OddBigEntity, table=True):
    """A 64-bit key, and a reference to its own table."""

    name: str = Field(max_length=60)
    parent_id: int | None = Field(default=None, foreign_key="branches.id", sa_type=BigInteger, index=True)


class Graft(OddEntity, table=True):
    """Refers to one table twice, once beside a column of the name that the relation would have."""

    scion_id: int = Field(foreign_key="branches.id", sa_type=BigInteger)
    stock_id: int | None = Field(default=None, foreign_key="branches.id", sa_type=BigInteger)
    stock: int = 0


class Diary(OddEntity, table=True):
    """Owned, and private."""

    owner_id: int = Field(foreign_key="users.id", index=True)
    entry: str = Field(max_length=200)


class Notice(OddEntity, table=True):
    """Owned, and read by anyone."""

    author_id: int = Field(foreign_key="users.id", index=True)
    message: str = Field(max_length=200)


class Sealed(OddEntity, table=True):
    """Each mark: fixed after creation, set by the server, shown to nobody."""

    serial: Annotated[str, CREATE_ONLY] = Field(max_length=40, unique=True)
    state: Annotated[str, READ_ONLY] = Field(default="new", max_length=20)
    pin: Annotated[int, SECRET] = Field(default_factory=lambda: 987654321)
    api_key: Annotated[str | None, SECRET] = Field(default="hidden-api-key", max_length=40)
    picture: Annotated[bytes, SECRET] = b"hidden-picture"
    hint: Annotated[str, SECRET] | None = "hidden-hint"
    remark: str | None = Field(default=None, max_length=200)

    @field_validator("serial")
    @classmethod
    def _refuse_dots(cls, value: str) -> str:
        if "." in value:
            raise ValueError("a serial number has no dots")
        return value


class Seat(OddEntity, table=True):
    """Unique over two columns, and required to be in a hall."""

    __table_args__ = (UniqueConstraint("hall", "seat_number"),)

    hall: str = Field(max_length=60)
    seat_number: int


class Station(OddEntity, table=True):
    """Refers to a column of its own table that is no key; a rule of the class puts each write into a transaction."""

    code: str = Field(max_length=40, unique=True)
    next_code: str | None = Field(default=None, max_length=40, foreign_key="stations.code")

    @model_validator(mode="after")
    def _leads_on(self) -> Self:
        if self.next_code == self.code:
            raise ValueError("next_code must lead to another station")
        return self


class Period(OddEntity, table=True):
    """Field validators of both modes, and a rule over two columns."""

    label: str = Field(max_length=60)
    first_day: date
    last_day: date | None = None

    @field_validator("label", mode="before")
    @classmethod
    def _strip(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value

    @field_validator("label")
    @classmethod
    def _refuse_shouting(cls, value: str) -> str:
        if value.isupper():
            raise ValueError("do not shout")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError("last_day must not come before first_day")
        return self


class Parcel(OddEntity, table=True):
    """Its CRUDBase overrides three hooks: `scope`, `prepare` and `validate`."""

    name: str = Field(max_length=60)
    slug: Annotated[str, READ_ONLY] = Field(default="", max_length=80)
    weight: int = Field(ge=0)
    status: str = Field(default="public", max_length=20)


class Room(OddEntity, table=True):
    """Where meetings are."""

    name: str = Field(max_length=60)


class Meeting(OddEntity, table=True):
    """Meetings in one room that do not overlap, unless they were called off; whole hours."""

    __table_args__ = (NoOverlap("room_id", "first_hour", "end_hour", live={"state": ("booked", "begun")}),)

    room_id: int = Field(foreign_key="rooms.id")
    first_hour: int
    end_hour: int
    state: str = Field(default="booked", max_length=20)


class Visit(OddEntity, table=True):
    """Visits to a room, or to none, that do not overlap; under names that SQL has to quote."""

    __table_args__ = (NoOverlap("order", "group", "Until", live={"Zustand": ("booked",)}),)

    order: int | None = Field(default=None, foreign_key="rooms.id")
    group: int
    Until: int
    Zustand: str = Field(default="booked", max_length=20)


class Stay(OddEntity, table=True):
    """Stays on one leaf, whose key is a UUID, never overlap; whole days."""

    __table_args__ = (NoOverlap("leaf_id", "arrival", "departure"),)

    leaf_id: UUID = Field(foreign_key="leafs.id")
    arrival: date
    departure: date


class Reserved(OddEntity, table=True):
    """Columns called like words of the query string, of SQL and of the engine's own statements."""

    size: int
    page: int | None = None
    sort: str = Field(default="none", max_length=40)
    search: str | None = Field(default=None, max_length=40)
    limit: bool = False
    any: str | None = Field(default=None, max_length=40)
    order: int = 0
    group: str | None = Field(default=None, max_length=40)
    search_text: str | None = Field(default=None, max_length=40)
    total_rows: int = 0
    page_limit: int = 0
    page_offset: int | None = None
    row_key: str | None = Field(default=None, max_length=40)
    set_order: int = 0
    items: str | None = Field(default=None, max_length=40)


class UnreasonablyLongNamedStorageCompartment(OddEntity, table=True):
    """Its constraints' names are longer than PostgreSQL's identifiers."""

    compartment_designation_in_the_old_catalogue: str = Field(max_length=60, unique=True)
    superordinate_compartment_in_the_old_catalogue_id: int | None = Field(
        default=None, foreign_key="unreasonably_long_named_storage_compartments.id"
    )
