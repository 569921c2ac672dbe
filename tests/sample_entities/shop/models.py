"""The entities of the sample shop, in a metadata of their own."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field

from rowhouse import OverlapError
from rowhouse.entities.model import CREATE_ONLY, READ_ONLY, IntegerKey, Record
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.entities.search_index import SearchIndex
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()


class ShopEntity(IntegerKey, Record, registry=registry(metadata=metadata)):
    """`Entity` in the shop's metadata."""


class Category(ShopEntity, table=True):
    """A unique name."""

    name: str = Field(min_length=1, max_length=100, unique=True)
    description: str | None = Field(default=None, max_length=2000, index=False)


class Book(ShopEntity, table=True):
    """Refers to a category; has a unique title, two rules and a search index."""

    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        SearchIndex("title", "author"),
        Index(None, "author", "id"),
        Index(None, "category_id", "id"),
        Index(None, "price", "id"),
    )

    title: str = Field(min_length=1, max_length=255, unique=True)
    author: str = Field(min_length=1, max_length=255)
    description: str | None = Field(default=None, max_length=5000, index=False)
    price: Decimal = Field(gt=0, max_digits=10, decimal_places=2)
    stock: int = Field(default=0, ge=0, index=False)
    category_id: int = Field(foreign_key="categories.id")
    cover_image: str | None = Field(default=None, max_length=500, index=False)


class Review(ShopEntity, table=True):
    """Owned; one for each account and book, deleted together with its book."""

    __table_args__ = (
        UniqueConstraint("author_id", "book_id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating_one_to_five"),
        SearchIndex("comment"),
        Index(None, "book_id", "id"),
    )

    author_id: int = Field(foreign_key="users.id")
    book_id: Annotated[int, CREATE_ONLY] = Field(foreign_key="books.id", ondelete="CASCADE")
    rating: int = Field(ge=1, le=5, index=False)
    comment: str | None = Field(default=None, max_length=5000, index=False)


class Connector(StrEnum):
    """An enum of texts."""

    TYPE2 = "type2"
    CCS = "ccs"
    CHADEMO = "chademo"


class ChargePoint(ShopEntity, table=True):
    """Numbers with fractions, and an enum."""

    code: str = Field(min_length=1, max_length=32, unique=True)
    name: str = Field(min_length=1, max_length=200, index=False)
    latitude: float = Field(ge=-90, le=90, index=False)
    longitude: float = Field(ge=-180, le=180, index=False)
    connector: Connector = Field(index=False)
    power_kw: Decimal = Field(gt=0, max_digits=6, decimal_places=1, index=False)
    price_per_kwh: Decimal = Field(ge=0, max_digits=8, decimal_places=4, index=False)


class Vehicle(ShopEntity, table=True):
    """Owned and private."""

    driver_id: int = Field(foreign_key="users.id", index=True)
    plate: str = Field(min_length=1, max_length=20, index=True)
    connector: Connector = Field(index=False)


class BookingStatus(StrEnum):
    """The states of a booking."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"


LIVE = (BookingStatus.PENDING, BookingStatus.CONFIRMED)


class SlotTakenError(OverlapError):
    """409: another booking has the charge point at that time."""

    code = "slot_taken"
    default_detail = "Slot already booked"


class Booking(ShopEntity, table=True):
    """Owned; those of one charge point do not overlap, unless they are cancelled."""

    __table_args__ = (
        CheckConstraint("start_time < end_time", name="times_in_order"),
        Index(None, "charge_point_id", "start_time"),
        Index(None, "driver_id", "id"),
        NoOverlap(
            "charge_point_id",
            "start_time",
            "end_time",
            live={"status": LIVE},
            error=SlotTakenError,
            name="ex_bookings_slot",
        ),
    )

    charge_point_id: int = Field(foreign_key="charge_points.id")
    driver_id: int = Field(foreign_key="users.id")
    vehicle_id: int | None = Field(default=None, foreign_key="vehicles.id", index=True)
    start_time: datetime = Field(index=True)
    end_time: datetime = Field(index=False)
    status: Annotated[BookingStatus, READ_ONLY] = Field(default=BookingStatus.PENDING, index=False)
