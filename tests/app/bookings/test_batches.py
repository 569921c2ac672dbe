"""Batches and imports of bookings obey every rule of a single booking. The error names the first faulty element."""

import itertools
import json
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import event

from rowhouse.db.compiled import CompiledStatement
from tests.app.bookings.bookings_api import BOOKINGS, POINTS, BookingsApi, Headers
from tests.app.bookings.test_slots import HOLD
from tests.contract.problems import problem

MISSING = 2**31 - 1
Body = dict[str, Any]
# What is wrong with an element, and the error that reports it.
FAULTS: dict[str, tuple[int, str]] = {
    "overlaps a stored one": (409, "slot_taken"),
    "overlaps an earlier one": (409, "slot_taken"),
    "is for a stranger's car": (409, "reference_not_found"),
    "is at no charge point": (409, "reference_not_found"),
    "is at a charge point in maintenance": (409, "charge_point_unavailable"),
    "is too short": (422, "invalid_input"),
}


def element_with(fault: str, network: BookingsApi, point: int, stranger: Headers) -> Body:
    """Return an element with one fault. There is a booking from 10 to 12, and an earlier element from 2 to 3."""
    between = network.clock.between
    body = {"charge_point_id": point, **between((5, 6))}
    match fault:
        case "overlaps a stored one":
            return {**body, **between((11, 13))}
        case "overlaps an earlier one":
            return {**body, **between((2.5, 4))}
        case "is for a stranger's car":
            return {**body, "vehicle_id": network.add_vehicle(stranger)}
        case "is at no charge point":
            return {**body, "charge_point_id": MISSING}
        case "is at a charge point in maintenance":
            return {**body, "charge_point_id": network.add_point(status="maintenance")}
    return {**body, **between((5, 5.01))}


def element_of(answer: Response, status: int, code: str) -> int:
    """Return the position of the element that a problem names."""
    content = problem(answer, status, code)
    position = content["errors"][0]["loc"][1]
    assert content["detail"].startswith(f"Element {position}: ")
    return int(position)


def in_batch(network: BookingsApi, bodies: list[Body], *, method: str = "POST") -> Response:
    """Return the response to a batch of the driver's."""
    return network.client.request(method, f"{BOOKINGS}/batch", json=bodies, headers=network.driver)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FAULTS, 2)))
def test_of_two_errors_the_first_elements_is_returned(
    network: BookingsApi, point: int, other_driver: Headers, first: str, second: str
) -> None:
    """The error names the first faulty element, whichever rules are broken. Nothing is stored."""
    network.add_booking(point, (10, 12))
    fine = {"charge_point_id": point, **network.clock.between((2, 3))}
    bodies = [fine, *(element_with(fault, network, point, other_driver) for fault in (first, second))]
    assert element_of(in_batch(network, bodies), *FAULTS[first]) == 1
    assert network.count(point) == 1


@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
def test_every_error_of_a_file_is_listed(network: BookingsApi, point: int, other_driver: Headers, kind: str) -> None:
    """The error lists the faults of every row. Nothing is stored."""
    network.add_booking(point, (10, 12))
    fine = [{"charge_point_id": point, **network.clock.between((hour, hour + 1))} for hour in (2, 7, 8)]
    rows = [fine[0], *(element_with(fault, network, point, other_driver) for fault in FAULTS), *fine[1:]]
    content = "\n".join(json.dumps(row) for row in rows)
    if kind == "text/csv":
        names = ["charge_point_id", "vehicle_id", "start_time", "end_time"]
        content = "\n".join(",".join(str(row.get(name, "")) for name in names) for row in rows)
        content = f"{','.join(names)}\n{content}"
    headers = {**network.driver, "Content-Type": kind}
    told = network.client.post(f"{BOOKINGS}/import", content=content, headers=headers).json()
    assert [fault["loc"][1] for fault in told["errors"]] == list(range(1, len(FAULTS) + 1))
    assert network.count(point) == 1


def test_a_batch_takes_slots_whose_hold_ran_out(network: BookingsApi, point: int) -> None:
    """Only at the charge points that it uses. A rejected batch changes nothing."""
    other, elsewhere = network.add_point(), network.add_point()
    lapsed = [network.add_booking(at, (10, 12)) for at in (point, other, elsewhere)]
    network.clock.advance(HOLD)
    bodies = [{"charge_point_id": at, **network.clock.between((10, 11))} for at in (point, other)]
    late = {"charge_point_id": other, **network.clock.between((10.5, 12))}
    assert element_of(in_batch(network, [*bodies, late]), 409, "slot_taken") == 2
    assert [network.written(row) for row in lapsed] == ["PENDING"] * 3
    assert in_batch(network, bodies).status_code == 201
    assert [network.written(row) for row in lapsed] == ["EXPIRED", "EXPIRED", "PENDING"]


