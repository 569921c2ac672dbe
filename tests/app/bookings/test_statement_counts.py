"""The number of SQL statements of each operation on bookings. A step locks and reads the row once."""

import pytest

from tests.app.bookings.bookings_api import BookingsApi
from tests.statement_counter import all_statements_sent

STEPS = ("confirm", "start", "complete")


@pytest.mark.parametrize("steps", [STEPS, ("cancel",)])
def test_a_step_takes_three_statements(network: BookingsApi, point: int, steps: tuple[str, ...]) -> None:
    """The caller, the locked row and the change. No conflict is searched for, because time and place stay."""
    booking = network.add_booking(point, (0, 1), vehicle_id=network.add_vehicle(network.driver))
    for step in steps:
        with all_statements_sent() as sent:
            answer = network.step(booking, step)
        assert answer.status_code == 200, answer.text
        assert [text.split()[0] for text in sent] == ["SELECT", "SELECT", "UPDATE"], (step, sent)
        assert [("FROM users" in text, "bookings" in text) for text in sent] == [(True, False), *[(False, True)] * 2]


def test_a_booking_takes_six_statements(network: BookingsApi, point: int) -> None:
    """The caller, the vehicle's scope, the lock, the charge point's state, conflicts and the row."""
    vehicle = network.add_vehicle(network.driver)
    with all_statements_sent() as sent:
        network.add_booking(point, (0, 1), vehicle_id=vehicle)
    assert len(sent) == 6, sent


def test_a_change_that_keeps_place_and_time_looks_for_no_rival(network: BookingsApi, point: int) -> None:
    booking = network.add_booking(point, (0, 1))
    vehicle = network.add_vehicle(network.driver)
    with all_statements_sent() as sent:
        assert network.change(booking, {"vehicle_id": vehicle}).status_code == 200
    assert not any("given" in text for text in sent), sent
