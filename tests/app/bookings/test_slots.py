"""A slot has at most one live booking: which intervals overlap, and when a slot is free again."""

from datetime import timedelta

import pytest

from app.bookings import service
from app.bookings.models import LIVE, BookingStatus
from app.bookings.settings import BookingSettings
from tests.app.bookings.bookings_api import FREE, OVERLAPS, BookingsApi, Headers, Hours
from tests.contract.problems import problem

CLOSED = [status for status in BookingStatus if status not in LIVE]
HOLD, TICK = timedelta(minutes=15), timedelta(microseconds=1)


@pytest.mark.parametrize("hours", OVERLAPS)
def test_an_overlap_is_refused(network: BookingsApi, point: int, other_driver: Headers, hours: Hours) -> None:
    """For the same driver and for another one: 409 with the agreed text. Nothing is stored."""
    network.add_booking(point, (10, 12))
    for headers in (network.driver, other_driver, network.admin):
        answer = network.book(point, hours, headers=headers)
        problem(answer, 409, "slot_taken")
        assert answer.json()["detail"] == "Slot already booked"
    assert network.count(point) == 1


@pytest.mark.parametrize("hours", FREE)
def test_what_touches_or_lies_apart_is_booked(network: BookingsApi, point: int, hours: Hours) -> None:
    """A booking may start when another ends."""
    network.add_booking(point, (10, 12))
    network.add_booking(point, hours)


def test_another_charge_point_is_another_slot(network: BookingsApi, point: int) -> None:
    """The same driver may book two charge points at the same time."""
    network.add_booking(point, (10, 12))
    network.add_booking(network.add_point(), (10, 12))


@pytest.mark.parametrize("hours", OVERLAPS)
def test_a_booking_cannot_be_moved_onto_another(network: BookingsApi, point: int, hours: Hours) -> None:
    """New times are checked like those of a new booking. The booking stays as it was."""
    network.add_booking(point, (10, 12))
    booking = network.add_booking(point, (20, 21))
    before = network.stored(booking)
    answer = network.move(booking, hours)
    problem(answer, 409, "slot_taken")
    assert answer.json()["detail"] == "Slot already booked"
    assert network.stored(booking) == before


def test_a_booking_cannot_be_moved_to_a_charge_point_that_is_taken_then(network: BookingsApi, point: int) -> None:
    """A new place is checked like new times."""
    network.add_booking(point, (10, 12))
    elsewhere = network.add_point()
    booking = network.add_booking(elsewhere, (11, 13))
    problem(network.change(booking, {"charge_point_id": point}), 409, "slot_taken")
    assert network.stored(booking)["charge_point_id"] == elsewhere
    assert network.change(booking, {"charge_point_id": point, **network.clock.between((12, 13))}).status_code == 200
    assert network.stored(booking)["charge_point_id"] == point


@pytest.mark.parametrize("hours", OVERLAPS)
def test_a_booking_is_not_in_its_own_way(network: BookingsApi, point: int, hours: Hours) -> None:
    """It may move to times that overlap its present ones."""
    booking = network.add_booking(point, (10, 12))
    assert network.move(booking, hours).status_code == 200
    assert network.stored(booking)["start_time"] == network.clock.at(hours[0])


@pytest.mark.parametrize("status", LIVE)
def test_every_live_booking_holds_its_slot(network: BookingsApi, point: int, status: BookingStatus) -> None:
    """In every live state."""
    network.set_status(network.add_booking(point, (10, 12)), status)
    problem(network.book(point, (11, 13)), 409, "slot_taken")


@pytest.mark.parametrize("status", CLOSED)
def test_a_closed_booking_holds_nothing(network: BookingsApi, point: int, status: BookingStatus) -> None:
    """Its slot is free at once."""
    booking = network.add_booking(point, (10, 12))
    network.set_status(booking, status)
    if status is BookingStatus.EXPIRED:
        assert network.stored(booking)["status"] == "EXPIRED"
    network.add_booking(point, (10, 12))
    assert network.stored(booking)["status"] == status


def test_an_unconfirmed_booking_holds_its_slot_for_fifteen_minutes(network: BookingsApi, point: int) -> None:
    """To the microsecond.

    After that another driver can book it, and the first booking is EXPIRED without a background job.
    """
    first = network.add_booking(point, (10, 12))
    network.clock.advance(HOLD - TICK)
    problem(network.book(point, (10, 11)), 409, "slot_taken")
    assert network.stored(first)["status"] == "PENDING"
    network.clock.advance(TICK)
    assert network.book(point, (10, 11)).status_code == 201
    assert network.stored(first)["status"] == "EXPIRED"


def test_a_booking_can_be_moved_to_a_slot_whose_hold_ran_out(network: BookingsApi, point: int) -> None:
    """A change finds the same free slots as a new booking."""
    first = network.add_booking(point, (10, 12))
    network.clock.advance(HOLD)
    booking = network.add_booking(point, (20, 21))
    assert network.move(booking, (9.75, 11.75)).status_code == 200
    assert network.stored(first)["status"] == "EXPIRED"


@pytest.mark.parametrize("status", [BookingStatus.CONFIRMED, BookingStatus.ACTIVE])
def test_a_confirmed_booking_does_not_run_out(network: BookingsApi, point: int, status: BookingStatus) -> None:
    """Only an unconfirmed one does."""
    booking = network.add_booking(point, (10, 12))
    network.set_status(booking, status)
    network.clock.advance(HOLD)
    problem(network.book(point, (9.75, 11.75)), 409, "slot_taken")
    assert network.stored(booking)["status"] == status


def test_holds_at_other_charge_points_are_left_alone(network: BookingsApi, point: int) -> None:
    """A booking expires holds at its own charge point only."""
    elsewhere = network.add_booking(network.add_point(), (10, 12))
    network.clock.advance(HOLD)
    before = network.written(elsewhere)
    network.add_booking(point, (10, 12))
    assert network.written(elsewhere) == before == "PENDING"


def test_the_hold_is_a_setting(network: BookingsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its length follows the setting."""
    monkeypatch.setattr(service, "SETTINGS", BookingSettings(booking_hold_minutes=1))
    point, clock = network.add_point(), network.clock
    network.add_booking(point, (10, 12))
    clock.advance(timedelta(minutes=1) - TICK)
    problem(network.book(point, (10, 11)), 409, "slot_taken")
    clock.advance(TICK)
    network.add_booking(point, (10, 11))
