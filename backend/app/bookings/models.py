"""Charge points, vehicles and bookings."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field

from app.bookings.errors import SlotTakenError
from rowhouse import READ_ONLY, Entity, NoOverlap


class Connector(StrEnum):
    """The connector of a charge point or a vehicle."""

    TYPE2 = "type2"
    CCS = "ccs"
    CHADEMO = "chademo"


class ChargePointStatus(StrEnum):
    """Whether a charge point can be booked."""

    AVAILABLE = "available"
    MAINTENANCE = "maintenance"
    RETIRED = "retired"


class BookingStatus(StrEnum):
    """The state of a booking."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


LIVE = (BookingStatus.PENDING, BookingStatus.CONFIRMED, BookingStatus.ACTIVE)


class ChargePoint(Entity, table=True):
    """A charge point; `power_kw` in kilowatts, `price_per_kwh` in euros, the position in degrees (WGS 84)."""

    code: str = Field(min_length=1, max_length=32, unique=True)
    # A network has thousands of charge points, not millions. A list may read them all.
    name: str = Field(min_length=1, max_length=200, index=False)
    latitude: float = Field(ge=-90, le=90, index=False)
    longitude: float = Field(ge=-180, le=180, index=False)
    connector: Connector = Field(index=False)
    power_kw: Decimal = Field(gt=0, max_digits=6, decimal_places=1, index=False)
    price_per_kwh: Decimal = Field(ge=0, max_digits=8, decimal_places=4, index=False)
    status: ChargePointStatus = Field(default=ChargePointStatus.AVAILABLE, index=False)


class Vehicle(Entity, table=True):
    """A vehicle of a driver."""

    driver_id: int = Field(foreign_key="users.id", index=True)
    plate: str = Field(min_length=1, max_length=20, index=True)
    connector: Connector = Field(index=False)


class Booking(Entity, table=True):
    """A booking of a charge point by a driver, for a half-open interval of time.

    A PENDING booking holds its slot until `hold_expires_at`. From then on it is read as EXPIRED. No job stores that
    state: it is stored when another booking needs the slot.
    """

    __table_args__ = (
        CheckConstraint("start_time < end_time", name="times_in_order"),
        Index(None, "charge_point_id", "start_time"),
        # Lists of one driver's bookings, in the order of their ids.
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
    # It is at most a day after start_time, which such lists can filter by.
    end_time: datetime = Field(index=False)
    # It is read through an expression of the present time, which no index can serve.
    status: Annotated[BookingStatus, READ_ONLY] = Field(default=BookingStatus.PENDING, index=False)
    hold_expires_at: Annotated[datetime, READ_ONLY] = Field(index=False)
