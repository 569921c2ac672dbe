"""The rules of a booking: when, where, and how it goes from state to state.

That two live bookings never overlap is declared on the class (`NoOverlap`): the engine queues rivals for the charge point before
`validate` runs and asks for a free slot after it, on every write; the database makes an overlap impossible.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from app.bookings.errors import BookingClosedError, ChargePointUnavailableError
from app.bookings.models import LIVE, Booking, BookingStatus, ChargePoint, ChargePointStatus, Vehicle
from app.bookings.settings import SETTINGS
from rowhouse import (
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
WHERE_AND_WHEN = ("charge_point_id", "start_time", "end_time")
PRESENT = sa.bindparam("present", type_=UTCDateTime(), callable_=now)
HAS_LAPSED = sa.and_(col(Booking.status) == BookingStatus.PENDING, col(Booking.hold_expires_at) <= PRESENT)

CONFIRM = Transition("confirm", (BookingStatus.PENDING,), BookingStatus.CONFIRMED, administrators_only=True)
CANCEL = Transition("cancel", CHANGEABLE, BookingStatus.CANCELLED)
START = Transition("start", (BookingStatus.CONFIRMED,), BookingStatus.ACTIVE)
COMPLETE = Transition("complete", (BookingStatus.ACTIVE,), BookingStatus.COMPLETED)


class BookingCRUD(CRUDBase[Booking]):
    """Bookings: the rules hold on create and on every change, of one and of many at once."""

    shown: ClassVar[Mapping[str, sa.ColumnElement[Any]]] = {
        "status": sa.case((HAS_LAPSED, BookingStatus.EXPIRED), else_=col(Booking.status))
    }

    def prepare_many(self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """A new booking holds its slot for a while."""
        super().prepare_many(rows, stored=stored, unit=unit)
        for values, before in zip(rows, stored, strict=True):
            if before is None:
                values["hold_expires_at"] = now() + timedelta(minutes=SETTINGS.booking_hold_minutes)

    def validate_many(self, rows: Sequence[Booking], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Refuse a booking that its rules do not allow."""
        super().validate_many(rows, stored=stored, unit=unit)
        places = {row.charge_point_id for row, before in zip(rows, stored, strict=True) if is_moved(row, before)}
        cars = {row.vehicle_id for row in rows if row.vehicle_id is not None}
        states = charge_point_states(unit.session, places) if places else {}
        drivers = vehicle_drivers(unit.session, cars) if cars else {}
        if places:
            expire_holds(unit.session, places)
        for position, (row, before) in enumerate(zip(rows, stored, strict=True)):
            if is_step(row, before):
                continue  # `advance` has judged it
            with element_error(position):
                if before is not None:
                    require_changeable(before)
                require_own_vehicle(row, drivers)
                if is_moved(row, before):
                    require_bookable_time(row.start_time, row.end_time)
                    require_available(row.charge_point_id, states)

    def delete(self, unit: UnitOfWork, key: int) -> None:
        """Remove a booking; drivers cancel instead."""
        require_administrator(unit.caller, "delete bookings; cancel it instead")
        super().delete(unit, key)

    def advance(self, unit: UnitOfWork, key: int, transition: Transition[BookingStatus]) -> Row:
        """Take a booking one step on, and give it as it is then.

        Raises:
            NotFoundError: 404 when there is none that the caller sees.
            PermissionDeniedError: 403 for a step that is not the caller's.
            TransitionError: 409 for a step that its state or the hour does not allow.
        """
        if transition.administrators_only:
            self.get(unit, key)  # a stranger's is missing, before it is forbidden
        transition.require_permission(unit.caller, "booking")
        stored = self.locked(unit, key)
        transition.require_source(stored["status"], "booking")
        if transition is START:
            require_hour(stored, early=timedelta(minutes=SETTINGS.booking_early_minutes))
        return self.update(unit, key, {"status": transition.target})


def require_administrator(caller: Caller | None, deed: str) -> None:
    """Some deeds are the administrators'."""
    if caller is None or not caller.is_admin:
        raise PermissionDeniedError(f"Only administrators {deed}.")


def is_step(row: Booking, stored: Row | None) -> bool:
    """Whether the change is one of its state."""
    return stored is not None and row.status is not stored["status"]


def is_moved(row: Booking, stored: Row | None) -> bool:
    """Whether the booking is new, or at another place or time than before."""
    if stored is None:
        return True
    return not is_step(row, stored) and any(getattr(row, name) != stored[name] for name in WHERE_AND_WHEN)


def require_changeable(stored: Row) -> None:
    """What is over, or under way, stays as it was agreed."""
    if stored["status"] not in CHANGEABLE:
        raise BookingClosedError


def require_hour(stored: Row, *, early: timedelta) -> None:
    """Charging starts shortly before the booked time at the earliest, and not after it."""
    if not stored["start_time"] - early <= now() < stored["end_time"]:
        minutes = int(early.total_seconds()) // 60
        raise TransitionError(f"A booking can be started from {minutes} minutes before start_time until end_time.")


def require_bookable_time(start: datetime, end: datetime) -> None:
    """A booking has a sensible length, is not in the past and not too far ahead."""
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


def charge_point_states(session: Session, ids: Collection[int]) -> dict[int, ChargePointStatus]:
    """By its id, the state of each of these charge points that is there."""
    found = session.exec(select(col(ChargePoint.id), col(ChargePoint.status)).where(col(ChargePoint.id).in_(ids)))
    return {key or 0: status for key, status in found}


def require_available(charge_point_id: int, states: Mapping[int, ChargePointStatus]) -> None:
    """The charge point is in service."""
    if charge_point_id not in states:
        raise ReferenceNotFoundError(f"charge_point_id: there is nothing with the id {charge_point_id}.")
    if states[charge_point_id] is not ChargePointStatus.AVAILABLE:
        raise ChargePointUnavailableError


def vehicle_drivers(session: Session, ids: Collection[int]) -> dict[int, int]:
    """By its id, whose each of these vehicles is that is there."""
    found = session.exec(select(col(Vehicle.id), col(Vehicle.driver_id)).where(col(Vehicle.id).in_(ids)))
    return {key or 0: driver for key, driver in found}


def require_own_vehicle(row: Booking, drivers: Mapping[int, int]) -> None:
    """A booking is for a car of its own driver; another's car is as good as none."""
    if row.vehicle_id is not None and drivers.get(row.vehicle_id) != row.driver_id:
        raise ReferenceNotFoundError(f"vehicle_id: there is nothing with the id {row.vehicle_id}.")


def expire_holds(session: Session, places: Collection[int]) -> None:
    """Free the slots of bookings that nobody confirmed in time: the database's rule counts what is written."""
    stale = sa.update(Booking).where(col(Booking.charge_point_id).in_(places), HAS_LAPSED)
    session.exec(stale.values(status=BookingStatus.EXPIRED, updated_at=now()))


def free_intervals(
    session: Session, charge_point_id: int, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """What is not booked of [start, end) at a charge point, as half-open intervals in order; nothing where it is out of service.

    Raises:
        NotFoundError: 404 for a charge point that is not there.
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
