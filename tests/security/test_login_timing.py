"""The time of a failed login does not reveal whether the address is registered.

The tests count the hashing work instead of the time.
"""

from collections.abc import Callable

import bcrypt
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from rowhouse.auth import service
from tests.conftest import ADMIN_EMAIL, PASSWORD, unique
from tests.security.attacked_app import API, AttackedApp

COST, RAISED = 10, 11
WRONG = "wrong-password"


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The binary logarithm of the rounds of every hash that bcrypt computes."""
    found: list[int] = []
    check, make = bcrypt.checkpw, bcrypt.hashpw

    def checked(password: bytes, hashed: bytes) -> bool:
        found.append(int(hashed[4:6]))
        return check(password, hashed)

    def made(password: bytes, salt: bytes) -> bytes:
        found.append(int(salt[4:6]))
        return make(password, salt)

    monkeypatch.setattr(bcrypt, "checkpw", checked)
    monkeypatch.setattr(bcrypt, "hashpw", made)
    return found


def sign_up(client: TestClient, **changes: object) -> str:
    """Create an account and return its address."""
    email = f"{unique('timed')}@example.com"
    body = {"email": email, "password": PASSWORD, "full_name": "Timed"}
    answer = client.post(f"{API}/users", json={**body, **changes})
    assert answer.status_code == 201, answer.text
    return email


def work(client: TestClient, rounds: list[int], email: str, password: str = WRONG) -> tuple[int, list[int]]:
    """Return the response to a login, and the rounds that it costs."""
    rounds.clear()
    answer = client.post(f"{API}/auth/login", data={"username": email, "password": password})
    return answer.status_code, list(rounds)


def test_every_login_costs_one_hash_of_one_cost(attacked: AttackedApp, rounds: list[int]) -> None:
    """For an enabled, disabled or unknown account, an administrator, and an invalid address.

    The password may be right or wrong.
    """
    service._dummy_hash(COST)
    email, disabled = sign_up(attacked.client), sign_up(attacked.client)
    row = attacked.running_app.entity("users").list(email=disabled)["items"][0]
    change = attacked.client.patch(f"{API}/users/{row['id']}", json={"is_active": False}, headers=attacked.admin)
    assert change.status_code == 200
    refused = [
        email,
        email.upper(),
        disabled,
        ADMIN_EMAIL,
        f"{unique('nobody')}@example.com",
        "nobody",
        "a\x00b",
        "x" * 5000,
    ]
    for address in refused:
        assert work(attacked.client, rounds, address) == (401, [COST]), address
    assert work(attacked.client, rounds, email, PASSWORD) == (200, [COST])
    assert work(attacked.client, rounds, disabled, PASSWORD) == (403, [COST])


def test_what_no_password_can_be_costs_no_hash_for_anybody(attacked: AttackedApp, rounds: list[int]) -> None:
    """It is longer than bcrypt reads."""
    for address in (ADMIN_EMAIL, f"{unique('nobody')}@example.com"):
        assert work(attacked.client, rounds, address, "x" * 73) == (401, [])


def test_the_first_login_of_a_process_makes_the_same_dummy_for_both(
    attacked: AttackedApp, rounds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For known and unknown addresses one hash is computed once, and one is checked."""
    for address in (ADMIN_EMAIL, f"{unique('nobody')}@example.com"):
        monkeypatch.setattr(service, "_dummy_hashes", {})
        assert work(attacked.client, rounds, address) == (401, [COST, COST])


def test_an_older_hash_costs_as_much(make_app: Callable[..., TestClient], rounds: list[int]) -> None:
    """After `BCRYPT_COST` was raised, older hashes have a lower cost. A login computes the missing rounds."""
    client = make_app("sqlite", bcrypt_cost=RAISED)
    service._dummy_hash(RAISED)
    email = sign_up(client)
    older = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(RAISED - 2)).decode()
    with client.app.state.database.engine.begin() as connection:  # type: ignore[attr-defined]  # it is a FastAPI
        connection.execute(sa.text("UPDATE users SET hashed_password = :h WHERE email = :e"), {"h": older, "e": email})
    assert work(client, rounds, f"{unique('nobody')}@example.com") == (401, [RAISED])
    for password, status in ((WRONG, 401), (PASSWORD, 200)):
        answered, spent = work(client, rounds, email, password)
        assert answered == status
        assert sum(2**cost for cost in spent) == 2**RAISED
