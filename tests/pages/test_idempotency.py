"""`Idempotency-Key`: one row is stored, however often and however concurrently the request arrives."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from rowhouse.core.clock import now, set_clock
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, sign_in, unique
from tests.pages.conftest import Shelf


def create(client: TestClient, headers: dict[str, str], key: str, name: str) -> Any:
    """Create a category with a key."""
    return client.post("/api/v1/categories", json={"name": name}, headers={**headers, "Idempotency-Key": key})


def test_the_same_request_again_gets_the_same_answer(client: TestClient, admin: dict[str, str]) -> None:
    key, name = unique("key"), unique("name")
    first, second = create(client, admin, key, name), create(client, admin, key, name)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first.headers["Location"] == second.headers["Location"]
    assert first.headers["ETag"] == second.headers["ETag"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert client.get("/api/v1/categories", params={"name": name}).json()["total"] == 1


def test_the_key_with_another_request_is_refused(client: TestClient, admin: dict[str, str]) -> None:
    key, name = unique("key"), unique("name")
    create(client, admin, key, name)
    assert create(client, admin, key, unique("name")).status_code == 422
    code = unique("c")
    point = {"code": code, "name": "n", "latitude": 1, "longitude": 1, "connector": "ccs", "power_kw": 50}
    headers = {**admin, "Idempotency-Key": key}
    body = {**point, "price_per_kwh": 1}
    assert client.post("/api/v1/charge-points", json=body, headers=headers).status_code == 422
    assert client.get("/api/v1/charge-points", params={"code": code}).json()["total"] == 0


def test_a_refused_request_leaves_the_key_free(client: TestClient, admin: dict[str, str], add_book: Shelf) -> None:
    key, taken, name = unique("key"), unique("name"), unique("name")
    create(client, admin, unique("key"), taken)
    assert create(client, admin, key, taken).status_code == 409
    assert create(client, admin, key, name).status_code == 201


def test_keys_belong_to_the_caller(client: TestClient, driver: dict[str, str], admin: dict[str, str]) -> None:
    key, body = unique("key"), {"plate": "K-1", "connector": "ccs"}
    made = [
        client.post("/api/v1/vehicles", json=body, headers={**who, "Idempotency-Key": key}) for who in (driver, admin)
    ]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json()["id"] != made[1].json()["id"]
    assert "Idempotent-Replayed" not in made[1].headers


def test_of_many_copies_at_once_one_makes_the_row(client: TestClient, admin: dict[str, str]) -> None:
    key, name = unique("key"), unique("name")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: create(client, admin, key, name), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1


def test_a_key_lives_a_day(client: TestClient, admin: dict[str, str]) -> None:
    key, later = unique("key"), now() + timedelta(hours=24, minutes=1)
    assert create(client, admin, key, unique("name")).status_code == 201
    with set_clock(lambda: later):
        answer = create(client, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD), key, unique("name"))
    assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (201, False)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_a_malformed_key_is_refused(client: TestClient, admin: dict[str, str], key: str) -> None:
    headers = {**admin, "Idempotency-Key": key}
    answer = client.post("/api/v1/categories", json={"name": unique("n")}, headers=headers)
    assert answer.status_code == 422


def test_a_sign_up_may_carry_a_key(client: TestClient) -> None:
    body = {"email": f"{unique('k')}@example.com", "password": PASSWORD, "full_name": "Key"}
    headers = {"Idempotency-Key": unique("key")}
    first, second = (client.post("/api/v1/users", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code, second.content) == (201, 201, first.content)
    assert client.post("/api/v1/users", json={**body, "full_name": "X"}, headers=headers).status_code == 422


def test_a_signed_in_callers_key_is_its_own_on_hand_written_routes_too(
    client: TestClient, admin: dict[str, str]
) -> None:
    key = unique("key")
    bodies = [{"email": f"{unique('k')}@example.com", "password": PASSWORD, "full_name": "Key"} for _ in range(2)]
    named = client.post("/api/v1/users", json=bodies[0], headers={**admin, "Idempotency-Key": key})
    nobody = client.post("/api/v1/users", json=bodies[1], headers={"Idempotency-Key": key})
    assert (named.status_code, nobody.status_code) == (201, 201)
    assert named.json()["id"] != nobody.json()["id"]