def test_new_bookings_of_a_batch_hold_their_slots_for_a_while(network: BookingsApi, point: int) -> None:
    """Each one gets the same hold as a single booking."""
    bodies = [{"charge_point_id": point, **network.clock.between((hour, hour + 1))} for hour in (3, 2)]
    made = in_batch(network, bodies).json()
    assert [row["start_time"] for row in made] == [body["start_time"] for body in bodies]
    assert {(row["status"], row["hold_expires_at"]) for row in made} == {
        ("PENDING", network.clock.at(HOLD.seconds / 3600))
    }
    assert [network.stored(row["id"]) for row in made] == made
    network.clock.advance(HOLD)
    assert {network.stored(row["id"])["status"] for row in made} == {"EXPIRED"}


def test_a_batch_of_changes_is_validated_in_order(network: BookingsApi, point: int, other_driver: Headers) -> None:
    """A booking may take the place that an earlier element left.

    The error names a closed, expired or foreign booking, and none changes.
    """
    ids = [network.add_booking(point, (hour, hour + 1)) for hour in (2, 3, 4)]
    over = network.add_booking(point, (20, 21))
    network.step(over, "cancel")
    theirs = network.add_booking(point, (22, 23), headers=other_driver)
    before = [network.stored(row) for row in ids]
    moves = [
        {"id": row, **network.clock.between((hour + 1, hour + 2))} for row, hour in zip(ids, (2, 3, 4), strict=True)
    ]
    assert element_of(in_batch(network, moves, method="PATCH"), 409, "slot_taken") == 0
    unfit = {"id": over, **network.clock.between((30, 31))}
    assert element_of(in_batch(network, [moves[2], unfit, moves[0]], method="PATCH"), 409, "booking_closed") == 1
    unseen = in_batch(network, [moves[2], {"id": theirs, "vehicle_id": None}, unfit], method="PATCH").json()
    assert (unseen["status"], unseen["errors"][0]["loc"]) == (404, ["body", 1])
    assert [network.stored(row) for row in ids] == before
    answer = in_batch(network, moves[::-1], method="PATCH")
    assert answer.status_code == 200, answer.text
    assert [row["start_time"] for row in answer.json()] == [network.clock.at(hour) for hour in (5, 4, 3)]
    assert [network.stored(row) for row in ids] == answer.json()[::-1]
    network.clock.advance(HOLD)
    assert element_of(in_batch(network, moves, method="PATCH"), 409, "booking_closed") == 0


def test_members_that_move_nothing_are_changed_at_any_time(network: BookingsApi, point: int) -> None:
    """A vehicle can be set for bookings at a charge point that is out of service."""
    ids = [network.add_booking(point, (hour, hour + 1)) for hour in (2, 3)]
    assert (
        network.client.patch(f"{POINTS}/{point}", json={"status": "retired"}, headers=network.admin).status_code == 200
    )
    car = network.add_vehicle(network.driver)
    answer = in_batch(network, [{"id": row, "vehicle_id": car} for row in ids], method="PATCH")
    assert [row["vehicle_id"] for row in answer.json()] == [car, car]
    moves = [{"id": row, **network.clock.between((hour, hour + 1))} for row, hour in zip(ids, (2, 9), strict=True)]
    assert element_of(in_batch(network, moves, method="PATCH"), 409, "charge_point_unavailable") == 1


def test_only_administrators_delete_many(network: BookingsApi, point: int) -> None:
    """A driver's batch is 403 and deletes nothing."""
    ids = [network.add_booking(point, (hour, hour + 1)) for hour in (2, 3)]
    named = {"ids": ",".join(map(str, ids))}
    refused = network.client.delete(f"{BOOKINGS}/batch", params=named, headers=network.driver).json()
    assert (refused["code"], refused["errors"][0]["loc"]) == ("permission_denied", ["query", "ids", 0])
    assert network.count(point) == 2
    assert network.client.delete(f"{BOOKINGS}/batch", params=named, headers=network.admin).status_code == 204
    assert network.count(point) == 0


def test_the_number_of_statements_does_not_grow(network: BookingsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """For new bookings at many charge points with a vehicle, and for moving them."""
    app = network.client.app
    assert isinstance(app, FastAPI)
    car, counts = network.add_vehicle(network.driver), []
    for count in (4, 16):
        points, seen = [network.add_point() for _ in range(count)], list[str]()
        with monkeypatch.context() as patched:
            run = CompiledStatement.execute

            def counted(self: CompiledStatement, *arguments: Any, run: Any = run, seen: list[str] = seen) -> Any:
                seen.append(self.text)
                return run(self, *arguments)

            def sent(_connection: Any, _cursor: Any, text: str, *_rest: Any, seen: list[str] = seen) -> None:
                seen.append(text)

            patched.setattr(CompiledStatement, "execute", counted)
            event.listen(app.state.database.engine, "before_cursor_execute", sent)
            bodies = [{"charge_point_id": at, "vehicle_id": car, **network.clock.between((2, 3))} for at in points]
            made = in_batch(network, bodies).json()
            moves = [{"id": row["id"], **network.clock.between((3, 4))} for row in made]
            assert in_batch(network, moves, method="PATCH").status_code == 200
            event.remove(app.state.database.engine, "before_cursor_execute", sent)
        counts.append(len(seen))
    assert counts[0] == counts[1] < 40
