"""The routes of bookings: the steps of a booking, and the free times of a charge point."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel
from starlette.responses import Response

from app.bookings.models import Booking, BookingStatus
from app.bookings.service import CANCEL, COMPLETE, CONFIRM, START, BookingCRUD, free_intervals
from rowhouse import (
    TAGGED,
    CallerDep,
    Instant,
    InvalidInputError,
    Router,
    Row,
    SessionDep,
    Transition,
    UnitDep,
    crud_of,
    problem_responses,
    public_schema,
    row_id,
)

MAX_WINDOW = timedelta(days=366)
BookingPublic = public_schema(Booking)
BookingsDep = Annotated[BookingCRUD, crud_of(Booking)]
Id = Annotated[int, row_id("Booking")]
STEP: dict[int | str, dict[str, Any]] = {200: {"headers": TAGGED}, **problem_responses(409)}

bookings = Router(prefix="/bookings", tags=["bookings"])
charge_points = Router(prefix="/charge-points", tags=["charge-points"])


class Interval(BaseModel):
    """A half-open interval: `end_time` does not belong to it."""

    start_time: datetime
    end_time: datetime


class Availability(BaseModel):
    """The free intervals of a charge point, in order."""

    items: list[Interval]


def _advance(
    crud: BookingsDep, unit: UnitDep, booking_id: int, transition: Transition[BookingStatus], response: Response
) -> Row:
    row = crud.advance(unit, booking_id, transition)
    response.headers["ETag"] = crud.version(row)
    return row


@bookings.post("/{id}/confirm", response_model=BookingPublic, responses=STEP)
def confirm_booking(booking_id: Id, crud: BookingsDep, unit: UnitDep, _caller: CallerDep, response: Response) -> Row:
    """Confirm a PENDING booking before its hold expires. Requires the role admin."""
    return _advance(crud, unit, booking_id, CONFIRM, response)


@bookings.post("/{id}/cancel", response_model=BookingPublic, responses=STEP)
def cancel_booking(booking_id: Id, crud: BookingsDep, unit: UnitDep, _caller: CallerDep, response: Response) -> Row:
    """Cancel a PENDING or CONFIRMED booking and free its slot. Requires its driver or an administrator."""
    return _advance(crud, unit, booking_id, CANCEL, response)


@bookings.post("/{id}/start", response_model=BookingPublic, responses=STEP)
def start_booking(booking_id: Id, crud: BookingsDep, unit: UnitDep, _caller: CallerDep, response: Response) -> Row:
    """Start a CONFIRMED booking, from 15 minutes before its start until its end."""
    return _advance(crud, unit, booking_id, START, response)


@bookings.post("/{id}/complete", response_model=BookingPublic, responses=STEP)
def complete_booking(booking_id: Id, crud: BookingsDep, unit: UnitDep, _caller: CallerDep, response: Response) -> Row:
    """Complete an ACTIVE booking and free the rest of its slot."""
    return _advance(crud, unit, booking_id, COMPLETE, response)


@charge_points.get("/{id}/availability")
def read_availability(
    charge_point_id: Annotated[int, row_id("ChargePoint")],
    start: Annotated[Instant, Query(description="The start of the window, RFC 3339.")],
    end: Annotated[Instant, Query(description="The end of the window, at most 366 days later.")],
    session: SessionDep,
) -> Availability:
    """Return the intervals of [start, end) that no live booking holds."""
    if not timedelta(0) < end - start <= MAX_WINDOW:
        raise InvalidInputError.at("query", "end", message="must come after start, at most 366 days later")
    free = free_intervals(session, charge_point_id, start, end)
    return Availability(items=[Interval(start_time=first, end_time=last) for first, last in free])
