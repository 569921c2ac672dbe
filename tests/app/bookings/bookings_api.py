"""Helpers: a clock that tests set, charge points, and bookings over HTTP."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from app.bookings.models import Booking, BookingStatus
from tests.conftest import unique

Headers = dict[str, str]
Hours = tuple[float, float]
POINTS, VEHICLES, BOOKINGS = "/api/v1/charge-points", "/api/v1/vehicles", "/api/v1/bookings"
# Half-open intervals that overlap 10 to 12 hours from now, and some that do not.
OVERLAPS: tuple[Hours, ...] = ((10, 12), (9, 11), (11, 13), (10, 11), (11, 12), (9, 13), (10.5, 11.5))
FREE: tuple[Hours, ...] = ((8, 10), (12, 14), (6, 7), (20, 21))


class Clock:
    """A clock that stands still until a test advances it."""

    def __init__(self, at: datetime) -> None:
        self.time = at

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time

    def advance(self, step: timedelta) -> None:
        """Advance the clock by `step`."""
        self.time += step

    def at(self, hours: float) -> str:
        """Return the instant `hours` from now, as JSON has it."""
        return rfc3339(self.time + timedelta(hours=hours))

    def between(self, hours: Hours) -> dict[str, str]:
        """Return the times of a booking between two hours from now."""
        return {"start_time": self.at(hours[0]), "end_time": self.at(hours[1])}


def rfc3339(instant: datetime) -> str:
    """Return an instant in UTC as JSON has it."""
    return instant.isoformat().replace("+00:00", "Z")


class BookingsApi:
    """Books in one application. `admin` and `driver` are headers."""

    def __init__(self, client: TestClient, clock: Clock, *, admin: Headers, driver: Headers) -> None:
        self.client = client
        self.clock = clock
        self.admin = admin
        self.driver = driver

    def add_point(self, **members: Any) -> int:
        """Create a charge point and return its id."""
        body = {
            "code": unique("point"), "name": "Market square", "latitude": 48.1, "longitude": 11.5, "connector": "ccs",
            "power_kw": 50, "price_per_kwh": 0.49,
        }  # fmt: skip
        return self._created(POINTS, {**body, **members}, self.admin)

    def add_vehicle(self, headers: Headers) -> int:
        """Create a vehicle of the caller and return its id."""
        return self._created(VEHICLES, {"plate": unique("p"), "connector": "ccs"}, headers)

    def book(self, point: int, hours: Hours, *, headers: Headers | None = None, **members: Any) -> Response:
        """Return the response to a booking between two hours from now, by default the driver's."""
        body = {"charge_point_id": point, **self.clock.between(hours), **members}
        return self.client.post(BOOKINGS, json=body, headers=headers or self.driver)

    def add_booking(self, point: int, hours: Hours, *, headers: Headers | None = None, **members: Any) -> int:
        """Create a booking and return its id."""
        answer = self.book(point, hours, headers=headers, **members)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def move(self, booking: int, hours: Hours, *, headers: Headers | None = None) -> Response:
        """Return the response to new times for a booking."""
        return self.change(booking, self.clock.between(hours), headers=headers)

    def change(self, booking: int, body: dict[str, Any], *, headers: Headers | None = None) -> Response:
        """Return the response to a change of a booking, by default the driver's."""
        return self.client.patch(f"{BOOKINGS}/{booking}", json=body, headers=headers or self.driver)

    def stored(self, booking: int) -> dict[str, Any]:
        """Return the booking as an administrator sees it."""
        answer = self.client.get(f"{BOOKINGS}/{booking}", headers=self.admin)
        assert answer.status_code == 200, answer.text
        row: dict[str, Any] = answer.json()
        return row

    def count(self, point: int) -> int:
        """Return the number of bookings of a charge point, in any state."""
        answer = self.client.get(BOOKINGS, params={"charge_point_id": point}, headers=self.admin)
        return int(answer.json()["total"])

    def set_status(self, booking: int, status: BookingStatus) -> None:
        """Set the state of a booking in the database, without the steps that lead to it."""
        app = self.client.app
        assert isinstance(app, FastAPI)
        table: sa.Table = Booking.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        with app.state.database.engine.begin() as connection:
            connection.execute(table.update().where(table.c.id == booking).values(status=status))

    def written(self, booking: int) -> str:
        """Return the stored state. A response may show EXPIRED instead."""
        app = self.client.app
        assert isinstance(app, FastAPI)
        table: sa.Table = Booking.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        with app.state.database.engine.connect() as connection:
            found = connection.execute(sa.select(table.c.status).where(table.c.id == booking)).scalar_one()
        return str(found.value)

    def step(self, booking: int, name: str, *, headers: Headers | None = None) -> Response:
        """Return the response to a step of a booking, by default the administrator's."""
        return self.client.post(f"{BOOKINGS}/{booking}/{name}", headers=headers or self.admin)

    def _created(self, path: str, body: dict[str, Any], headers: Headers) -> int:
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])
