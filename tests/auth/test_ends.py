"""No session outlives a change of the password, in any order of two concurrent requests."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.auth import service
from rowhouse.auth.errors import AccountDisabledError
from rowhouse.core.errors import NotAuthenticatedError
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.requests.throttling import AttemptThrottle, ThrottledAttempts
from tests.auth.conftest import API, Account, log_in, make_account, refresh, stored
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, sign_in

NEW = "another-horse"
Interleave = Callable[[str, Callable[[], Any]], None]


@pytest.fixture
def interleave(monkeypatch: pytest.MonkeyPatch) -> Interleave:
    """`interleave(name, act)` calls `act` once, just after the service has called the function `name`."""

    def put(name: str, act: Callable[[], Any]) -> None:
        function = getattr(service, name)

        def called(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            monkeypatch.setattr(service, name, function)
            act()
            return result

        monkeypatch.setattr(service, name, called)

    return put


def change_password(account: Account, new: str = NEW) -> Any:
    """Return the response to a change of the password."""
    body = {"current_password": PASSWORD, "new_password": new}
    return account.client.post(f"{API}/users/me/password", json=body, headers=account.headers)


def lives(client: TestClient, answer: Any) -> bool:
    """Return True if the tokens of a login or a refresh work."""
    if answer.status_code != 200:
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        return False
    pair = answer.json()
    me = client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    return me.status_code == 200 or refresh(client, pair["refresh_token"]).status_code == 200


def test_a_login_whose_password_was_changed_meanwhile_is_refused(
    client: TestClient, account: Account, interleave: Interleave
) -> None:
    """The old password was checked before the change: 401. The new one works."""
    answers: list[Any] = []
    interleave("check_password", lambda: answers.append(change_password(account)))
    late = log_in(client, account.email)
    assert [answer.status_code for answer in answers] == [204]
    assert (late.status_code, late.json()["code"]) == (401, "wrong_credentials")
    assert log_in(client, account.email, NEW).status_code == 200


@pytest.mark.parametrize("meanwhile", ["changed", "deleted"])
def test_a_change_with_a_password_that_was_just_replaced_is_refused(
    client: TestClient, account: Account, admin: dict[str, str], interleave: Interleave, meanwhile: str
) -> None:
    """Of two concurrent changes the first wins, and its next session outlives the second.

    A deleted account has no password.
    """
    path, answers = f"{API}/users/{account.id}", []
    act = (lambda: change_password(account)) if meanwhile == "changed" else (lambda: client.delete(path, headers=admin))
    interleave("check_own_password", lambda: answers.append(act()))
    late = change_password(account, "a-third-horse")
    assert [answer.status_code for answer in answers] == [204]
    assert (late.status_code, late.json()["code"]) == (401, "not_authenticated")
    assert log_in(client, account.email, "a-third-horse").status_code == 401
    assert lives(client, log_in(client, account.email, NEW)) == (meanwhile == "changed")


def test_a_login_whose_account_was_disabled_meanwhile_is_403(
    client: TestClient, account: Account, admin: dict[str, str], interleave: Interleave
) -> None:
    """At once, and no token is stored."""
    path = f"{API}/users/{account.id}"
    interleave("check_password", lambda: client.patch(path, json={"is_active": False}, headers=admin))
    answer = log_in(client, account.email)
    assert (answer.status_code, answer.json()["code"]) == (403, "account_disabled")
    assert refresh(client, account.refresh_token).status_code == 403


def test_a_login_whose_account_was_deleted_meanwhile_is_401(
    client: TestClient, account: Account, admin: dict[str, str], interleave: Interleave
) -> None:
    """As for an unknown account, not a conflict."""
    path = f"{API}/users/{account.id}"
    interleave("check_password", lambda: client.delete(path, headers=admin))
    answer = log_in(client, account.email)
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")


@pytest.mark.parametrize("act", ["login", "refresh"])
def test_an_account_stays_while_its_token_is_stored(
    backend: str, make_app: Callable[..., TestClient], interleave: Interleave, act: str
) -> None:
    """A concurrent delete waits, and times out if its lock limit is short. Neither request is a conflict."""
    client = make_app(backend, lock_seconds=0.1)
    account, boss = make_account(client), sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
    path, answers = f"{API}/users/{account.id}", []
    interleave("new_opaque_token", lambda: answers.append(client.delete(path, headers=boss)))
    answer = log_in(client, account.email) if act == "login" else refresh(client, account.refresh_token)
    assert [refused.status_code for refused in answers] == [503]
    assert lives(client, answer)
    assert client.delete(path, headers=boss).status_code == 204
    assert not lives(client, answer)


@pytest.mark.parametrize("act", ["login", "refresh", "retry"])
def test_a_token_stored_while_the_password_changes_is_invalid(
    client: TestClient, app: FastAPI, interleave: Interleave, act: str
) -> None:
    """Between reading the account and storing the token. With row locks the change comes right after that."""
    account = make_account(client)
    if act == "retry":
        assert refresh(client, account.refresh_token).status_code == 200
    # On PostgreSQL a first refresh holds its token's row, and SQLite has one writer: the change waits for either.
    waits = act == "refresh" or app.state.database.dialect.name == "sqlite"
    with ThreadPoolExecutor(1) as other:
        changes: list[Future[Any]] = []

        def begin_change() -> None:
            changes.append(other.submit(change_password, account))
            if not waits:
                changes[0].result(30)

        interleave("new_opaque_token", begin_change)
        answer = log_in(client, account.email) if act == "login" else refresh(client, account.refresh_token)
        assert changes[0].result(30).status_code == 204
    assert not lives(client, answer)
    assert account.me().status_code == 401


def test_a_token_ends_with_the_version_of_its_account(client: TestClient, app: FastAPI, account: Account) -> None:
    """Also if no statement revoked it, as when the change could not see it."""
    successor = refresh(client, account.refresh_token).json()["refresh_token"]
    stored(app, "UPDATE users SET token_version = token_version + 1 WHERE id = :id", id=account.id)
    assert refresh(client, successor).status_code == 401
    again = log_in(client, account.email).json()["refresh_token"]
    assert refresh(client, again).status_code == 200


def test_a_deleted_or_disabled_account_is_not_authenticated(
    app: FastAPI, account: Account, admin: dict[str, str]
) -> None:
    """Each service that reads the account checks this itself."""
    database = app.state.database
    attempts = ThrottledAttempts(AttemptThrottle(app.state.settings), "192.0.2.1")
    with UnitOfWork(database, write=False) as unit:
        with pytest.raises(NotAuthenticatedError):
            service.active_user(unit.session, 0)
        with pytest.raises(NotAuthenticatedError):
            service.check_own_password(unit, 0, PASSWORD, new=NEW, attempts=attempts)
    account.client.patch(f"{API}/users/{account.id}", json={"is_active": False}, headers=admin)
    with UnitOfWork(database, write=False) as unit, pytest.raises(AccountDisabledError):
        service.active_user(unit.session, account.id)
