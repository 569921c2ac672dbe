"""Sixteen clients want the same slots on two servers: each slot is booked once, and every other answer says so."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from backend.bookings.models import LIVE, Booking
from tests.conftest import unique
from tests.races.servers import together

pytestmark = pytest.mark.xdist_group("races")  # the servers are started once
CLIENTS, SLOTS = 16, 20
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
Headers = dict[str, str]


def interval(slot: int, shift: int) -> dict[str, str]:
    """Half an hour of a slot, `shift` minutes late: the clients' wishes overlap, but are not the same."""
    start = TOMORROW + timedelta(hours=slot, minutes=shift)
    return {"start_time": start.isoformat(), "end_time": (start + timedelta(minutes=30)).isoformat()}


@pytest.fixture
def point(clients: list[httpx2.Client], admin_headers: Headers) -> int:
    """A charge point of the test's own."""
    body = {
        "code": unique("race"), "name": "Race", "latitude": 0, "longitude": 0, "connector": "ccs",
        "power_kw": 50, "price_per_kwh": 1,
    }  # fmt: skip
    answer = clients[0].post("/charge-points", json=body, headers=admin_headers)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def overlapping(database: sa.Connection, point: int) -> int:
    """How many pairs of live bookings of the charge point overlap, as the table itself stands."""
    table: Any = Booking.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    one, other = table.alias(), table.alias()
    pairs = sa.select(sa.func.count()).where(
        one.c.charge_point_id == point, other.c.charge_point_id == point, one.c.id < other.c.id,
        one.c.status.in_(LIVE), other.c.status.in_(LIVE),
        one.c.start_time < other.c.end_time, other.c.start_time < one.c.end_time,
    )  # fmt: skip
    return int(database.execute(pairs).scalar_one())


def stored(client: httpx2.Client, point: int, headers: Headers) -> dict[int, tuple[str, str]]:
    """The times of every booking of the charge point, by id."""
    answer = client.get("/bookings", params={"charge_point_id": point, "size": 100}, headers=headers)
    assert answer.status_code == 200, answer.text
    return {row["id"]: (row["start_time"], row["end_time"]) for row in answer.json()["items"]}


def refusals(answers: list[httpx2.Response]) -> list[tuple[int, str | None]]:
    """The status and code of every answer that is no success."""
    return [(answer.status_code, answer.json().get("code")) for answer in answers if not answer.is_success]


def test_each_slot_is_booked_once(
    clients: list[httpx2.Client], database: sa.Connection, point: int, driver_headers: Headers, admin_headers: Headers
) -> None:
    """16 clients, 20 slots, 2 servers: 20 bookings, 300 times `slot_taken`, and nothing overlaps in the table."""

    def book_every_slot(number: int) -> list[httpx2.Response]:
        client = clients[number % len(clients)]
        bodies = [{"charge_point_id": point, **interval(slot, number)} for slot in range(SLOTS)]
        return [client.post("/bookings", json=body, headers=driver_headers) for body in bodies]

    by_client = together(book_every_slot, CLIENTS)
    winners = Counter(slot for answers in by_client for slot in range(SLOTS) if answers[slot].status_code == 201)
    assert winners == dict.fromkeys(range(SLOTS), 1)
    refused = refusals([answer for answers in by_client for answer in answers])
    assert Counter(refused) == {(409, "slot_taken"): SLOTS * (CLIENTS - 1)}
    assert len(stored(clients[1], point, admin_headers)) == SLOTS
    assert overlapping(database, point) == 0


def test_one_of_many_moves_to_a_free_slot(
    clients: list[httpx2.Client], database: sa.Connection, point: int, driver_headers: Headers, admin_headers: Headers
) -> None:
    """16 bookings are moved at once to where one fits: one moves, the others stay where they were."""
    for slot in range(CLIENTS):
        body = {"charge_point_id": point, **interval(slot, 0)}
        assert clients[0].post("/bookings", json=body, headers=driver_headers).status_code == 201
    before = stored(clients[0], point, admin_headers)
    ids = sorted(before)

    def move(number: int) -> httpx2.Response:
        client = clients[number % len(clients)]
        return client.patch(f"/bookings/{ids[number]}", json=interval(40, number), headers=driver_headers)

    answers = together(move, CLIENTS)
    assert Counter(refusals(answers)) == {(409, "slot_taken"): CLIENTS - 1}
    after = stored(clients[1], point, admin_headers)
    moved = [number for number, answer in enumerate(answers) if answer.is_success]
    assert [row for row in ids if after[row] != before[row]] == [ids[number] for number in moved]
    assert overlapping(database, point) == 0
