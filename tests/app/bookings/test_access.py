"""Who may book, see, change and delete: drivers their own, administrators all, others nothing."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.app.bookings.network import BOOKINGS, POINTS, VEHICLES, Headers, Network
from tests.conftest import unique
from tests.contract.problems import problem

POINT: dict[str, Any] = {
    "code": "X", "name": "X", "latitude": 0, "longitude": 0, "connector": "ccs", "power_kw": 1, "price_per_kwh": 1,
}  # fmt: skip
VEHICLE = {"plate": "X", "connector": "ccs"}


def ids_of(client: TestClient, path: str, headers: Headers, **filters: Any) -> set[int]:
    """The ids that a caller's list holds."""
    answer = client.get(path, params={"size": 100, "sort": "-id", **filters}, headers=headers)
    assert answer.status_code == 200, answer.text
    return {row["id"] for row in answer.json()["items"]}


def test_drivers_see_only_their_own_bookings(network: Network, point: int, other_driver: Headers) -> None:
    """Administrators see all; to another driver a booking does not exist, in the list nor by its id."""
    mine, theirs = network.add_booking(point, (1, 2)), network.add_booking(point, (3, 4), headers=other_driver)
    seen = {
        name: ids_of(network.client, BOOKINGS, headers, charge_point_id=point)
        for name, headers in {"driver": network.driver, "other": other_driver, "admin": network.admin}.items()
    }
    assert seen == {"driver": {mine}, "other": {theirs}, "admin": {mine, theirs}}
    problem(network.client.get(f"{BOOKINGS}/{theirs}", headers=network.driver), 404, "not_found")


def test_drivers_change_only_their_own_bookings(network: Network, point: int, other_driver: Headers) -> None:
    """Another's is 404, as one that does not exist is, and stays as it was."""
    booking = network.add_booking(point, (1, 2))
    before = network.stored(booking)
    problem(network.move(booking, (3, 4), headers=other_driver), 404, "not_found")
    assert network.stored(booking) == before
    assert network.move(booking, (3, 4), headers=network.admin).status_code == 200


def test_only_administrators_delete_bookings(network: Network, point: int, other_driver: Headers) -> None:
    """The driver cancels instead; until an administrator deletes it, the booking stays."""
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
    """Without an account, neither reading nor writing."""
    for answer in (
        client.get(path), client.get(f"{path}/1"), client.post(path, json={}), client.delete(f"{path}/1"),
        client.patch(f"{path}/1", json={}),
    ):  # fmt: skip
        problem(answer, 401, "not_authenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_plain_user_cannot_book(network: Network, point: int, user: Headers) -> None:
    """It takes the role driver or admin; a user's list is empty, and another's booking does not exist to him."""
    booking = network.add_booking(point, (1, 2))
    problem(network.book(point, (3, 4), headers=user), 403, "permission_denied")
    problem(network.move(booking, (3, 4), headers=user), 403, "permission_denied")
    path = f"{BOOKINGS}/{booking}"
    problem(network.client.delete(path, headers=user), 403, "permission_denied")
    problem(network.client.get(path, headers=user), 404, "not_found")
    assert ids_of(network.client, BOOKINGS, user) == set()
    assert network.count(point) == 1


def test_an_administrator_can_book(network: Network, point: int) -> None:
    """For the account's own self."""
    me = network.client.get("/api/v1/users/me", headers=network.admin).json()["id"]
    assert network.book(point, (1, 2), headers=network.admin).json()["driver_id"] == me


def test_vehicles_belong_to_their_driver(network: Network, other_driver: Headers, user: Headers) -> None:
    """Others see and change none of them; a plain user cannot have one."""
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


def test_a_vehicle_that_is_booked_cannot_be_deleted(network: Network, point: int) -> None:
    """The booking refers to it."""
    vehicle = network.add_vehicle(network.driver)
    network.add_booking(point, (1, 2), vehicle_id=vehicle)
    answer = network.client.delete(f"{VEHICLES}/{vehicle}", headers=network.driver)
    problem(answer, 409, "still_referenced")
    assert vehicle in ids_of(network.client, VEHICLES, network.driver)


def test_anyone_reads_charge_points(network: Network, point: int) -> None:
    """Before signing up one may look where to charge."""
    answer = network.client.get(f"{POINTS}/{point}")
    assert answer.status_code == 200
    assert (answer.json()["power_kw"], answer.json()["price_per_kwh"]) == (50, 0.49)
    assert point in ids_of(network.client, POINTS, {}, code=answer.json()["code"])


def test_only_administrators_write_charge_points(network: Network, point: int, user: Headers) -> None:
    """Others change nothing."""
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


def test_the_code_of_a_charge_point_is_unique(network: Network, point: int) -> None:
    """The answer names the member; nothing is stored or changed."""
    code = network.client.get(f"{POINTS}/{point}").json()["code"]
    other = network.add_point()
    for answer in (
        network.client.post(POINTS, json={**POINT, "code": code}, headers=network.admin),
        network.client.patch(f"{POINTS}/{other}", json={"code": code}, headers=network.admin),
    ):
        problem(answer, 409, "duplicate")
        assert answer.json()["detail"] == "ChargePoint with this code already exists"
    assert ids_of(network.client, POINTS, {}, code=code) == {point}


def test_a_charge_point_that_is_booked_cannot_be_deleted(network: Network, point: int) -> None:
    """Bookings refer to it; it stays, and so do they."""
    network.add_booking(point, (1, 2))
    answer = network.client.delete(f"{POINTS}/{point}", headers=network.admin)
    problem(answer, 409, "still_referenced")
    assert network.client.get(f"{POINTS}/{point}").status_code == 200
    assert network.count(point) == 1
