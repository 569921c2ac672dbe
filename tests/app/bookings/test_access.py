"""Who books, sees, changes and deletes: drivers their own bookings, administrators all, others none."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.app.bookings.bookings_api import BOOKINGS, POINTS, VEHICLES, BookingsApi, Headers
from tests.conftest import unique
from tests.contract.problems import problem

POINT: dict[str, Any] = {
    "code": "X", "name": "X", "latitude": 0, "longitude": 0, "connector": "ccs", "power_kw": 1, "price_per_kwh": 1,
}  # fmt: skip
VEHICLE = {"plate": "X", "connector": "ccs"}


def ids_of(client: TestClient, path: str, headers: Headers, **filters: Any) -> set[int]:
    """Return the ids in a caller's list."""
    answer = client.get(path, params={"size": 100, "sort": "-id", **filters}, headers=headers)
    assert answer.status_code == 200, answer.text
    return {row["id"] for row in answer.json()["items"]}


def test_drivers_see_only_their_own_bookings(network: BookingsApi, point: int, other_driver: Headers) -> None:
    """Administrators see all. To another driver a booking does not exist, in the list and by its id."""
    mine, theirs = network.add_booking(point, (1, 2)), network.add_booking(point, (3, 4), headers=other_driver)
    seen = {
        name: ids_of(network.client, BOOKINGS, headers, charge_point_id=point)
        for name, headers in {"driver": network.driver, "other": other_driver, "admin": network.admin}.items()
    }
    assert seen == {"driver": {mine}, "other": {theirs}, "admin": {mine, theirs}}
    problem(network.client.get(f"{BOOKINGS}/{theirs}", headers=network.driver), 404, "not_found")


def test_drivers_change_only_their_own_bookings(network: BookingsApi, point: int, other_driver: Headers) -> None:
    """Another driver's booking is 404, like a missing one, and does not change."""
    booking = network.add_booking(point, (1, 2))
    before = network.stored(booking)
    problem(network.move(booking, (3, 4), headers=other_driver), 404, "not_found")
    assert network.stored(booking) == before
    assert network.move(booking, (3, 4), headers=network.admin).status_code == 200


def test_only_administrators_delete_bookings(network: BookingsApi, point: int, other_driver: Headers) -> None:
    """Drivers cancel instead. The booking stays until an administrator deletes it."""
    booking = network.add_booking(point, (1, 2))
    path = f"{BOOKINGS}/{booking}"
    for headers in (network.driver, other_driver):
        problem(network.client.delete(path, headers=headers), 403, "permission_denied")
    assert network.count(point) == 1
    assert network.client.delete(path, headers=network.admin).status_code == 204
    problem(network.client.get(path, headers=network.admin), 404, "not_found")
    network.add_booking(point, (1, 2))


