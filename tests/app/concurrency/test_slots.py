"""Sixteen clients want the same slots on two servers. Each slot is booked once, and every other client gets 409."""

from collections import Counter

import httpx2
import pytest

from tests.app.concurrency.slots import Slots
from tests.concurrency.clients import CLIENTS, statuses
from tests.concurrency.servers import together

SLOTS = 20
TAKEN = (409, "slot_taken")


def test_each_slot_is_booked_once(slots: Slots) -> None:
    """16 clients, 20 slots, 2 servers: 20 bookings, 300 times `slot_taken`, and nothing overlaps in the table."""
    point = slots.add_point()

    def book_every_slot(number: int) -> list[httpx2.Response]:
        return [slots.send(number, "POST", "/bookings", slots.wish(point, slot, number)) for slot in range(SLOTS)]

    by_client = together(book_every_slot, CLIENTS)
    winners = Counter(slot for answers in by_client for slot in range(SLOTS) if answers[slot].status_code == 201)
    assert winners == dict.fromkeys(range(SLOTS), 1)
    told = statuses(answer for answers in by_client for answer in answers)
    assert told == {(201, None): SLOTS, TAKEN: SLOTS * (CLIENTS - 1)}
    assert len(slots.stored(point)) == SLOTS
    assert slots.overlaps(point) == 0


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_one_of_many_moves_to_a_free_slot(slots: Slots, method: str) -> None:
    """16 bookings are moved at once to where one fits: one moves, the others stay where they were."""
    point, target = slots.add_point(), 40
    ids = [slots.add_booking(point, slot) for slot in range(CLIENTS)]
    before = slots.stored(point)

    def move(number: int) -> httpx2.Response:
        return slots.send(number, method, f"/bookings/{ids[number]}", slots.times(target, number))

    answers = together(move, CLIENTS)
    assert statuses(answers) == {(200, None): 1, TAKEN: CLIENTS - 1}
    after = slots.stored(point)
    moved = next(number for number, answer in enumerate(answers) if answer.is_success)
    assert after == {**before, ids[moved]: (point, slots.start(target, moved), "PENDING")}
    assert slots.overlaps(point) == 0


def test_bookings_that_change_places_never_wait_in_a_circle(slots: Slots) -> None:
    """16 bookings at two charge points each go to the other one: none is in another's way, so all of them arrive."""
    points = slots.add_point(), slots.add_point()
    ids = [slots.add_booking(points[slot % 2], slot) for slot in range(CLIENTS)]

    def cross(number: int) -> httpx2.Response:
        body = {"charge_point_id": points[1 - number % 2]}
        return slots.send(number // 2, "PATCH", f"/bookings/{ids[number]}", body)

    assert statuses(together(cross, CLIENTS)) == {(200, None): CLIENTS}
    stored = slots.stored(*points)
    assert [stored[row][:2] for row in ids] == [(points[1 - slot % 2], slots.start(slot)) for slot, _ in enumerate(ids)]


def test_a_batch_is_booked_whole_or_not_at_all(slots: Slots) -> None:
    """Each of 16 clients wants two neighbouring slots of a ring at two charge points, which it names in an order of its own.

    No two neighbours get theirs, nobody gets a part, and nobody is refused without a neighbour who got his.
    """
    points = slots.add_point(), slots.add_point()

    def book_four(number: int) -> httpx2.Response:
        wishes = [slots.wish(point, (number + step) % CLIENTS) for point in points for step in (0, 1)]
        return slots.send(number // 2, "POST", "/bookings/batch", wishes[:: -1 if number % 2 else 1])

    answers = together(book_four, CLIENTS)
    won = [answer.status_code == 201 for answer in answers]
    assert statuses(answers) == {(201, None): sum(won), TAKEN: CLIENTS - sum(won)}
    for number, has_won in enumerate(won):
        beside = won[number - 1] or won[(number + 1) % CLIENTS]
        assert has_won is not beside
    told = {row["id"] for answer in answers if answer.is_success for row in answer.json()}
    assert set(slots.stored(*points)) == told
    assert len(told) == 4 * sum(won)
    assert slots.overlaps(*points) == 0


def test_a_batch_moves_whole_or_not_at_all(slots: Slots) -> None:
    """16 clients each move three bookings, one at each of three charge points, to the same hour.

    One of them gets all three there.
    """
    points, target = [slots.add_point() for _ in range(3)], 40
    ids = [[slots.add_booking(point, slot) for point in points] for slot in range(CLIENTS)]
    before = slots.stored(*points)

    def move(number: int) -> httpx2.Response:
        mine = ids[number][:: -1 if number % 2 else 1]
        body = [{"id": row, **slots.times(target, number)} for row in mine]
        return slots.send(number // 2, "PATCH", "/bookings/batch", body)

    answers = together(move, CLIENTS)
    assert statuses(answers) == {(200, None): 1, TAKEN: CLIENTS - 1}
    moved = next(number for number, answer in enumerate(answers) if answer.is_success)
    arrived = {row: (before[row][0], slots.start(target, moved), "PENDING") for row in ids[moved]}
    assert slots.stored(*points) == {**before, **arrived}
    assert slots.overlaps(*points) == 0


def test_batches_and_single_bookings_meet(slots: Slots) -> None:
    """8 clients want five slots together and 8 want each alone.

    Nobody has a part of a batch, and every slot is somebody's.
    """
    point, wanted = slots.add_point(), 5

    def book(number: int) -> list[httpx2.Response]:
        wishes = [slots.wish(point, slot, number) for slot in range(wanted)]
        if number % 2:
            return [slots.send(number // 2, "POST", "/bookings", wish) for wish in wishes]
        return [slots.send(number // 2, "POST", "/bookings/batch", wishes[:: -1 if number % 4 else 1])]

    by_client = together(book, CLIENTS)
    whole, alone = (statuses(answer for answers in by_client[first::2] for answer in answers) for first in (0, 1))
    assert set(whole) | set(alone) <= {(201, None), TAKEN}
    assert wanted * whole[201, None] + alone[201, None] == len(slots.stored(point)) == wanted
    assert slots.overlaps(point) == 0
