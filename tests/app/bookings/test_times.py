"""The allowed times of a booking: 5 minutes to 24 hours, not in the past, at most 90 days ahead, by the settings."""

from datetime import timedelta

import pytest

from app.bookings import service
from app.bookings.settings import BookingSettings
from tests.app.bookings.bookings_api import BOOKINGS, BookingsApi, Clock, rfc3339
from tests.contract.problems import problem

Span = tuple[timedelta, timedelta]
NONE, TICK, HOUR = timedelta(), timedelta(microseconds=1), timedelta(hours=1)
SHORTEST, LONGEST, FARTHEST = timedelta(minutes=5), timedelta(hours=24), timedelta(days=90)
ALLOWED: dict[str, Span] = {
    "from now on": (NONE, HOUR),
    "the shortest": (HOUR, HOUR + SHORTEST),
    "the longest": (HOUR, HOUR + LONGEST),
    "the farthest": (FARTHEST, FARTHEST + LONGEST),
}
REFUSED: dict[str, tuple[timedelta, timedelta, str]] = {
    "too short": (HOUR, HOUR + SHORTEST - TICK, "end_time"),
    "empty": (HOUR, HOUR, "end_time"),
    "backwards": (2 * HOUR, HOUR, "end_time"),
    "too long": (HOUR, HOUR + LONGEST + TICK, "end_time"),
    "in the past": (-TICK, HOUR, "start_time"),
    "long past": (-2 * HOUR, -HOUR, "start_time"),
    "too far ahead": (FARTHEST + TICK, FARTHEST + HOUR, "start_time"),
}


def times(clock: Clock, start: timedelta, end: timedelta) -> dict[str, str]:
    """Return the members of a booking from `start` to `end` from now."""
    return {"start_time": rfc3339(clock.time + start), "end_time": rfc3339(clock.time + end)}


@pytest.mark.parametrize("span", ALLOWED.values(), ids=ALLOWED)
def test_times_within_the_bounds_are_booked(network: BookingsApi, point: int, span: Span) -> None:
    """The bounds themselves are allowed. The row keeps the instants to the microsecond."""
    body = {"charge_point_id": point, **times(network.clock, *span)}
    answer = network.client.post(BOOKINGS, json=body, headers=network.driver)
    assert answer.status_code == 201, answer.text
    assert {name: answer.json()[name] for name in body} == body
    assert answer.json()["status"] == "PENDING"


@pytest.mark.parametrize(("start", "end", "member"), REFUSED.values(), ids=REFUSED)
def test_times_out_of_bounds_are_refused(
    network: BookingsApi, point: int, start: timedelta, end: timedelta, member: str
) -> None:
    """One microsecond is enough. The error names the member, and nothing is stored."""
    body = {"charge_point_id": point, **times(network.clock, start, end)}
    answer = network.client.post(BOOKINGS, json=body, headers=network.driver)
    problem(answer, 422, "invalid_input")
    assert [error["loc"] for error in answer.json()["errors"]] == [["body", member]]
    assert network.count(point) == 0


@pytest.mark.parametrize(("start", "end", "member"), REFUSED.values(), ids=REFUSED)
def test_a_booking_cannot_be_moved_out_of_bounds(
    network: BookingsApi, point: int, start: timedelta, end: timedelta, member: str
) -> None:
    """New times are checked like those of a new booking. The booking stays as it was."""
    booking = network.add_booking(point, (1, 2))
    before = network.stored(booking)
    answer = network.change(booking, times(network.clock, start, end))
    problem(answer, 422, "invalid_input")
    assert [error["loc"] for error in answer.json()["errors"]] == [["body", member]]
    assert network.stored(booking) == before


def test_one_changed_time_is_validated_with_the_other_stored_one(network: BookingsApi, point: int) -> None:
    """The rule applies to the whole row."""
    booking = network.add_booking(point, (10, 12))
    problem(network.change(booking, {"end_time": network.clock.at(9)}), 422, "invalid_input")
    problem(network.change(booking, {"start_time": network.clock.at(12)}), 422, "invalid_input")
    assert network.change(booking, {"end_time": network.clock.at(11)}).status_code == 200
    assert network.stored(booking)["end_time"] == network.clock.at(11)


def test_an_instant_without_offset_is_refused(network: BookingsApi, point: int) -> None:
    """Local time is ambiguous."""
    answer = network.book(point, (1, 2), end_time=network.clock.at(2).removesuffix("Z"))
    problem(answer, 422, "invalid_input")
    assert network.count(point) == 0


def test_an_offset_is_the_same_instant(network: BookingsApi, point: int) -> None:
    """It is stored, shown and compared in UTC: it overlaps a booking in UTC."""
    shown = network.clock.at(3).removesuffix("Z")
    answer = network.book(point, (1, 2), start_time=f"{shown}+02:00")
    assert answer.json()["start_time"] == network.clock.at(1)
    problem(network.book(point, (1, 2)), 409, "slot_taken")


def test_the_bounds_are_settings(network: BookingsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three follows its setting."""
    bounds = BookingSettings(booking_min_minutes=30, booking_max_hours=2, booking_max_days_ahead=7)
    monkeypatch.setattr(service, "SETTINGS", bounds)
    point, week = network.add_point(), 7 * 24
    for hours in ((1, 1.49), (1, 3.01), (week + 0.01, week + 1)):
        problem(network.book(point, hours), 422, "invalid_input")
    assert network.count(point) == 0
    for hours in ((1, 1.5), (2, 4), (week, week + 1)):
        network.add_booking(point, hours)