@pytest.mark.parametrize("path", [BOOKINGS, VEHICLES])
def test_nothing_here_is_for_strangers(client: TestClient, path: str) -> None:
    """Without an account, reading and writing are 401."""
    for answer in (
        client.get(path), client.get(f"{path}/1"), client.post(path, json={}), client.delete(f"{path}/1"),
        client.patch(f"{path}/1", json={}),
    ):  # fmt: skip
        problem(answer, 401, "not_authenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_plain_user_cannot_book(network: BookingsApi, point: int, user: Headers) -> None:
    """Booking requires the role driver or admin. A user's list is empty, and another's booking is 404."""
    booking = network.add_booking(point, (1, 2))
    problem(network.book(point, (3, 4), headers=user), 403, "permission_denied")
    problem(network.move(booking, (3, 4), headers=user), 403, "permission_denied")
    path = f"{BOOKINGS}/{booking}"
    problem(network.client.delete(path, headers=user), 403, "permission_denied")
    problem(network.client.get(path, headers=user), 404, "not_found")
    assert ids_of(network.client, BOOKINGS, user) == set()
    assert network.count(point) == 1


def test_an_administrator_can_book(network: BookingsApi, point: int) -> None:
    """The booking belongs to the administrator."""
    me = network.client.get("/api/v1/users/me", headers=network.admin).json()["id"]
    assert network.book(point, (1, 2), headers=network.admin).json()["driver_id"] == me


def test_vehicles_belong_to_their_driver(network: BookingsApi, other_driver: Headers, user: Headers) -> None:
    """Others neither see nor change them. A plain user cannot create one."""
    client, vehicle = network.client, network.add_vehicle(network.driver)
    path, change = f"{VEHICLES}/{vehicle}", {"plate": "STOLEN"}
    assert vehicle in ids_of(client, VEHICLES, network.driver)
    assert vehicle in ids_of(client, VEHICLES, network.admin)
    assert vehicle not in ids_of(client, VEHICLES, other_driver)
    for answer in (
        client.get(path, headers=other_driver),
        client.patch(path, json=change, headers=other_driver),
        client.delete(path, headers=other_driver),
    ):
        problem(answer, 404, "not_found")
    problem(client.post(VEHICLES, json=VEHICLE, headers=user), 403, "permission_denied")
    problem(client.patch(path, json=change, headers=user), 403, "permission_denied")
    assert ids_of(client, VEHICLES, user) == set()
    assert client.get(path, headers=network.driver).json()["plate"] != "STOLEN"


def test_a_vehicle_that_is_booked_cannot_be_deleted(network: BookingsApi, point: int) -> None:
    """A booking refers to it: 409."""
    vehicle = network.add_vehicle(network.driver)
    network.add_booking(point, (1, 2), vehicle_id=vehicle)
    answer = network.client.delete(f"{VEHICLES}/{vehicle}", headers=network.driver)
    problem(answer, 409, "still_referenced")
    assert vehicle in ids_of(network.client, VEHICLES, network.driver)


def test_anyone_reads_charge_points(network: BookingsApi, point: int) -> None:
    """No account is needed."""
    answer = network.client.get(f"{POINTS}/{point}")
    assert answer.status_code == 200
    assert (answer.json()["power_kw"], answer.json()["price_per_kwh"]) == (50, 0.49)
    assert point in ids_of(network.client, POINTS, {}, code=answer.json()["code"])


def test_only_administrators_write_charge_points(network: BookingsApi, point: int, user: Headers) -> None:
    """Others get 401 or 403 and change nothing."""
    client, path = network.client, f"{POINTS}/{point}"
    before, code = client.get(path).json(), unique("point")
    for headers, status, word in (
        ({}, 401, "not_authenticated"),
        (user, 403, "permission_denied"),
        (network.driver, 403, "permission_denied"),
    ):
        problem(client.post(POINTS, json={**POINT, "code": code}, headers=headers), status, word)
        problem(client.patch(path, json={"status": "retired"}, headers=headers), status, word)
        problem(client.put(path, json={"status": "retired"}, headers=headers), status, word)
        problem(client.delete(path, headers=headers), status, word)
    assert client.get(path).json() == before
    assert ids_of(client, POINTS, {}, code=code) == set()
    assert client.patch(path, json={"status": "retired"}, headers=network.admin).json()["status"] == "retired"
    assert client.delete(path, headers=network.admin).status_code == 204


def test_the_code_of_a_charge_point_is_unique(network: BookingsApi, point: int) -> None:
    """A duplicate is 409 and names the member. Nothing is stored or changed."""
    code = network.client.get(f"{POINTS}/{point}").json()["code"]
    other = network.add_point()
    for answer in (
        network.client.post(POINTS, json={**POINT, "code": code}, headers=network.admin),
        network.client.patch(f"{POINTS}/{other}", json={"code": code}, headers=network.admin),
    ):
        problem(answer, 409, "duplicate")
        assert answer.json()["detail"] == "ChargePoint with this code already exists"
    assert ids_of(network.client, POINTS, {}, code=code) == {point}


def test_a_charge_point_that_is_booked_cannot_be_deleted(network: BookingsApi, point: int) -> None:
    """Bookings refer to it: 409. It stays, and so do they."""
    network.add_booking(point, (1, 2))
    answer = network.client.delete(f"{POINTS}/{point}", headers=network.admin)
    problem(answer, 409, "still_referenced")
    assert network.client.get(f"{POINTS}/{point}").status_code == 200
    assert network.count(point) == 1
