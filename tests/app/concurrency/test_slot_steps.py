"""Sixteen clients use the same bookings: some confirm, some cancel, some book the slot, and the hold expires meanwhile."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx2

from tests.app.concurrency.slots import Slots
from tests.concurrency.clients import CLIENTS, statuses
from tests.concurrency.servers import together

SLOTS = 8
REFUSED, TAKEN = (409, "transition_refused"), (409, "slot_taken")
Told = Counter[tuple[int, str | None]]


def race(slots: Slots, point: int, ids: list[int], roles: tuple[str, ...]) -> list[dict[str, Told]]:
    """Return the responses for each slot, counted for each role of the clients.

    They confirm or cancel its booking, or `book` it over that one.
    """

    def act(number: int, slot: int) -> httpx2.Response:
        role = roles[number % len(roles)]
        if role == "book":
            return slots.send(number // 2, "POST", "/bookings", slots.wish(point, slot, number))
        headers = slots.admin if role == "confirm" else slots.driver
        return slots.send(number // 2, "POST", f"/bookings/{ids[slot]}/{role}", headers=headers)

    by_client = together(lambda number: [act(number, slot) for slot in range(SLOTS)], CLIENTS)
    return [
        {
            role: statuses(answers[slot] for answers in by_client[place :: len(roles)])
            for place, role in enumerate(roles)
        }
        for slot in range(SLOTS)
    ]


def test_a_booking_is_cancelled_once_and_its_slot_goes_to_one(slots: Slots) -> None:
    """Confirmed or not before, it is cancelled; nobody has the slot before that, and at most one after it."""
    point = slots.add_point()
    ids = [slots.add_booking(point, slot) for slot in range(SLOTS)]
    for told in race(slots, point, ids, ("confirm", "cancel", "book")):
        assert told["cancel"] == {(200, None): 1, REFUSED: told["cancel"].total() - 1}
        assert set(told["confirm"]) <= {(200, None), REFUSED}
        assert told["confirm"][200, None] <= 1
        assert set(told["book"]) <= {(201, None), TAKEN}
        assert told["book"][201, None] <= 1
    stored = slots.stored(point)
    assert [stored[row][2] for row in ids] == ["CANCELLED"] * SLOTS
    assert slots.live(point) == len(stored) - SLOTS
    assert slots.overlaps(point) == 0


def test_a_hold_that_runs_out_is_confirmed_or_gone(slots: Slots) -> None:
    """Its slot is the confirmed booking's or one rival's, never both's.

    The holds end one after the other while the race goes on.
    """
    point = slots.add_point()
    ids = [slots.add_booking(point, slot) for slot in range(SLOTS)]
    begin = datetime.now(UTC)
    slots.let_holds_end({row: begin + timedelta(milliseconds=30 * slot) for slot, row in enumerate(ids)})
    by_slot = race(slots, point, ids, ("confirm", "book"))
    stored = slots.stored(point)
    assert slots.overlaps(point) == 0
    for slot, told in enumerate(by_slot):
        assert set(told["confirm"]) <= {(200, None), REFUSED}
        assert set(told["book"]) <= {(201, None), TAKEN}
        confirmed, booked = told["confirm"][200, None], told["book"][201, None]
        assert confirmed + booked <= 1
        left = {(1, 0): {"CONFIRMED"}, (0, 1): {"EXPIRED"}, (0, 0): {"PENDING", "EXPIRED"}}
        assert stored[ids[slot]][2] in left[confirmed, booked]
    slots.let_holds_end(dict.fromkeys(ids, begin))
    last = [slots.send(slot, "POST", "/bookings", slots.wish(point, slot)) for slot in range(SLOTS)]
    taken = [told["confirm"][200, None] + told["book"][201, None] for told in by_slot]
    assert [answer.status_code for answer in last] == [409 if one else 201 for one in taken]
    assert slots.live(point) == SLOTS
    assert slots.overlaps(point) == 0
