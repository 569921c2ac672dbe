"""`GET /charge-points/{id}/availability` returns the free intervals of a window."""

from datetime import timedelta
from typing import Any

import pytest

from tests.app.bookings.bookings_api import POINTS, BookingsApi, Hours
from tests.contract.problems import faulty_members, problem


def free(network: BookingsApi, point: int, hours: Hours) -> Any:
    """Return the free intervals between two hours from now, as anyone sees them."""
    window = network.clock.between(hours)
    answer = network.client.get(
        f"{POINTS}/{point}/availability", params={"start": window["start_time"], "end": window["end_time"]}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def intervals(network: BookingsApi, *hours: Hours) -> Any:
    """Return the response with these intervals."""
    return {"items": [network.clock.between(pair) for pair in hours]}


def test_what_is_not_booked_is_free(network: BookingsApi, point: int) -> None:
    """The intervals are half-open, sorted and cut to the window. Adjacent bookings leave no gap."""
    assert free(network, point, (1, 20)) == intervals(network, (1, 20))
    for hours in ((2, 4), (4, 5), (10, 12)):
        network.add_booking(point, hours)
    assert free(network, point, (1, 20)) == intervals(network, (1, 2), (5, 10), (12, 20))
    assert free(network, point, (3, 11)) == intervals(network, (5, 10))
    assert free(network, point, (2, 5)) == intervals(network)
    assert free(network, point, (5, 10)) == intervals(network, (5, 10))
    assert free(network, network.add_point(), (3, 11)) == intervals(network, (3, 11))


def test_only_live_bookings_take_time(network: BookingsApi, point: int) -> None:
    """A cancelled booking and one with an expired hold leave the time free."""
    network.step(network.add_booking(point, (2, 3)), "cancel")
    confirmed, pending = network.add_booking(point, (4, 5)), network.add_booking(point, (6, 7))
    network.step(confirmed, "confirm")
    assert free(network, point, (1, 8)) == intervals(network, (1, 4), (5, 6), (7, 8))
    network.clock.advance(timedelta(minutes=15))
    assert free(network, point, (0.75, 7.75)) == intervals(network, (0.75, 3.75), (4.75, 7.75))
    assert network.written(pending) == "PENDING"


@pytest.mark.parametrize("status", ["maintenance", "retired"])
def test_out_of_service_nothing_is_free(network: BookingsApi, status: str) -> None:
    """A booking would be rejected there."""
    assert free(network, network.add_point(status=status), (1, 2)) == intervals(network)


def test_a_window_that_is_none_is_refused(network: BookingsApi, point: int) -> None:
    """A missing, reversed, empty or too long window, or one without an offset, is 422. An unknown charge point is 404."""
    path, at = f"{POINTS}/{point}/availability", network.clock.at
    for name, window in (
        ("start", {"end": at(2)}),
        ("end", {"start": at(1)}),
        ("end", {"start": at(2), "end": at(1)}),
        ("end", {"start": at(1), "end": at(1)}),
        ("end", {"start": at(1), "end": at(24 * 366 + 2)}),
        ("start", {"start": "2030-01-01T00:00:00", "end": at(1)}),
        ("end", {"start": at(1), "end": "1700000000"}),
        ("x", {"start": at(1), "end": at(2), "x": "1"}),
    ):
        assert name in faulty_members(network.client.get(path, params=window))
    query = {"start": at(1), "end": at(2)}
    problem(network.client.get(f"{POINTS}/2147483647/availability", params=query), 404, "not_found")
    assert network.client.get(f"{path}/", params=query).status_code == 200
