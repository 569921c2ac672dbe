"""Logins: tokens, errors, and what an error must not reveal."""

import threading
from datetime import timedelta
from typing import Any

import bcrypt
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.auth import routes, service
from rowhouse.core import security
from rowhouse.core.clock import now, set_clock
from rowhouse.workers import runner
from tests.auth.conftest import API, Account, log_in, make_account, new_email, refresh, sign_up_with, stored
from tests.conftest import PASSWORD, unique
from tests.fast_hashing import CHEAP

Calls = list[tuple[str, str]]


def told(answer: Any) -> tuple[Any, ...]:
    """Return everything that a response reveals, without the request id."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, answer.json(), headers


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The passwords that bcrypt has checked, each with the beginning of the hash."""
    calls: Calls = []
    check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        calls.append((password.decode(), hashed[:7].decode()))
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    return calls


def test_a_login_gives_a_pair(client: TestClient, account: Account) -> None:
    """An access token for 15 minutes and a refresh token for the next pair."""
    answer = log_in(client, account.email)
    pair = answer.json()
    assert answer.status_code == 200
    assert pair.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (pair["token_type"].lower(), pair["expires_in"]) == ("bearer", 900)
    assert answer.headers["cache-control"] == "no-store"
    me = client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    assert me.json()["email"] == account.email


def test_the_address_is_taken_in_any_case(client: TestClient, account: Account) -> None:
    """And with spaces around it, as forms send them."""
    assert log_in(client, account.email.upper()).status_code == 200
    assert log_in(client, f" {account.email} ").status_code == 200


def test_a_wrong_password_and_an_unknown_address_look_alike(client: TestClient, account: Account) -> None:
    """The responses are equal byte for byte."""
    wrong, unknown = log_in(client, account.email, "wrong-password"), log_in(client, new_email(), "wrong-password")
    assert told(wrong) == told(unknown)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_credentials")
    assert wrong.headers["www-authenticate"] == "Bearer"


def test_both_cost_one_hash(client: TestClient, account: Account, checks: Calls) -> None:
    """The time does not reveal whether an address is registered."""
    assert log_in(client, new_email(), "wrong-password").status_code == 401
    assert log_in(client, account.email, "wrong-password").status_code == 401
    assert checks == [("wrong-password", f"$2b${CHEAP:02}$")] * 2


def test_the_hash_for_an_unknown_address_costs_as_much(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the settings say. It is computed once."""
    monkeypatch.undo()
    service._dummy_hashes.clear()
    for _ in range(2):
        assert log_in(client, new_email()).status_code == 401
    cost = app.state.settings.bcrypt_cost
    assert list(service._dummy_hashes) == [cost]
    assert service._dummy_hashes[cost].startswith(f"$2b${cost}$")


@pytest.mark.parametrize("password", ["", "x" * 73, "é" * 37, "NUL\x00", f"{PASSWORD}\x00", f"{PASSWORD} "])
def test_no_password_gives_a_500(client: TestClient, account: Account, password: str) -> None:
    """An impossible password is 401, a missing one 422."""
    assert log_in(client, account.email, password).status_code == (401 if password else 422)


@pytest.mark.parametrize("suffix", ["\x00", "\U0001f600", "'--", "%"])
def test_no_address_gives_a_500(client: TestClient, account: Account, suffix: str) -> None:
    """The same on both databases."""
    assert log_in(client, f"{account.email}{suffix}").status_code == 401


@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "idna", "rot13", "no-such-thing"])
def test_no_charset_gives_a_500(client: TestClient, charset: str) -> None:
    """UTF-7 can encode half a surrogate pair."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n+2AA-\r\n' for name in ("username", "password")
    ]
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    answer = client.post(f"{API}/auth/login", content="".join([*parts, "--x--\r\n"]), headers={"content-type": kind})
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "form",
    [{}, {"username": "a@example.com"}, {"password": "x"}, {"username": "a", "password": "b", "grant_type": "token"}],
)
def test_a_malformed_form_is_422(client: TestClient, form: dict[str, str]) -> None:
    """It must be the OAuth2 password form."""
    assert client.post(f"{API}/auth/login", data=form).status_code == 422


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded2", ""])
def test_anything_but_a_form_is_415(client: TestClient, account: Account, kind: str) -> None:
    """The message names the accepted types."""
    body = f'{{"username": "{account.email}", "password": "{PASSWORD}"}}'
    answer = client.post(f"{API}/auth/login", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "application/x-www-form-urlencoded" in answer.json()["detail"]


def test_a_form_is_known_by_its_type_alone(client: TestClient, account: Account) -> None:
    """In any case, with parameters, multipart too. Without a type and a body, 422 names the missing members."""
    form = f"username={account.email}&password={PASSWORD}"
    headers = {"content-type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"}
    assert client.post(f"{API}/auth/login", content=form, headers=headers).status_code == 200
    parts = {"username": (None, account.email), "password": (None, PASSWORD)}
    assert client.post(f"{API}/auth/login", files=parts).status_code == 200
    answer = client.post(f"{API}/auth/login")
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 2)


