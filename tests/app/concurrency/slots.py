"""Helpers for races on the charging network: charge points, half hours of tomorrow, and queries of the tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import sqlalchemy as sa

from app.bookings.models import LIVE, Booking
from tests.concurrency.clients import Headers, make
from tests.concurrency.tables import Tables, columns_of
from tests.conftest import unique

BOOKING = columns_of(Booking)
HALF_AN_HOUR = timedelta(minutes=30)
Body = dict[str, Any]


class Slots:
    """Books at the two servers as one driver, or the administrator."""

    def __init__(self, clients: list[httpx2.Client], tables: Tables, *, admin: Headers, driver: Headers) -> None:
        self._clients = clients
        self._tables = tables
        self._tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        self.admin = admin
        self.driver = driver

    def start(self, slot: int, shift: int = 0) -> datetime:
        """When a slot begins; one an hour, `shift` minutes late."""
        return self._tomorrow + timedelta(hours=slot, minutes=shift)

    def times(self, slot: int, shift: int = 0) -> Body:
        """Half an hour of a slot.

        With shifts below 30 minutes the wishes of several clients overlap, but are not the same.
        """
        start = self.start(slot, shift)
        return {"start_time": start.isoformat(), "end_time": (start + HALF_AN_HOUR).isoformat()}

    def wish(self, point: int, slot: int, shift: int = 0) -> Body:
        """What books it."""
        return {"charge_point_id": point, **self.times(slot, shift)}

    def send(
        self, number: int, method: str, path: str, body: Any = None, *, headers: Headers | None = None
    ) -> httpx2.Response:
        """The answer to client `number`, who goes to one of the servers; by default the driver."""
        client = self._clients[number % len(self._clients)]
        return client.request(method, path, json=body, headers=headers or self.driver)

    def add_point(self) -> int:
        """The id of a new charge point."""
        body = {
            "code": unique("race"), "name": "Race", "latitude": 0, "longitude": 0, "connector": "ccs",
            "power_kw": 50, "price_per_kwh": 1,
        }  # fmt: skip
        return make(self._clients[0], "/charge-points", body, self.admin)

    def add_booking(self, point: int, slot: int) -> int:
        """The id of a new booking of the driver."""
        return make(self._clients[0], "/bookings", self.wish(point, slot), self.driver)

    def stored(self, *points: int) -> dict[int, tuple[int, datetime, str]]:
        """Every booking of charge points as the table has it, by id: the point, the start, the state."""
        found = sa.select(BOOKING.id, BOOKING.charge_point_id, BOOKING.start_time, BOOKING.status)
        rows = self._tables.rows(found.where(BOOKING.charge_point_id.in_(points)))
        return {row.id: (row.charge_point_id, row.start_time, row.status.value) for row in rows}

    def live(self, *points: int) -> int:
        """How many live bookings charge points have, as the table stands."""
        return self._tables.count(BOOKING.charge_point_id.in_(points), BOOKING.status.in_(LIVE))

    def overlaps(self, *points: int) -> int:
        """How many pairs of live bookings of charge points overlap, as the table stands."""
        one, other = (columns.table.alias().c for columns in (BOOKING.id, BOOKING.id))
        return self._tables.count(
            one.charge_point_id.in_(points), one.charge_point_id == other.charge_point_id, one.id < other.id,
            one.status.in_(LIVE), other.status.in_(LIVE),
            one.start_time < other.end_time, other.start_time < one.end_time,
        )  # fmt: skip

    def let_holds_end(self, ends: dict[int, datetime]) -> None:
        """Have the holds of bookings end at these instants, past the API, which knows one length for all."""
        for booking, end in ends.items():
            self._tables.change(sa.update(Booking).where(BOOKING.id == booking).values(hold_expires_at=end))
