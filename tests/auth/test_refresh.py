"""Refresh tokens: rotation, reuse within and after the grace period, and revocation."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.core.clock import now, set_clock
from rowhouse.core.security import fingerprint
from tests.auth.conftest import API, Account, log_in, make_account, refresh, stored

JUST_WITHIN, JUST_AFTER = timedelta(seconds=9), timedelta(seconds=11)


@contextmanager
def later(offset: timedelta) -> Iterator[None]:
    """Advance the clock within the block."""
    instant: datetime = now() + offset
    with set_clock(lambda: instant):
        yield


def log_out(client: TestClient, token: str) -> Any:
    """Return the response to a logout."""
    return client.post(f"{API}/auth/logout", json={"refresh_token": token})


def holds(client: TestClient, token: str) -> bool:
    """Return True if a refresh token still works. Otherwise require a 401 with its code."""
    answer = refresh(client, token)
    if answer.status_code == 200:
        return True
    assert (answer.status_code, answer.json()["code"]) == (401, "refresh_token_invalid")
    assert answer.headers["www-authenticate"] == "Bearer"
    return False


def test_a_refresh_gives_a_new_pair(client: TestClient, account: Account) -> None:
    """Both tokens work. The request needs no other credentials."""
    answer = refresh(client, account.refresh_token)
    pair = answer.json()
    assert answer.status_code == 200
    assert (pair["token_type"], pair["expires_in"]) == ("bearer", 900)
    assert answer.headers["cache-control"] == "no-store"
    assert pair["refresh_token"] != account.refresh_token
    assert client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"}).status_code == 200
    assert holds(client, pair["refresh_token"])


def test_a_spent_token_is_marked_once(client: TestClient, app: FastAPI, account: Account) -> None:
    """A retry within the grace period does not prolong it."""
    find = "SELECT used_at FROM refresh_tokens WHERE fingerprint = :print"
    assert stored(app, find, print=fingerprint(account.refresh_token)) == [{"used_at": None}]
    refresh(client, account.refresh_token)
    first = stored(app, find, print=fingerprint(account.refresh_token))
    with later(JUST_WITHIN):
        assert refresh(client, account.refresh_token).status_code == 200
    assert stored(app, find, print=fingerprint(account.refresh_token)) == first


def test_a_retry_within_the_grace_revokes_nothing(client: TestClient, account: Account) -> None:
    """Both pairs work."""
    first = refresh(client, account.refresh_token).json()
    with later(JUST_WITHIN):
        second = refresh(client, account.refresh_token)
        assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    assert holds(client, first["refresh_token"])
    assert holds(client, second.json()["refresh_token"])


def test_reuse_after_the_grace_revokes_the_family(client: TestClient, app: FastAPI, account: Account) -> None:
    """Permanently, although the response is 401. The account's other sessions continue."""
    other = log_in(client, account.email).json()["refresh_token"]
    second = refresh(client, account.refresh_token).json()["refresh_token"]
    third = refresh(client, second).json()["refresh_token"]
    with later(JUST_AFTER):
        assert not holds(client, account.refresh_token)
    for token in (account.refresh_token, second, third):
        assert not holds(client, token)
    assert holds(client, other)
    revoked = stored(app, "SELECT 1 FROM refresh_tokens WHERE user_id = :id AND revoked_at IS NULL", id=account.id)
    assert len(revoked) == 2


def test_the_grace_is_a_setting(client: TestClient, make_app: Any, backend: str) -> None:
    """With 0 seconds the next instant is reuse."""
    strict = make_app(backend, refresh_grace_seconds=0)
    account = make_account(strict)
    successor = refresh(strict, account.refresh_token).json()["refresh_token"]
    with later(timedelta(seconds=1)):
        assert not holds(strict, account.refresh_token)
        assert not holds(strict, successor)


def test_a_token_runs_out(client: TestClient, app: FastAPI, account: Account) -> None:
    """After 7 days. That is no reuse, and revokes nothing."""
    with later(timedelta(days=7) - timedelta(seconds=5)):
        successor = refresh(client, account.refresh_token).json()["refresh_token"]
    with later(timedelta(days=7, seconds=5)):
        assert not holds(client, account.refresh_token)
        assert holds(client, successor)


@pytest.mark.parametrize("token", ["unknown", "", "x" * 1000, "ä"])
def test_an_unknown_token_is_401(client: TestClient, token: str) -> None:
    """So is a forged one."""
    assert not holds(client, token)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"refresh_token": 7},
        {"refresh_token": None},
        {"refresh_token": "x" * 1001},
        {"refresh_token": "x", "extra": 1},
        [],
    ],
)
@pytest.mark.parametrize("path", ["refresh", "logout"])
def test_a_malformed_body_is_422(client: TestClient, path: str, body: Any) -> None:
    """Before any query."""
    assert client.post(f"{API}/auth/{path}", json=body).status_code == 422


@pytest.mark.parametrize("path", ["refresh", "logout"])
def test_half_a_surrogate_pair_is_422(client: TestClient, path: str) -> None:
    """It is not a character."""
    answer = client.post(
        f"{API}/auth/{path}", content='{"refresh_token": "\\ud800"}', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422


def test_two_at_once_are_a_retry(client: TestClient, account: Account) -> None:
    """Each gets a pair, and nothing is revoked."""
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _n: refresh(client, account.refresh_token), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["refresh_token"] for answer in answers}) == 4
    assert all(holds(client, answer.json()["refresh_token"]) for answer in answers)


def test_a_logout_ends_the_session(client: TestClient, account: Account) -> None:
    """Every token of its family, and no other session. A second logout is 204 too."""
    other = log_in(client, account.email).json()["refresh_token"]
    successor = refresh(client, account.refresh_token).json()["refresh_token"]
    for _ in range(2):
        answer = log_out(client, account.refresh_token)
        assert (answer.status_code, answer.content) == (204, b"")
    assert not holds(client, successor)
    assert not holds(client, account.refresh_token)
    assert holds(client, other)


def test_logging_out_of_nothing_is_204(client: TestClient) -> None:
    """The response does not reveal whether a token was known."""
    assert log_out(client, "unknown").status_code == 204


def test_a_token_stored_while_the_family_was_revoked_is_invalid(
    client: TestClient, app: FastAPI, account: Account
) -> None:
    """The revocation cannot see an uncommitted row. The rest of the family shows it."""
    successor = refresh(client, account.refresh_token).json()["refresh_token"]
    log_out(client, account.refresh_token)
    missed = "UPDATE refresh_tokens SET revoked_at = NULL WHERE fingerprint = :print"
    stored(app, missed, print=fingerprint(successor))
    assert not holds(client, successor)


def test_a_disabled_account_gets_no_pair(client: TestClient, account: Account, admin: dict[str, str]) -> None:
    """403, and the token is not spent."""
    path = f"{API}/users/{account.id}"
    client.patch(path, json={"is_active": False}, headers=admin)
    answer = refresh(client, account.refresh_token)
    assert (answer.status_code, answer.json()["code"]) == (403, "account_disabled")
    client.patch(path, json={"is_active": True}, headers=admin)
    with later(JUST_AFTER):
        assert holds(client, account.refresh_token)


def test_a_deleted_account_has_no_sessions(
    client: TestClient, app: FastAPI, account: Account, admin: dict[str, str]
) -> None:
    """Its tokens are deleted with it."""
    assert client.delete(f"{API}/users/{account.id}", headers=admin).status_code == 204
    assert not holds(client, account.refresh_token)
    assert stored(app, "SELECT 1 FROM refresh_tokens WHERE user_id = :id", id=account.id) == []
