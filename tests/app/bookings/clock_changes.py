"""Helpers for bookings in the two nights in which the clocks of Europe/Berlin change."""

from datetime import UTC, datetime
from typing import Any

from httpx2 import Response

from tests.app.bookings.bookings_api import BOOKINGS, BookingsApi

AUTUMN, SPRING = "2026-10-25", "2027-03-28"
NOON_BEFORE = {"2026": datetime(2026, 10, 24, 12, tzinfo=UTC), "2027": datetime(2027, 3, 27, 12, tzinfo=UTC)}
Span = tuple[str, str]


def book(network: BookingsApi, point: int, span: Span) -> Response:
    """Return the response to a booking between these instants, made at noon of the day before."""
    network.clock.time = NOON_BEFORE[span[0][:4]]
    body = {"charge_point_id": point, "start_time": span[0], "end_time": span[1]}
    return network.client.post(BOOKINGS, json=body, headers=network.driver)


def times(row: Any) -> Span:
    """Return the interval of a row."""
    return row["start_time"], row["end_time"]