def test_only_the_right_password_shows_that_an_account_is_disabled(
    client: TestClient, account: Account, admin: dict[str, str]
) -> None:
    """403 with the right password, 401 with a wrong one. Enabled again, it works as before."""
    path = f"{API}/users/{account.id}"
    assert client.patch(path, json={"is_active": False}, headers=admin).status_code == 200
    right, wrong = log_in(client, account.email), log_in(client, account.email, "wrong-password")
    assert (right.status_code, right.json()["code"]) == (403, "account_disabled")
    assert told(wrong) == told(log_in(client, new_email(), "wrong-password"))
    client.patch(path, json={"is_active": True}, headers=admin)
    assert log_in(client, account.email).status_code == 200


def test_an_access_token_runs_out(client: TestClient, account: Account) -> None:
    """After 15 minutes."""
    before = now() - timedelta(minutes=15, seconds=1)
    with set_clock(lambda: before):
        token = log_in(client, account.email).json()["access_token"]
    answer = client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_one_kind_of_token_is_not_the_other(client: TestClient, account: Account) -> None:
    """Neither works in place of the other."""
    bearer = {"Authorization": f"Bearer {account.refresh_token}"}
    assert client.get(f"{API}/users/me", headers=bearer).status_code == 401
    assert refresh(client, account.headers["Authorization"].removeprefix("Bearer ")).status_code == 401


def test_a_refresh_token_is_stored_as_its_fingerprint(app: FastAPI, account: Account) -> None:
    """A stolen database contains no token."""
    rows = stored(app, "SELECT * FROM refresh_tokens WHERE user_id = :id", id=account.id)
    assert len(rows) == 1
    assert account.refresh_token not in str(rows)


def test_hashing_holds_no_lock(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash takes tens of milliseconds, and SQLite has one write lock, so no transaction is open meanwhile."""
    account = make_account(client)
    seen: list[tuple[str, bool]] = []

    def watched(function: Any) -> Any:
        def watch(*arguments: Any, **options: Any) -> Any:
            unit = runner.current_unit_of_work()
            group = threading.current_thread().name.rpartition("_")[0]
            seen.append((group, unit.thread_connection.connection.in_transaction()))
            return function(*arguments, **options)

        return watch

    monkeypatch.setattr(routes, "hash_password", watched(security.hash_password))
    monkeypatch.setattr(service, "verify_password", watched(security.verify_password))
    monkeypatch.setattr(service, "verify_and_hash", watched(security.verify_and_hash))
    assert sign_up_with(client).status_code == 201
    body = {"email": new_email(), "password": PASSWORD, "full_name": "Some Body"}
    keyed = [client.post(f"{API}/users", json=body, headers={"Idempotency-Key": unique("key")}) for _ in range(2)]
    assert [answer.status_code for answer in keyed] == [201, 409]
    assert log_in(client, account.email).status_code == 200
    body = {"current_password": PASSWORD, "new_password": "another-horse"}
    assert client.post(f"{API}/users/me/password", json=body, headers=account.headers).status_code == 204
    assert seen == [("sign_up", False)] * 3 + [("hashing", False)] * 2
