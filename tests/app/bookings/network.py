"""The charging network as its tests use it: a clock to turn, places to book, and bookings over HTTP."""

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
    """A clock that stands until it is turned."""

    def __init__(self, at: datetime) -> None:
        self.time = at

    def __call__(self) -> datetime:
        """The time it shows."""
        return self.time

    def advance(self, step: timedelta) -> None:
        """Turn it on by `step`."""
        self.time += step

    def at(self, hours: float) -> str:
        """The instant so many hours from now, as it goes over the wire."""
        return wire(self.time + timedelta(hours=hours))

    def between(self, hours: Hours) -> dict[str, str]:
        """The times of a booking between two hours from now."""
        return {"start_time": self.at(hours[0]), "end_time": self.at(hours[1])}


def wire(instant: datetime) -> str:
    """An instant in UTC as it goes over the wire."""
    return instant.isoformat().replace("+00:00", "Z")


class Network:
    """Books on one application; `admin` and `driver` are headers of theirs."""

    def __init__(self, client: TestClient, clock: Clock, *, admin: Headers, driver: Headers) -> None:
        self.client = client
        self.clock = clock
        self.admin = admin
        self.driver = driver

    def add_point(self, **members: Any) -> int:
        """The id of a new charge point."""
        body = {
            "code": unique("point"), "name": "Market square", "latitude": 48.1, "longitude": 11.5, "connector": "ccs",
            "power_kw": 50, "price_per_kwh": 0.49,
        }  # fmt: skip
        return self._created(POINTS, {**body, **members}, self.admin)

    def add_vehicle(self, headers: Headers) -> int:
        """The id of a new vehicle of the caller."""
        return self._created(VEHICLES, {"plate": unique("p"), "connector": "ccs"}, headers)

    def book(self, point: int, hours: Hours, *, headers: Headers | None = None, **members: Any) -> Response:
        """The answer to a booking between two hours from now; by default the driver's."""
        body = {"charge_point_id": point, **self.clock.between(hours), **members}
        return self.client.post(BOOKINGS, json=body, headers=headers or self.driver)

    def add_booking(self, point: int, hours: Hours, *, headers: Headers | None = None, **members: Any) -> int:
        """The id of a new booking."""
        answer = self.book(point, hours, headers=headers, **members)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def move(self, booking: int, hours: Hours, *, headers: Headers | None = None) -> Response:
        """The answer to new times for a booking."""
        return self.change(booking, self.clock.between(hours), headers=headers)

    def change(self, booking: int, body: dict[str, Any], *, headers: Headers | None = None) -> Response:
        """The answer to a change of a booking; by default the driver's."""
        return self.client.patch(f"{BOOKINGS}/{booking}", json=body, headers=headers or self.driver)

    def stored(self, booking: int) -> dict[str, Any]:
        """The booking as an administrator sees it."""
        answer = self.client.get(f"{BOOKINGS}/{booking}", headers=self.admin)
        assert answer.status_code == 200, answer.text
        row: dict[str, Any] = answer.json()
        return row

    def count(self, point: int) -> int:
        """How many bookings, live or not, a charge point has."""
        answer = self.client.get(BOOKINGS, params={"charge_point_id": point}, headers=self.admin)
        return int(answer.json()["total"])

    def set_status(self, booking: int, status: BookingStatus) -> None:
        """Bring a booking into a state below the API, for the routes that lead there are not the subject."""
        app = self.client.app
        assert isinstance(app, FastAPI)
        table: sa.Table = Booking.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        with app.state.database.engine.begin() as connection:
            connection.execute(table.update().where(table.c.id == booking).values(status=status))

    def written(self, booking: int) -> str:
        """The state that stands in the table, which time may have overtaken."""
        app = self.client.app
        assert isinstance(app, FastAPI)
        table: sa.Table = Booking.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        with app.state.database.engine.connect() as connection:
            found = connection.execute(sa.select(table.c.status).where(table.c.id == booking)).scalar_one()
        return str(found.value)

    def step(self, booking: int, name: str, *, headers: Headers | None = None) -> Response:
        """The answer to a step of a booking's life; by default the administrator's."""
        return self.client.post(f"{BOOKINGS}/{booking}/{name}", headers=headers or self.admin)

    def _created(self, path: str, body: dict[str, Any], headers: Headers) -> int:
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])
