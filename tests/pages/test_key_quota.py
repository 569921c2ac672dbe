"""An account has a limited number of idempotency keys. Stored keys still work, and few requests count them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.core.clock import now, set_clock
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.requests import idempotency_quota as key_quota
from rowhouse.requests.idempotency import idempotency_keys
from rowhouse.requests.idempotency_quota import KeyQuota
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, sign_in, small_registry, unique

MOST = 3


@pytest.fixture
def small(backend: str, make_app: Callable[..., TestClient]) -> TestClient:
    """An application in which an account may have three keys."""
    return make_app(backend, small_registry(), idempotency_keys_per_account=MOST)


@pytest.fixture
def boss(small: TestClient) -> dict[str, str]:
    """The headers of its administrator."""
    return sign_in(small, ADMIN_EMAIL, ADMIN_PASSWORD)


def create(client: TestClient, headers: dict[str, str], key: str, name: str) -> Any:
    """Create a category with a key."""
    return client.post("/api/v1/categories", json={"name": name}, headers={**headers, "Idempotency-Key": key})


def fill(client: TestClient, headers: dict[str, str]) -> list[tuple[str, str]]:
    """Use all keys of an account. Return the keys and names."""
    made = [(unique("key"), unique("name")) for _ in range(MOST)]
    assert [create(client, headers, *one).status_code for one in made] == [201] * MOST
    return made


def test_past_the_bound_a_new_key_is_refused(small: TestClient, boss: dict[str, str]) -> None:
    """Nothing is stored. A stored key still works, and so does a request without a key."""
    made, name = fill(small, boss), unique("name")
    for _ in range(2):
        refused = create(small, boss, unique("key"), name)
        assert refused.status_code == 429
        assert refused.json()["code"] == "too_many_keys"
        assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
    assert small.get("/api/v1/categories", params={"name": name}).json()["total"] == 0
    again = create(small, boss, *made[0])
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert small.post("/api/v1/categories", json={"name": name}, headers=boss).status_code == 201


def test_the_bound_is_of_one_account(small: TestClient, boss: dict[str, str]) -> None:
    """Other accounts, and callers without one, have limits of their own."""
    fill(small, boss)
    body = {"password": PASSWORD, "full_name": "Somebody", "role": "driver"}
    emails = [f"{unique('k')}@example.com" for _ in range(MOST + 1)]
    answers = [
        small.post("/api/v1/users", json={**body, "email": email}, headers={"Idempotency-Key": unique("key")})
        for email in emails
    ]
    assert {answer.status_code for answer in answers} == {201}
    driver = {**sign_in(small, emails[0], PASSWORD), "Idempotency-Key": unique("key")}
    vehicle = {"plate": unique("K"), "connector": "ccs"}
    assert small.post("/api/v1/vehicles", json=vehicle, headers=driver).status_code == 201


def test_a_day_later_there_is_room_again(small: TestClient, boss: dict[str, str]) -> None:
    """As soon as the oldest key expires."""
    fill(small, boss)
    assert create(small, boss, unique("key"), unique("name")).status_code == 429
    later = now() + timedelta(hours=24, seconds=5)
    with set_clock(lambda: later):
        headers = sign_in(small, ADMIN_EMAIL, ADMIN_PASSWORD)
        assert create(small, headers, unique("key"), unique("name")).status_code == 201


def test_keys_deleted_by_other_programs_are_noticed_within_a_minute(small: TestClient, boss: dict[str, str]) -> None:
    """Until then the account is rejected without a count."""
    fill(small, boss)
    assert create(small, boss, unique("key"), unique("name")).status_code == 429
    assert isinstance(small.app, FastAPI)
    with UnitOfWork(small.app.state.database, write=True) as unit:
        unit.session.connection().execute(sa.delete(idempotency_keys))
    assert create(small, boss, unique("key"), unique("name")).status_code == 429
    later = now() + timedelta(seconds=61)
    with set_clock(lambda: later):
        assert create(small, boss, unique("key"), unique("name")).status_code == 201


class Counting:
    """A fake unit of work whose account has as many keys as were claimed. Records how often they are counted."""

    def __init__(self) -> None:
        self.held = self.asked = 0

    def fetch(self, _statement: object, parameters: dict[str, str]) -> list[dict[str, int]]:
        """Return the number of keys."""
        self.asked += 1
        return [{"held": self.held}]

    def claim(self, quota: KeyQuota, owner: str = "account 1") -> None:
        """Claim another key."""
        self.held += 1
        quota.reserve(self, owner)  # type: ignore[arg-type]  # all that is asked of it


def test_few_claims_are_counted() -> None:
    """About fifty of a thousand, most of them near the limit. The first hundred need one count."""
    quota, unit = KeyQuota(1000, idempotency_keys), Counting()
    for _ in range(100):
        unit.claim(quota)
    assert unit.asked == 1
    for _ in range(900):
        unit.claim(quota)
    assert unit.asked < 60


def test_the_number_of_remembered_accounts_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most recent accounts are remembered. Others are counted again."""
    monkeypatch.setattr(key_quota, "REMEMBERED", 2)
    quota, unit = KeyQuota(1000, idempotency_keys), Counting()
    for owner in ("a", "b", "c", "a"):
        unit.claim(quota, owner)
    assert unit.asked == 4
    unit.claim(quota, "c")
    assert unit.asked == 4


def test_the_number_of_remembered_full_accounts_is_limited(
    monkeypatch: pytest.MonkeyPatch, small: TestClient, boss: dict[str, str]
) -> None:
    """Past that number all are counted again."""
    monkeypatch.setattr(key_quota, "REMEMBERED", 0)
    fill(small, boss)
    assert {create(small, boss, unique("key"), unique("name")).status_code for _ in range(2)} == {429}
