"""The steps of a booking: from which states, by whom and when (docs/contract.md §7)."""

from datetime import timedelta

import pytest

from app.bookings.models import BookingStatus
from tests.app.bookings.bookings_api import BOOKINGS, BookingsApi, Headers
from tests.contract.problems import problem

HOLD = timedelta(minutes=15)
TICK = timedelta(microseconds=1)
LEADS = {
    ("confirm", "PENDING"): "CONFIRMED",
    ("cancel", "PENDING"): "CANCELLED",
    ("cancel", "CONFIRMED"): "CANCELLED",
    ("start", "CONFIRMED"): "ACTIVE",
    ("complete", "ACTIVE"): "COMPLETED",
}
STEPS = ("confirm", "cancel", "start", "complete")


@pytest.mark.parametrize("status", BookingStatus)
@pytest.mark.parametrize("step", STEPS)
def test_each_step_leads_on_from_its_states_only(
    network: BookingsApi, point: int, step: str, status: BookingStatus
) -> None:
    """From any other state it is 409, which names the state and changes nothing."""
    booking = network.add_booking(point, (0, 1))
    network.set_status(booking, status)
    before = network.stored(booking)
    answer = network.step(booking, step)
    target = LEADS.get((step, status.value))
    if target is None:
        assert status.value in problem(answer, 409, "transition_refused")["detail"]
        assert network.stored(booking) == before
        return
    assert answer.status_code == 200, answer.text
    row = answer.json()
    assert row["status"] == target
    assert network.stored(booking) == row
    assert row == {**before, "status": target, "updated_at": row["updated_at"]}
    stored = network.client.get(f"{BOOKINGS}/{booking}", headers=network.admin)
    assert stored.headers["etag"] == answer.headers["etag"]


def test_drivers_go_their_own_way_but_do_not_confirm(network: BookingsApi, point: int, other_driver: Headers) -> None:
    """Another driver gets 404 and a caller without an account 401. Only administrators confirm."""
    booking = network.add_booking(point, (0, 1))
    for step in STEPS:
        problem(network.step(booking, step, headers=other_driver), 404, "not_found")
        problem(network.client.post(f"{BOOKINGS}/{booking}/{step}"), 401, "not_authenticated")
        problem(network.step(2**31 - 1, step), 404, "not_found")
    problem(network.step(booking, "confirm", headers=network.driver), 403, "permission_denied")
    assert network.stored(booking)["status"] == "PENDING"
    assert network.step(booking, "confirm").status_code == 200
    for step, status in (("start", "ACTIVE"), ("complete", "COMPLETED")):
        assert network.step(booking, step, headers=network.driver).json()["status"] == status
    other = network.add_booking(point, (2, 3))
    assert network.step(other, "cancel", headers=network.driver).json()["status"] == "CANCELLED"
    network.add_booking(point, (2, 3), headers=other_driver)


def test_charging_starts_from_a_quarter_before_until_the_end(network: BookingsApi, point: int) -> None:
    """To the microsecond."""
    early, late = network.add_booking(point, (1, 2)), network.add_booking(point, (3, 4))
    for booking in (early, late):
        assert network.step(booking, "confirm").status_code == 200
    network.clock.advance(timedelta(minutes=45) - TICK)
    problem(network.step(early, "start"), 409, "transition_refused")
    network.clock.advance(TICK)
    assert network.step(early, "start").status_code == 200
    network.clock.advance(timedelta(hours=3, minutes=15))
    problem(network.step(late, "start"), 409, "transition_refused")
    assert network.stored(late)["status"] == "CONFIRMED"
    network.clock.advance(-TICK)
    assert network.step(late, "start").status_code == 200


def test_a_hold_that_ran_out_is_read_as_expired_everywhere(network: BookingsApi, point: int) -> None:
    """In the row, in lists and in filters, to the microsecond and with a new entity tag. Nothing is written."""
    booking = network.add_booking(point, (10, 12))
    path = f"{BOOKINGS}/{booking}"
    network.clock.advance(HOLD - TICK)
    fresh = network.client.get(path, headers=network.driver)
    assert fresh.json()["status"] == "PENDING"
    network.clock.advance(TICK)
    lapsed = network.client.get(path, headers=network.driver)
    assert lapsed.json() == {**fresh.json(), "status": "EXPIRED"}
    assert lapsed.headers["etag"] != fresh.headers["etag"]
    stale = {**network.driver, "If-None-Match": fresh.headers["etag"]}
    assert network.client.get(path, headers=stale).status_code == 200
    counts = {
        status: network.client.get(
            BOOKINGS, params={"charge_point_id": point, "status": status}, headers=network.driver
        ).json()["total"]
        for status in ("PENDING", "EXPIRED")
    }
    assert counts == {"PENDING": 0, "EXPIRED": 1}
    listed = network.client.get(BOOKINGS, params={"id": booking, "sort": "-status"}, headers=network.driver)
    assert listed.json()["items"] == [lapsed.json()]
    assert network.written(booking) == "PENDING"


def test_a_hold_that_ran_out_goes_nowhere(network: BookingsApi, point: int) -> None:
    """The booking cannot be confirmed, moved or cancelled."""
    booking = network.add_booking(point, (10, 12))
    network.clock.advance(HOLD)
    for step in STEPS:
        problem(network.step(booking, step), 409, "transition_refused")
    problem(network.move(booking, (20, 21)), 409, "booking_closed")
    assert network.stored(booking)["status"] == "EXPIRED"


def test_a_step_takes_neither_body_nor_parameters_into_account_silently(network: BookingsApi, point: int) -> None:
    """A parameter is 422. PATCH cannot set the state."""
    booking = network.add_booking(point, (10, 12))
    problem(network.client.post(f"{BOOKINGS}/{booking}/confirm?force=true", headers=network.admin), 422)
    problem(network.change(booking, {"status": "CONFIRMED"}, headers=network.admin), 422)
    assert network.stored(booking)["status"] == "PENDING"


def test_a_conflict_tells_the_time_that_is_taken_and_nobody(
    network: BookingsApi, point: int, other_driver: Headers
) -> None:
    """The error has the earliest conflicting interval and no other column."""
    network.add_booking(point, (12, 13), headers=other_driver)
    network.add_booking(point, (10, 11), headers=other_driver)
    told = problem(network.book(point, (9, 14)), 409, "slot_taken")
    assert told["detail"] == "Slot already booked"
    assert told["conflict"] == network.clock.between((10, 11))
