"""Which members of a booking can change in which state, and which rows a booking may refer to."""

from typing import Any

import pytest

from app.bookings.models import BookingStatus
from tests.app.bookings.bookings_api import BOOKINGS, POINTS, BookingsApi, Headers
from tests.app.bookings.test_slots import HOLD
from tests.contract.problems import problem

CLOSED = (BookingStatus.ACTIVE, BookingStatus.COMPLETED, BookingStatus.CANCELLED, BookingStatus.EXPIRED)
UNAVAILABLE = ("maintenance", "retired")
SERVER_OWNED: dict[str, Any] = {"status": "CONFIRMED", "driver_id": 1, "id": 1, "created_at": "2030-01-01T00:00:00Z"}


@pytest.mark.parametrize("status", CLOSED)
def test_a_closed_booking_cannot_be_changed(network: BookingsApi, point: int, status: BookingStatus) -> None:
    """No member, by any caller: 409, and the booking stays as it was."""
    booking = network.add_booking(point, (10, 12))
    network.set_status(booking, status)
    before = network.stored(booking)
    for headers in (network.driver, network.admin):
        problem(network.move(booking, (13, 14), headers=headers), 409, "booking_closed")
        problem(network.change(booking, {"vehicle_id": None}, headers=headers), 409, "booking_closed")
    assert network.stored(booking) == before


def test_a_booking_whose_hold_ran_out_cannot_be_changed(network: BookingsApi, point: int) -> None:
    """It counts as EXPIRED. A change does not revive it."""
    booking = network.add_booking(point, (10, 12))
    before = network.stored(booking)
    network.clock.advance(HOLD)
    problem(network.move(booking, (13, 14)), 409, "booking_closed")
    after = network.stored(booking)
    assert (after["start_time"], after["end_time"]) == (before["start_time"], before["end_time"])


def test_a_confirmed_booking_can_be_changed(network: BookingsApi, point: int) -> None:
    """Times may change while it is PENDING or CONFIRMED. The state stays."""
    booking = network.add_booking(point, (10, 12))
    network.set_status(booking, BookingStatus.CONFIRMED)
    answer = network.move(booking, (13, 14))
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "CONFIRMED"
    assert answer.json()["start_time"] == network.clock.at(13)


@pytest.mark.parametrize(("member", "value"), SERVER_OWNED.items(), ids=SERVER_OWNED)
def test_what_the_server_owns_cannot_be_set(network: BookingsApi, point: int, member: str, value: object) -> None:
    """Neither at creation nor later, nor by an administrator."""
    booking = network.add_booking(point, (10, 12))
    before = network.stored(booking)
    for headers in (network.driver, network.admin):
        problem(network.change(booking, {member: value}, headers=headers), 422, "invalid_input")
        problem(network.book(point, (13, 14), headers=headers, **{member: value}), 422, "invalid_input")
    assert network.stored(booking) == before
    assert network.count(point) == 1


@pytest.mark.parametrize("status", UNAVAILABLE)
def test_a_charge_point_out_of_service_cannot_be_booked(network: BookingsApi, status: str) -> None:
    """A booking cannot be moved there either."""
    closed, point = network.add_point(status=status), network.add_point()
    problem(network.book(closed, (10, 12)), 409, "charge_point_unavailable")
    booking = network.add_booking(point, (10, 12))
    problem(network.change(booking, {"charge_point_id": closed}), 409, "charge_point_unavailable")
    assert network.stored(booking)["charge_point_id"] == point
    assert network.count(closed) == 0


@pytest.mark.parametrize("status", UNAVAILABLE)
def test_a_booking_cannot_get_other_times_where_service_has_ended(
    network: BookingsApi, point: int, status: str
) -> None:
    """Members other than the time and the place may still change."""
    booking = network.add_booking(point, (10, 12))
    network.client.patch(f"{POINTS}/{point}", json={"status": status}, headers=network.admin)
    problem(network.move(booking, (13, 14)), 409, "charge_point_unavailable")
    vehicle = network.add_vehicle(network.driver)
    assert network.change(booking, {"vehicle_id": vehicle}).status_code == 200
    assert network.stored(booking)["start_time"] == network.clock.at(10)


def test_a_charge_point_that_does_not_exist_cannot_be_booked(network: BookingsApi, point: int) -> None:
    """The response names the member."""
    booking = network.add_booking(point, (10, 12))
    for answer in (network.book(2_000_000_000, (13, 14)), network.change(booking, {"charge_point_id": 2_000_000_000})):
        problem(answer, 409, "reference_not_found")
        assert answer.json()["detail"].startswith("charge_point_id: ")
    assert network.stored(booking)["charge_point_id"] == point


def test_a_booking_is_for_a_vehicle_of_its_driver(network: BookingsApi, point: int, other_driver: Headers) -> None:
    """Another driver's vehicle gets the same response as a missing one, except for the id."""
    own, others = network.add_vehicle(network.driver), network.add_vehicle(other_driver)
    booking = network.add_booking(point, (10, 12), vehicle_id=own)
    for vehicle in (others, 2_000_000_000):
        for answer in (
            network.book(point, (13, 14), vehicle_id=vehicle),
            network.change(booking, {"vehicle_id": vehicle}),
        ):
            problem(answer, 409, "reference_not_found")
            assert answer.json()["detail"] == f"vehicle_id: there is nothing with the id {vehicle}."
    assert network.stored(booking)["vehicle_id"] == own
    assert network.count(point) == 1


def test_an_administrator_changes_a_booking_for_its_driver(network: BookingsApi, point: int) -> None:
    """The booking stays the driver's, so only a vehicle of the driver is accepted."""
    booking = network.add_booking(point, (10, 12))
    before = network.stored(booking)
    drivers, administrators = network.add_vehicle(network.driver), network.add_vehicle(network.admin)
    refusal = network.change(booking, {"vehicle_id": administrators}, headers=network.admin)
    problem(refusal, 409, "reference_not_found")
    answer = network.change(booking, {"vehicle_id": drivers}, headers=network.admin)
    assert answer.status_code == 200, answer.text
    assert answer.json()["driver_id"] == before["driver_id"]


def test_put_changes_only_the_sent_members_and_is_validated_alike(network: BookingsApi, point: int) -> None:
    """PUT behaves like PATCH."""
    network.add_booking(point, (10, 12))
    booking = network.add_booking(point, (13, 14))
    path = f"{BOOKINGS}/{booking}"
    taken = network.client.put(path, json=network.clock.between((11, 13)), headers=network.driver)
    problem(taken, 409, "slot_taken")
    moved = network.client.put(path, json={"end_time": network.clock.at(15)}, headers=network.driver)
    assert moved.status_code == 200
    assert network.stored(booking)["start_time"] == network.clock.at(13)
