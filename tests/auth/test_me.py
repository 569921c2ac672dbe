"""`/users/me`: the caller's account, and how its sessions end."""

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.auth.conftest import API, Account, accounts, log_in, refresh
from tests.conftest import PASSWORD

NEW = "another-horse"


def change_password(account: Account, current: str = PASSWORD, new: str = NEW) -> Any:
    """Return the response to a change of the password."""
    body = {"current_password": current, "new_password": new}
    return account.client.post(f"{API}/users/me/password", json=body, headers=account.headers)


def test_an_account_reads_itself(account: Account) -> None:
    """The response has the account without its secrets."""
    answer = account.me()
    assert answer.status_code == 200
    assert answer.json().keys() == {"id", "created_at", "updated_at", "email", "full_name", "role", "is_active"}
    assert (answer.json()["id"], answer.json()["email"]) == (account.id, account.email)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/users/me"), ("PATCH", "/users/me"), ("POST", "/users/me/password")]
)
@pytest.mark.parametrize("authorization", [None, "Bearer x.y.z", "Basic abc", "Bearer"])
def test_an_anonymous_caller_has_no_account(
    client: TestClient, method: str, path: str, authorization: str | None
) -> None:
    """401 for every request."""
    body = {"full_name": "Nobody"} if method == "PATCH" else {"current_password": PASSWORD, "new_password": NEW}
    headers = {"Authorization": authorization} if authorization else {}
    answer = client.request(method, f"{API}{path}", headers=headers, json=None if method == "GET" else body)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_name_can_be_changed(account: Account) -> None:
    """Nothing else changes except `updated_at`."""
    before = account.me().json()
    answer = account.client.patch(f"{API}/users/me", json={"full_name": "New Name"}, headers=account.headers)
    assert answer.status_code == 200
    assert answer.json() == account.me().json()
    assert answer.json() == {**before, "full_name": "New Name", "updated_at": answer.json()["updated_at"]}
    assert answer.json()["updated_at"] > before["updated_at"]


def test_a_change_keeps_what_if_match_says(account: Account, admin: dict[str, str]) -> None:
    """Of the version that `/users/{id}` has. Several headers are one list."""
    path, tag = f"{API}/users/me", account.me().headers["etag"]
    assert account.client.get(f"{API}/users/{account.id}", headers=admin).headers["etag"] == tag

    def change(name: str, *tags: str) -> Any:
        """Change the name of this version."""
        headers = [*account.headers.items(), *(("If-Match", one) for one in tags)]
        return account.client.patch(path, json={"full_name": name}, headers=headers)

    for tags, status in (
        (('"stale"',), 412),
        ((f"{tag}x",), 412),
        (('"other"', tag), 200),
        ((tag,), 412),
        (("*",), 200),
    ):
        assert change(f"Name {tags} {status}", *tags).status_code == status
    told = change("Last", account.me().headers["etag"])
    assert (told.status_code, told.headers["etag"]) == (200, account.me().headers["etag"])
    assert account.me().json()["full_name"] == "Last"


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "admin"},
        {"email": "other@example.com"},
        {"is_active": False},
        {"password": NEW},
        {"hashed_password": "x"},
        {"token_version": 0},
        {"id": 1},
        {"full_name": ""},
        {"full_name": None},
    ],
)
def test_nothing_else_can_be_changed(account: Account, changes: dict[str, Any]) -> None:
    """422, and the account stays as it was."""
    before = account.me().json()
    body = {"full_name": "New Name", **changes}
    answer = account.client.patch(f"{API}/users/me", json=body, headers=account.headers)
    assert answer.status_code == 422
    assert account.me().json() == before


def test_an_empty_change_is_400(account: Account) -> None:
    """`updated_at` does not change either."""
    before = account.me().json()
    answer = account.client.patch(f"{API}/users/me", json={}, headers=account.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "empty_update")
    assert account.me().json() == before


def test_me_takes_no_parameters_and_no_other_method(account: Account) -> None:
    """422 and 405."""
    assert account.client.get(f"{API}/users/me?fields=id", headers=account.headers).status_code == 422
    answer = account.client.delete(f"{API}/users/me", headers=account.headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, PATCH")
    assert account.me().status_code == 200


def test_a_new_password_ends_every_session(client: TestClient, account: Account) -> None:
    """Access tokens and refresh tokens, at once and everywhere. The old password no longer works."""
    elsewhere = log_in(client, account.email).json()
    answer = change_password(account)
    assert (answer.status_code, answer.content) == (204, b"")
    assert account.me().status_code == 401
    other = client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {elsewhere['access_token']}"})
    assert (other.status_code, other.headers["www-authenticate"]) == (401, "Bearer")
    for token in (account.refresh_token, elsewhere["refresh_token"]):
        assert refresh(client, token).status_code == 401
    assert log_in(client, account.email).status_code == 401
    assert log_in(client, account.email, NEW).status_code == 200


def test_others_are_not_signed_out(client: TestClient, account: Account, user: dict[str, str]) -> None:
    """Other accounts keep their sessions."""
    change_password(account)
    assert client.get(f"{API}/users/me", headers=user).status_code == 200


def test_the_present_password_is_asked_for(client: TestClient, app: FastAPI, account: Account) -> None:
    """A wrong one is 403. Nothing changes, and no session ends."""
    before = accounts(app, account.email)
    answer = change_password(account, current="wrong-password")
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
    assert accounts(app, account.email) == before
    assert account.me().status_code == 200
    assert refresh(client, account.refresh_token).status_code == 200


@pytest.mark.parametrize("new", ["7 chars", "x" * 73, "é" * 37, "NUL\x00 within"])
def test_a_new_password_is_one_that_a_sign_up_takes(app: FastAPI, account: Account, new: str) -> None:
    """Any other is 422, and nothing changes."""
    before = accounts(app, account.email)
    assert change_password(account, new=new).status_code == 422
    assert accounts(app, account.email) == before


def test_a_disabled_account_is_403_at_once(account: Account, admin: dict[str, str]) -> None:
    """On every route, before its token expires. Enabled again, the same token works."""
    client, path = account.client, f"{API}/users/{account.id}"
    client.patch(path, json={"is_active": False}, headers=admin)
    for answer in (
        account.me(),
        client.patch(f"{API}/users/me", json={"full_name": "X"}, headers=account.headers),
        change_password(account),
        client.get(f"{API}/vehicles", headers=account.headers),
        client.get(f"{API}/books", headers=account.headers),
        client.post(f"{API}/vehicles", json={}, headers=account.headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "account_disabled")
    client.patch(path, json={"is_active": True}, headers=admin)
    assert account.me().status_code == 200


def test_a_deleted_account_is_401(account: Account, admin: dict[str, str]) -> None:
    """Its token names no account."""
    assert account.client.delete(f"{API}/users/{account.id}", headers=admin).status_code == 204
    answer = account.me()
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert account.client.get(f"{API}/vehicles", headers=account.headers).status_code == 401
