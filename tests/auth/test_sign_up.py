"""Sign-ups: valid accounts, and rejected ones."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.auth.conftest import API, accounts, log_in, new_email, sign_up_with
from tests.conftest import PASSWORD

PUBLIC = {"id", "created_at", "updated_at", "email", "full_name", "role", "is_active"}


@pytest.mark.parametrize(("role", "given"), [("user", {}), ("user", {"role": "user"}), ("driver", {"role": "driver"})])
def test_an_account_is_made(client: TestClient, admin: dict[str, str], role: str, given: dict[str, str]) -> None:
    """The response has its public members only, and `Location` leads to it."""
    answer = sign_up_with(client, full_name="Ann Lee", **given)
    assert answer.status_code == 201
    assert answer.json().keys() == PUBLIC
    assert {name: answer.json()[name] for name in ("full_name", "role", "is_active")} == {
        "full_name": "Ann Lee", "role": role, "is_active": True,
    }  # fmt: skip
    assert client.get(answer.headers["location"], headers=admin).json() == answer.json()


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "admin"},
        {"role": "ADMIN"},
        {"role": None},
        {"is_active": True},
        {"id": 1},
        {"token_version": 9},
        {"hashed_password": "x" * 60},
        {"created_at": "2030-01-01T00:00:00Z"},
        {"full_name": ""},
        {"full_name": "x" * 201},
        {"full_name": "NUL\x00"},
        {"full_name": 7},
        {"password": "7 chars"},
        {"password": "x" * 73},
        {"password": "é" * 37},
        {"password": "NUL\x00 within"},
        {"password": 12345678},
    ],
)
def test_a_member_that_a_sign_up_does_not_accept_is_refused(
    client: TestClient, app: FastAPI, changes: dict[str, Any]
) -> None:
    """422 names the member, and no account is created."""
    email = new_email()
    answer = sign_up_with(client, email=email, **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert [fault["loc"][:2] for fault in answer.json()["errors"]] == [["body", name] for name in changes]
    assert accounts(app, email) == []


@pytest.mark.parametrize(
    "email",
    [
        *("", "nobody", "a@b", "a b@example.com", "@example.com", f"{'x' * 250}@example.com", "ä\x00@b.de", None, 7),
        *("Ann <ann@example.com>", "<ann@example.com>", '"Ann" <ann@example.com>', "ann@example.com <ann@example.com>"),
    ],
)
def test_an_invalid_address_is_refused(client: TestClient, email: Any) -> None:
    """422. A name beside the address is rejected, not dropped."""
    answer = sign_up_with(client, email=email)
    assert answer.status_code == 422
    assert {tuple(fault["loc"]) for fault in answer.json()["errors"]} == {("body", "email")}


@pytest.mark.parametrize("member", ["email", "password", "full_name"])
def test_half_a_surrogate_pair_is_422(client: TestClient, app: FastAPI, member: str) -> None:
    """JSON can contain it, but it is not a character."""
    email = new_email()
    body = {"email": f'"{email}"', "password": f'"{PASSWORD}"', "full_name": '"Ann"', member: '"half \\ud800 a pair"'}
    content = "{%s}" % ",".join(f'"{name}":{value}' for name, value in body.items())  # noqa: UP031  braces
    answer = client.post(f"{API}/users", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert accounts(app, email) == []


@pytest.mark.parametrize("password", ["8 chars!", "x" * 72, "é" * 36, "  spaces stay  "])
def test_passwords_at_the_bounds(client: TestClient, password: str) -> None:
    """8 characters to 72 bytes. Every byte counts."""
    email = new_email()
    assert sign_up_with(client, email=email, password=password).status_code == 201
    assert log_in(client, email, password).status_code == 200
    assert log_in(client, email, password[:-1]).status_code == 401


def test_an_address_in_any_case_is_one_account(client: TestClient, app: FastAPI) -> None:
    """It is stored in lower case. The second sign-up is 409 and changes nothing."""
    email = new_email("Some.One")
    assert sign_up_with(client, email=email, full_name="First").json()["email"] == email.lower()
    for again in (email, email.lower(), email.upper()):
        answer = sign_up_with(client, email=again, full_name="Second")
        assert (answer.status_code, answer.json()["code"]) == (409, "duplicate")
        assert answer.json()["detail"] == "User with this email already exists"
    assert [row["full_name"] for row in accounts(app, email)] == ["First"]


def test_the_two_small_sigmas_are_one_letter(client: TestClient) -> None:
    """Python's lower case depends on the place in the word."""
    domain = new_email("x").partition("@")[0]
    emails = [f"\u03bd\u03bf{sigma}@{domain}.com" for sigma in ("\u03c3", "\u03c2", "\u03a3")]
    assert [sign_up_with(client, email=email).status_code for email in emails] == [201, 409, 409]
    assert all(log_in(client, email).status_code == 200 for email in emails)


def test_an_address_is_one_however_its_letters_are_composed(client: TestClient) -> None:
    """é as one code point and as two (Unicode NFC), also at login."""
    name = new_email("caf")
    composed, decomposed = f"\u00e9{name}", f"e\u0301{name}"
    assert sign_up_with(client, email=decomposed).json()["email"] == composed
    assert sign_up_with(client, email=composed).status_code == 409
    assert log_in(client, decomposed).status_code == 200


def test_of_two_at_once_one_gets_the_address(client: TestClient, app: FastAPI) -> None:
    """The others get 409, none of them 500."""
    email = new_email()
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda n: sign_up_with(client, email=email, full_name=f"Number {n}"), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    (row,) = accounts(app, email)
    assert [answer.json()["full_name"] for answer in answers if answer.status_code == 201] == [row["full_name"]]


def test_the_password_is_stored_as_a_hash_of_its_cost(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bcrypt hash with the cost of the settings."""
    monkeypatch.undo()
    email = new_email()
    sign_up_with(client, email=email)
    (row,) = accounts(app, email)
    assert row["hashed_password"].startswith(f"$2b${app.state.settings.bcrypt_cost}$")
    assert PASSWORD not in str(row)


def test_a_sign_up_is_safe_to_repeat(client: TestClient, app: FastAPI) -> None:
    """The same key returns the same account. A request that fails does not use up the key."""
    email, headers = new_email(), {"Idempotency-Key": new_email()}
    body = {"email": email, "password": "short", "full_name": "Ann"}
    refused = client.post(f"{API}/users", json=body, headers=headers)
    assert [fault["loc"] for fault in refused.json()["errors"]] == [["body", "password"]]
    answers = [client.post(f"{API}/users", json={**body, "password": PASSWORD}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert (answers[1].headers["idempotent-replayed"], len(accounts(app, email))) == ("true", 1)


def test_a_form_is_no_sign_up(client: TestClient, app: FastAPI) -> None:
    """It is 415. An unknown parameter is 422."""
    email = new_email()
    body = {"email": email, "password": PASSWORD, "full_name": "Ann"}
    assert client.post(f"{API}/users", data=body).status_code == 415
    assert client.post(f"{API}/users?role=driver", json=body).status_code == 422
    assert accounts(app, email) == []
