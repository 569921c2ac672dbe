"""The rules of bookings: their times, their charge points and the steps between their states.

`NoOverlap` on the class keeps two live bookings from overlapping. On each write of a place or a time, the engine
locks the charge point before `validate_many` runs, and looks for a conflict after it. The database makes an overlap
impossible.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, UTCDateTime, col, select

from app.bookings.errors import BookingClosedError, ChargePointUnavailableError
from app.bookings.models import LIVE, Booking, BookingStatus, ChargePoint, ChargePointStatus, Vehicle
from app.bookings.settings import SETTINGS
from rowhouse import (
    ADMIN,
    Caller,
    CRUDBase,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    ReferenceNotFoundError,
    Row,
    Transition,
    TransitionError,
    UnitOfWork,
    element_error,
    now,
)

CHANGEABLE = (BookingStatus.PENDING, BookingStatus.CONFIRMED)
PLACE_AND_TIME = ("charge_point_id", "start_time", "end_time")
PRESENT = sa.bindparam("present", type_=UTCDateTime(), callable_=now)
HAS_LAPSED = sa.and_(col(Booking.status) == BookingStatus.PENDING, col(Booking.hold_expires_at) <= PRESENT)


def require_start_time(stored: Row, _unit: UnitOfWork) -> None:
    """Require that charging starts at most some minutes before the booked time, and before its end."""
    minutes = SETTINGS.booking_early_minutes
    if not stored["start_time"] - timedelta(minutes=minutes) <= now() < stored["end_time"]:
        raise TransitionError(f"A booking can be started from {minutes} minutes before start_time until end_time.")


CONFIRM = Transition(
    "confirm",
    (BookingStatus.PENDING,),
    BookingStatus.CONFIRMED,
    policy=ADMIN,
    description="Confirm a PENDING booking before its hold expires. Requires the role admin.",
)
CANCEL = Transition(
    "cancel",
    CHANGEABLE,
    BookingStatus.CANCELLED,
    description="Cancel a PENDING or CONFIRMED booking and free its slot. Requires its driver or an administrator.",
)
START = Transition(
    "start",
    (BookingStatus.CONFIRMED,),
    BookingStatus.ACTIVE,
    check=require_start_time,
    description="Start a CONFIRMED booking, from 15 minutes before its start until its end.",
)
COMPLETE = Transition(
    "complete",
    (BookingStatus.ACTIVE,),
    BookingStatus.COMPLETED,
    description="Complete an ACTIVE booking and free the rest of its slot.",
)
BOOKING_STEPS = (CONFIRM, CANCEL, START, COMPLETE)


class BookingCRUD(CRUDBase[Booking]):
    """Bookings. Their rules hold for every create and every change, of one booking or many."""

    computed_columns: ClassVar[Mapping[str, sa.ColumnElement[Any]]] = {
        "status": sa.case((HAS_LAPSED, BookingStatus.EXPIRED), else_=col(Booking.status))
    }

    def prepare_many(self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Hold the slot of a new booking for some minutes."""
        super().prepare_many(rows, stored=stored, unit=unit)
        hold = timedelta(minutes=SETTINGS.booking_hold_minutes)
        for values, before in zip(rows, stored, strict=True):
            if before is None:
                values["hold_expires_at"] = values["created_at"] + hold

    def validate_many(self, rows: Sequence[Booking], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Reject a booking that breaks a rule."""
        super().validate_many(rows, stored=stored, unit=unit)
        pairs = [(row, before, is_moved(row, before)) for row, before in zip(rows, stored, strict=True)]
        places = {row.charge_point_id for row, _, moved in pairs if moved}
        cars = {row.vehicle_id for row, before, _ in pairs if row.vehicle_id is not None and not is_step(row, before)}
        known = found_places(unit.session, places) if places else {}
        if any(place.has_lapsed_hold for place in known.values()):
            expire_holds(unit.session, places)
        # Drivers see only their own vehicles, and a reference to another one has been rejected.
        is_administrator = unit.caller is None or unit.caller.is_admin
        drivers = vehicle_drivers(unit.session, cars) if cars and is_administrator else None
        for position, (row, before, moved) in enumerate(pairs):
            if is_step(row, before):
                continue  # its transition has checked it
            with element_error(position):
                if before is not None:
                    require_changeable(before)
                if drivers is not None:
                    require_own_vehicle(row, drivers)
                if moved:
                    require_bookable_time(row.start_time, row.end_time)
                    require_available(row.charge_point_id, known)

    def delete(self, unit: UnitOfWork, key: int) -> None:
        """Delete a booking. Requires an administrator; drivers cancel instead."""
        require_administrator(unit.caller)
        super().delete(unit, key)

    def delete_many(self, unit: UnitOfWork, keys: Sequence[int]) -> None:
        """Delete bookings, as `delete` does. The error names the first one."""
        with element_error(0):
            require_administrator(unit.caller)
        super().delete_many(unit, keys)


def require_administrator(caller: Caller | None) -> None:
    """Require an administrator for a delete."""
    if caller is None or not caller.is_admin:
        raise PermissionDeniedError("Only administrators delete bookings; cancel it instead.")


def is_step(row: Booking, stored: Row | None) -> bool:
    """Return True if the change is one of its state."""
    return stored is not None and row.status is not stored["status"]


def is_moved(row: Booking, stored: Row | None) -> bool:
    """Return True if the booking is new, or gets another place or time."""
    if stored is None:
        return True
    return not is_step(row, stored) and any(getattr(row, name) != stored[name] for name in PLACE_AND_TIME)


def require_changeable(stored: Row) -> None:
    """Require that the booking is neither over nor under way."""
    if stored["status"] not in CHANGEABLE:
        raise BookingClosedError


def require_bookable_time(start: datetime, end: datetime) -> None:
    """Require that a booking has an allowed length, and that its start is neither past nor too far ahead."""
    length, present = end - start, now()
    if length < timedelta(minutes=SETTINGS.booking_min_minutes):
        raise InvalidInputError.at(
            "body", "end_time", message=f"must be at least {SETTINGS.booking_min_minutes} minutes after start_time"
        )
    if length > timedelta(hours=SETTINGS.booking_max_hours):
        raise InvalidInputError.at(
            "body", "end_time", message=f"must be at most {SETTINGS.booking_max_hours} hours after start_time"
        )
    if start < present:
        raise InvalidInputError.at("body", "start_time", message="must not be in the past")
    if start > present + timedelta(days=SETTINGS.booking_max_days_ahead):
        raise InvalidInputError.at(
            "body", "start_time", message=f"must be at most {SETTINGS.booking_max_days_ahead} days ahead"
        )


class Place(NamedTuple):
    """A charge point: its state, and whether it has a booking that was not confirmed in time."""

    status: ChargePointStatus
    has_lapsed_hold: bool


def found_places(session: Session, ids: Collection[int]) -> dict[int, Place]:
    """Return each charge point that exists, by its id."""
    lapsed = sa.exists().where(col(Booking.charge_point_id) == col(ChargePoint.id), HAS_LAPSED)
    found = session.exec(
        select(col(ChargePoint.id), col(ChargePoint.status), lapsed).where(col(ChargePoint.id).in_(ids))
    )
    return {key or 0: Place(status, has_lapsed_hold) for key, status, has_lapsed_hold in found}


def require_available(charge_point_id: int, known: Mapping[int, Place]) -> None:
    """Require that the charge point exists and is in service."""
    if charge_point_id not in known:
        raise ReferenceNotFoundError(f"charge_point_id: there is nothing with the id {charge_point_id}.")
    if known[charge_point_id].status is not ChargePointStatus.AVAILABLE:
        raise ChargePointUnavailableError


def vehicle_drivers(session: Session, ids: Collection[int]) -> dict[int, int]:
    """Return the driver of each vehicle that exists, by the id of the vehicle."""
    found = session.exec(select(col(Vehicle.id), col(Vehicle.driver_id)).where(col(Vehicle.id).in_(ids)))
    return {key or 0: driver for key, driver in found}


def require_own_vehicle(row: Booking, drivers: Mapping[int, int]) -> None:
    """Require that the vehicle belongs to the driver of the booking. To them, no other vehicle exists."""
    if row.vehicle_id is not None and drivers.get(row.vehicle_id) != row.driver_id:
        raise ReferenceNotFoundError(f"vehicle_id: there is nothing with the id {row.vehicle_id}.")


def expire_holds(session: Session, places: Collection[int]) -> None:
    """Store EXPIRED for bookings that were not confirmed in time: the constraint reads the stored state."""
    stale = sa.update(Booking).where(col(Booking.charge_point_id).in_(places), HAS_LAPSED)
    session.exec(stale.values(status=BookingStatus.EXPIRED, updated_at=now()))


def free_intervals(
    session: Session, charge_point_id: int, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """Return the half-open intervals of [start, end) that are free at a charge point, in order.

    A charge point that is out of service has none.

    Raises:
        NotFoundError: 404 if there is no such charge point.
    """
    charge_point = session.get(ChargePoint, charge_point_id)
    if charge_point is None:
        raise NotFoundError(f"There is no ChargePoint with the id {charge_point_id}.")
    if charge_point.status is not ChargePointStatus.AVAILABLE:
        return []
    booked = select(Booking.start_time, Booking.end_time).where(
        Booking.charge_point_id == charge_point_id,
        col(Booking.status).in_(LIVE),
        sa.not_(HAS_LAPSED),
        col(Booking.start_time) < end,
        col(Booking.end_time) > start,
    )
    free, position = [], start
    for taken_from, taken_until in session.exec(booked.order_by(col(Booking.start_time))):
        if taken_from > position:
            free.append((position, taken_from))
        position = max(position, taken_until)
    return [*free, (position, end)] if position < end else free
