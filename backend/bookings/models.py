"""Charge points, vehicles and bookings."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field

from backend.bookings.errors import SlotTakenError
from backend.crud.model import READ_ONLY, Entity
from backend.crud.no_overlap import NoOverlap


class Connector(StrEnum):
    """A plug."""

    TYPE2 = "type2"
    CCS = "ccs"
    CHADEMO = "chademo"


class ChargePointStatus(StrEnum):
    """Whether a charge point can be booked."""

    AVAILABLE = "available"
    MAINTENANCE = "maintenance"
    RETIRED = "retired"


class BookingStatus(StrEnum):
    """The life of a booking."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


LIVE = (BookingStatus.PENDING, BookingStatus.CONFIRMED, BookingStatus.ACTIVE)


class ChargePoint(Entity, table=True):
    """A place to charge; `power_kw` in kilowatts, `price_per_kwh` in euros, the position in degrees (WGS 84)."""

    code: str = Field(min_length=1, max_length=32, unique=True)
    name: str = Field(min_length=1, max_length=200)
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    connector: Connector
    power_kw: Decimal = Field(gt=0, max_digits=6, decimal_places=1)
    price_per_kwh: Decimal = Field(ge=0, max_digits=8, decimal_places=4)
    status: ChargePointStatus = ChargePointStatus.AVAILABLE


class Vehicle(Entity, table=True):
    """A driver's car."""

    driver_id: int = Field(foreign_key="users.id", index=True)
    plate: str = Field(min_length=1, max_length=20)
    connector: Connector


class Booking(Entity, table=True):
    """A charge point for one driver in a half-open interval of time.

    A PENDING booking holds its slot until `hold_expires_at`. From then on it is read as EXPIRED, with no job that would have to
    write it; the row itself changes when a rival comes.
    """

    __table_args__ = (
        CheckConstraint("start_time < end_time", name="times_in_order"),
        Index(None, "charge_point_id", "start_time"),
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
    driver_id: int = Field(foreign_key="users.id", index=True)
    vehicle_id: int | None = Field(default=None, foreign_key="vehicles.id", index=True)
    start_time: datetime
    end_time: datetime
    status: Annotated[BookingStatus, READ_ONLY] = BookingStatus.PENDING
    hold_expires_at: Annotated[datetime, READ_ONLY]
