"""Bookings while the clocks of Europe/Berlin change. Only instants are compared.

On 25 October 2026 the hour from 2 to 3 occurs twice; the offset distinguishes the two. On 28 March 2027 that hour does
not occur. Both changes are at 01:00 UTC.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient

from app.main import create_app
from rowhouse.core.settings import Settings
from tests.app.bookings.bookings_api import BOOKINGS, POINTS, BookingsApi, Clock
from tests.app.bookings.clock_changes import AUTUMN, SPRING, Span, book, times
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, migrate, sign_in, sign_up
from tests.contract.problems import faulty_members, problem
from tests.databases import Databases

ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kathmandu")
# Local times with their offsets, and the same instants in UTC.
BOOKED: dict[str, tuple[Span, Span]] = {
    "two hours that look like one": (
        (f"{AUTUMN}T01:30:00+02:00", f"{AUTUMN}T02:30:00+01:00"),
        ("2026-10-24T23:30:00Z", f"{AUTUMN}T01:30:00Z"),
    ),
    "an hour that looks like none": (
        (f"{AUTUMN}T02:30:00+02:00", f"{AUTUMN}T02:30:00+01:00"),
        (f"{AUTUMN}T00:30:00Z", f"{AUTUMN}T01:30:00Z"),
    ),
    "half an hour that seems to run backwards": (
        (f"{AUTUMN}T02:45:00+02:00", f"{AUTUMN}T02:15:00+01:00"),
        (f"{AUTUMN}T00:45:00Z", f"{AUTUMN}T01:15:00Z"),
    ),
    "24 hours that end at eleven": (
        (f"{AUTUMN}T00:00:00+02:00", f"{AUTUMN}T23:00:00+01:00"),
        ("2026-10-24T22:00:00Z", f"{AUTUMN}T22:00:00Z"),
    ),
    "an hour that looks like two": (
        (f"{SPRING}T01:30:00+01:00", f"{SPRING}T03:30:00+02:00"),
        (f"{SPRING}T00:30:00Z", f"{SPRING}T01:30:00Z"),
    ),
    "local times that no clock shows": (
        (f"{SPRING}T02:15:00+01:00", f"{SPRING}T02:45:00+01:00"),
        (f"{SPRING}T01:15:00Z", f"{SPRING}T01:45:00Z"),
    ),
    "the same, seen from summer": (
        (f"{SPRING}T02:15:00+02:00", f"{SPRING}T02:45:00+02:00"),
        (f"{SPRING}T00:15:00Z", f"{SPRING}T00:45:00Z"),
    ),
    "a whole day of 23 hours": (
        (f"{SPRING}T00:00:00+01:00", "2027-03-29T00:00:00+02:00"),
        ("2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z"),
    ),
}
REFUSED: dict[str, Span] = {
    "a whole day of 25 hours": (f"{AUTUMN}T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
    "an end before the start, half an hour later by the clock": (
        f"{AUTUMN}T02:15:00+01:00",
        f"{AUTUMN}T02:45:00+02:00",
    ),
    "four minutes that look like an hour": (f"{SPRING}T01:58:00+01:00", f"{SPRING}T03:02:00+02:00"),
}


@pytest.mark.parametrize(("local", "utc"), BOOKED.values(), ids=BOOKED)
def test_a_booking_is_from_instant_to_instant(network: BookingsApi, point: int, local: Span, utc: Span) -> None:
    """Responses are in UTC. A query in local time finds the booking."""
    answer = book(network, point, local)
    assert answer.status_code == 201, answer.text
    assert times(answer.json()) == utc
    assert times(network.stored(answer.json()["id"])) == utc
    told = problem(book(network, point, utc), 409, "slot_taken")
    assert times(told["conflict"]) == utc
    assert network.count(point) == 1


@pytest.mark.parametrize("span", REFUSED.values(), ids=REFUSED)
def test_a_length_is_counted_in_true_minutes(network: BookingsApi, point: int, span: Span) -> None:
    assert faulty_members(book(network, point, span)) == {"end_time"}
    assert network.count(point) == 0


def test_the_hour_that_comes_twice_is_booked_twice(network: BookingsApi, point: int) -> None:
    """Two o'clock summer time and two o'clock winter time are two slots. A booking that spans both overlaps both."""
    summer = (f"{AUTUMN}T02:00:00+02:00", f"{AUTUMN}T03:00:00+02:00")
    winter = (f"{AUTUMN}T02:00:00+01:00", f"{AUTUMN}T03:00:00+01:00")
    assert book(network, point, summer).status_code == 201
    assert book(network, point, winter).status_code == 201
    for overlapping in (
        (f"{AUTUMN}T02:30:00+02:00", f"{AUTUMN}T02:30:00+01:00"),
        (f"{AUTUMN}T01:30:00+02:00", f"{AUTUMN}T02:05:00+02:00"),
        (f"{AUTUMN}T02:55:00+01:00", f"{AUTUMN}T03:30:00+01:00"),
    ):
        problem(book(network, point, overlapping), 409, "slot_taken")
    for touching in (
        (f"{AUTUMN}T01:30:00+02:00", f"{AUTUMN}T02:00:00+02:00"),
        (f"{AUTUMN}T03:00:00+01:00", f"{AUTUMN}T03:30:00+01:00"),
    ):
        assert book(network, point, touching).status_code == 201
    assert network.count(point) == 4


def test_the_hour_that_never_comes_leaves_no_gap(network: BookingsApi, point: int) -> None:
    """Two o'clock winter time is three o'clock summer time, so these bookings are adjacent."""
    assert book(network, point, (f"{SPRING}T01:30:00+01:00", f"{SPRING}T02:00:00+01:00")).status_code == 201
    assert book(network, point, (f"{SPRING}T03:00:00+02:00", f"{SPRING}T03:30:00+02:00")).status_code == 201
    told = problem(book(network, point, (f"{SPRING}T02:15:00+01:00", f"{SPRING}T02:45:00+01:00")), 409, "slot_taken")
    assert times(told["conflict"]) == (f"{SPRING}T01:00:00Z", f"{SPRING}T01:30:00Z")
    assert network.count(point) == 2


def test_a_booking_is_moved_by_an_hour_that_the_clock_does_not_show(network: BookingsApi, point: int) -> None:
    """From the first half past two to the second one."""
    booking = book(network, point, (f"{AUTUMN}T02:00:00+02:00", f"{AUTUMN}T02:30:00+02:00")).json()["id"]
    body = {"start_time": f"{AUTUMN}T02:00:00+01:00", "end_time": f"{AUTUMN}T02:30:00+01:00"}
    answer = network.change(booking, body)
    assert (answer.status_code, times(answer.json())) == (200, (f"{AUTUMN}T01:00:00Z", f"{AUTUMN}T01:30:00Z"))


def seen(network: BookingsApi) -> dict[str, Any]:
    """Return bookings, lists and availability of a new charge point in the night in which the clocks go back."""
    point = network.add_point()
    spans = [
        (f"{AUTUMN}T0{hour}:00:00{zone}", f"{AUTUMN}T0{hour}:30:00{zone}")
        for zone in ("+02:00", "+01:00")
        for hour in (1, 2)
    ]
    answers = [book(network, point, span) for span in spans]

    def found(**filters: str) -> list[str]:
        query = {"charge_point_id": str(point), "sort": "start_time", **filters}
        rows = network.client.get(BOOKINGS, params=query, headers=network.driver).json()["items"]
        return [row["start_time"] for row in rows]

    window = {"start": f"{AUTUMN}T00:00:00+02:00", "end": f"{AUTUMN}T04:00:00+01:00"}
    free = network.client.get(f"{POINTS}/{point}/availability", params=window).json()["items"]
    return {
        "booked": [times(answer.json()) for answer in answers if answer.is_success],
        "taken": [times(answer.json()["conflict"]) for answer in answers if not answer.is_success],
        "winter": found(start_time__gte=f"{AUTUMN}T02:00:00+01:00"),
        "summer": found(end_time__lte=f"{AUTUMN}T03:00:00+02:00"),
        "one": found(start_time=f"{AUTUMN}T02:00:00+01:00"),
        "free": [times(item) for item in free],
    }


def at(*clocks: str) -> tuple[str, ...]:
    """Return instants of the night in UTC."""
    return tuple(f"{AUTUMN}T{clock}:00Z" for clock in clocks)


def expected() -> dict[str, Any]:
    """Return the result of `seen` in every time zone of the server. 01:00+01:00 is 02:00+02:00, which is booked."""
    eleven = "2026-10-24T23:00:00Z", "2026-10-24T23:30:00Z"
    return {
        "booked": [eleven, at("00:00", "00:30"), at("01:00", "01:30")],
        "taken": [at("00:00", "00:30")],
        "winter": [*at("01:00")],
        "summer": [eleven[0], *at("00:00")],
        "one": [*at("01:00")],
        "free": [
            ("2026-10-24T22:00:00Z", eleven[0]), (eleven[1], *at("00:00")), at("00:30", "01:00"), at("01:30", "03:00"),
        ],
    }  # fmt: skip


def test_lists_and_availability_cover_the_change(network: BookingsApi) -> None:
    """Filters and windows are instants. The night has four hours between midnight and three."""
    assert seen(network) == expected()


@pytest.fixture
def server_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the time zone of the process, as `TZ` does, for the duration of a test."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ZONES)
def test_the_servers_own_zone_changes_nothing(
    network: BookingsApi, server_in: Callable[[str], None], zone: str
) -> None:
    server_in(zone)
    assert seen(network) == expected()


def test_the_databases_own_zone_changes_nothing(databases: Databases, clock: Clock) -> None:
    """The time zone that PostgreSQL gives to new sessions has no effect."""
    url = databases.prepared("postgresql", "migrated", migrate)
    name = make_url(url).database
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET timezone TO "{ZONES[0]}"')
    admin_account: dict[str, Any] = {"admin_email": ADMIN_EMAIL, "admin_password": ADMIN_PASSWORD}
    settings = Settings(database_url=url, **admin_account, **QUIET)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        admin, driver = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD), sign_up(client, "driver")
        assert seen(BookingsApi(client, clock, admin=admin, driver=driver)) == expected()
