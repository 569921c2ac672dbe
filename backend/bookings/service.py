"""The rules of a booking: when, where and whether the slot is free.

The row lock on the charge point orders those who want the same one; the database's own constraint makes an overlap impossible
whatever path writes it.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from backend.bookings.errors import BookingClosedError, ChargePointUnavailableError, SlotTakenError
from backend.bookings.models import LIVE, Booking, BookingStatus, ChargePoint, ChargePointStatus, Vehicle
from backend.core.config import Settings
from backend.core.db import UnitOfWork
from backend.core.errors import InvalidInputError, PermissionDeniedError, ReferenceNotFoundError
from backend.core.security import Caller
from backend.core.statement import Row
from backend.core.time import now
from backend.crud.base import CRUDBase

CHANGEABLE = (BookingStatus.PENDING, BookingStatus.CONFIRMED)
WHERE_AND_WHEN = ("charge_point_id", "start_time", "end_time")


class BookingCRUD(CRUDBase[Booking]):
    """Bookings: the rules hold on create and on every change."""

    def validate(self, row: Booking, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Refuse a booking that its rules do not allow."""
        if stored is not None and not is_changeable(stored, settings=unit.settings):
            raise BookingClosedError
        require_own_vehicle(unit.session, row)
        if stored is not None and all(getattr(row, name) == stored[name] for name in WHERE_AND_WHEN):
            return
        require_bookable_time(row.start_time, row.end_time, settings=unit.settings)
        require_available(unit.session, row.charge_point_id)
        expire_holds(unit.session, row.charge_point_id, settings=unit.settings)
        require_free_slot(unit.session, row)

    def delete(self, unit: UnitOfWork, key: int) -> None:
        """Remove a booking; drivers cancel instead."""
        require_administrator(unit.caller)
        super().delete(unit, key)


def require_administrator(caller: Caller | None) -> None:
    """Only administrators delete bookings."""
    if caller is None or not caller.is_admin:
        raise PermissionDeniedError("Only administrators delete bookings; cancel it instead.")


def is_changeable(stored: Row, *, settings: Settings) -> bool:
    """Whether a booking is CONFIRMED, or PENDING within its hold; a hold that ran out is as good as EXPIRED."""
    expired = stored["status"] is BookingStatus.PENDING and stored["created_at"] <= hold_deadline(settings)
    return stored["status"] in CHANGEABLE and not expired


def hold_deadline(settings: Settings) -> datetime:
    """A PENDING booking made at this instant or before holds its slot no longer."""
    return now() - timedelta(minutes=settings.booking_hold_minutes)


def require_bookable_time(start: datetime, end: datetime, *, settings: Settings) -> None:
    """A booking has a sensible length, is not in the past and not too far ahead."""
    length, present = end - start, now()
    if length < timedelta(minutes=settings.booking_min_minutes):
        raise InvalidInputError.at(
            "body", "end_time", message=f"must be at least {settings.booking_min_minutes} minutes after start_time"
        )
    if length > timedelta(hours=settings.booking_max_hours):
        raise InvalidInputError.at(
            "body", "end_time", message=f"must be at most {settings.booking_max_hours} hours after start_time"
        )
    if start < present:
        raise InvalidInputError.at("body", "start_time", message="must not be in the past")
    if start > present + timedelta(days=settings.booking_max_days_ahead):
        raise InvalidInputError.at(
            "body", "start_time", message=f"must be at most {settings.booking_max_days_ahead} days ahead"
        )


def require_available(session: Session, charge_point_id: int) -> None:
    """The charge point is in service; its row stays locked, so that rivals for its slots queue here."""
    locked = select(ChargePoint).where(ChargePoint.id == charge_point_id).with_for_update(key_share=True)
    charge_point = session.exec(locked.execution_options(populate_existing=True)).one_or_none()
    if charge_point is None:
        raise ReferenceNotFoundError(f"charge_point_id: there is nothing with the id {charge_point_id}.")
    if charge_point.status is not ChargePointStatus.AVAILABLE:
        raise ChargePointUnavailableError


def require_own_vehicle(session: Session, row: Booking) -> None:
    """A booking is for a car of its own driver; another's car is as good as none."""
    if row.vehicle_id is None:
        return
    vehicle = session.get(Vehicle, row.vehicle_id)
    if vehicle is None or vehicle.driver_id != row.driver_id:
        raise ReferenceNotFoundError(f"vehicle_id: there is nothing with the id {row.vehicle_id}.")


def expire_holds(session: Session, charge_point_id: int, *, settings: Settings) -> None:
    """Free the slots of bookings that nobody confirmed in time."""
    stale = sa.update(Booking).where(
        col(Booking.charge_point_id) == charge_point_id,
        col(Booking.status) == BookingStatus.PENDING,
        col(Booking.created_at) <= hold_deadline(settings),
    )
    session.exec(stale.values(status=BookingStatus.EXPIRED, updated_at=now()))


def require_free_slot(session: Session, row: Booking) -> None:
    """No other live booking of the charge point overlaps [start_time, end_time)."""
    rival = select(Booking.id).where(
        Booking.charge_point_id == row.charge_point_id,
        col(Booking.status).in_(LIVE),
        col(Booking.start_time) < row.end_time,
        col(Booking.end_time) > row.start_time,
        col(Booking.id) != row.id if row.id is not None else sa.true(),
    )
    if session.exec(rival.limit(1)).first() is not None:
        raise SlotTakenError
