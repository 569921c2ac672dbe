"""The route of charge points: their free times."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from app.bookings.service import free_intervals
from rowhouse import Instant, InvalidInputError, Router, SessionDep, row_id

MAX_WINDOW = timedelta(days=366)

charge_points = Router(prefix="/charge-points", tags=["charge-points"])


class Interval(BaseModel):
    """A half-open interval: `end_time` does not belong to it."""

    start_time: datetime
    end_time: datetime


class Availability(BaseModel):
    """The free intervals of a charge point, in order."""

    items: list[Interval]


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
