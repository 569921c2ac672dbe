"""`/users`: administrators list, read, change and delete accounts."""

from enum import Enum
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.dialects import sqlite
from starlette.testclient import TestClient

from rowhouse.auth.models import RoleText
from tests.auth.conftest import API, Account, accounts, make_account, refresh
from tests.conftest import ADMIN_EMAIL

SECRETS = ("hashed_password", "token_version", "fingerprint")
CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "", None),
    ("GET", "/{id}", None),
    ("PATCH", "/{id}", {"role": "admin"}),
    ("PUT", "/{id}", {"is_active": False}),
    ("DELETE", "/{id}", None),
)


@pytest.fixture(params=["nobody", "user", "driver", "itself"])
def other(request: pytest.FixtureRequest, account: Account) -> tuple[dict[str, str], int]:
    """The headers of a caller who is no administrator, and the expected status."""
    if request.param == "nobody":
        return {}, 401
    return account.headers if request.param == "itself" else request.getfixturevalue(request.param), 403


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_nobody_else_may(app: FastAPI, account: Account, other: Any, *, method: str, path: str, body: Any) -> None:
    """Neither others nor the account itself. Nothing changes."""
    before, (headers, status) = accounts(app, account.email), other
    path = f"{API}/users{path.format(id=account.id)}"
    assert account.client.request(method, path, json=body, headers=headers).status_code == status
    assert accounts(app, account.email) == before


def test_administrators_list_and_read(client: TestClient, account: Account, admin: dict[str, str]) -> None:
    """By any public column, and by a search in address and name."""
    path = f"{API}/users/{account.id}"
    one = client.get(path, headers=admin)
    assert one.json() == account.me().json()
    for query in (
        f"email={account.email}",
        f"search={account.email.upper()}",
        f"id={account.id}&role=user&is_active=true",
    ):
        page = client.get(f"{API}/users?{query}", headers=admin).json()
        assert (page["total"], page["items"]) == (1, [one.json()])
    assert client.get(f"{API}/users/2147483647", headers=admin).status_code == 404


def test_no_secret_is_shown(client: TestClient, account: Account, admin: dict[str, str]) -> None:
    """In no response, filter, sort or schema."""
    path = f"{API}/users/{account.id}"
    answers = [
        client.get(f"{API}/users?size=100", headers=admin),
        client.get(path, headers=admin),
        client.patch(path, json={"full_name": "New"}, headers=admin),
        client.put(path, json={"full_name": "Newer"}, headers=admin),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for secret in SECRETS:
        assert not any(secret in answer.text for answer in answers)
        assert not any(secret in str(schema) for schema in schemas.values())
        for query in (f"{secret}=x", f"{secret}__startswith=x", f"sort={secret}", f"sort=-{secret}"):
            assert client.get(f"{API}/users?{query}", headers=admin).status_code == 422


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize(
    "changes", [{"role": "driver"}, {"role": "admin"}, {"is_active": False}, {"full_name": "New Name"}]
)
def test_administrators_change(
    client: TestClient, account: Account, admin: dict[str, str], method: str, changes: dict[str, Any]
) -> None:
    """Role, state and name, each by itself."""
    before = account.me().json()
    answer = client.request(method, f"{API}/users/{account.id}", json=changes, headers=admin)
    assert answer.status_code == 200
    assert answer.json() == {**before, **changes, "updated_at": answer.json()["updated_at"]}
    assert client.get(f"{API}/users/{account.id}", headers=admin).json() == answer.json()


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "other@example.com"},
        {"hashed_password": "x" * 60},
        {"password": "another-horse"},
        {"token_version": 0},
        {"id": 1},
        {"created_at": "2030-01-01T00:00:00Z"},
        {"role": "king"},
        {"role": None},
        {"is_active": "yes"},
        {"full_name": ""},
    ],
)
def test_administrators_change_nothing_else(
    client: TestClient, app: FastAPI, account: Account, admin: dict[str, str], changes: dict[str, Any]
) -> None:
    """422, and the account stays as it was."""
    before = accounts(app, account.email)
    for method in ("PATCH", "PUT"):
        answer = client.request(method, f"{API}/users/{account.id}", json=changes, headers=admin)
        assert (answer.status_code, answer.json()["errors"][0]["loc"][:2]) == (422, ["body", next(iter(changes))])
    assert accounts(app, account.email) == before


def test_an_empty_change_is_400(client: TestClient, account: Account, admin: dict[str, str]) -> None:
    """`updated_at` does not change either."""
    before = account.me().json()
    answer = client.patch(f"{API}/users/{account.id}", json={}, headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (400, "empty_update")
    assert account.me().json() == before


def test_a_role_holds_at_once(client: TestClient, account: Account, admin: dict[str, str]) -> None:
    """For tokens issued before, in both directions."""
    path, vehicle = f"{API}/users/{account.id}", {"plate": "R 1", "connector": "ccs"}
    assert client.post(f"{API}/vehicles", json=vehicle, headers=account.headers).status_code == 403
    client.patch(path, json={"role": "driver"}, headers=admin)
    assert client.post(f"{API}/vehicles", json=vehicle, headers=account.headers).status_code == 201
    client.patch(path, json={"role": "admin"}, headers=admin)
    assert client.get(path, headers=account.headers).status_code == 200
    client.patch(path, json={"role": "user"}, headers=admin)
    assert client.get(path, headers=account.headers).status_code == 403


def test_administrators_delete(client: TestClient, app: FastAPI, account: Account, admin: dict[str, str]) -> None:
    """The account and its sessions. Its address is free again."""
    path = f"{API}/users/{account.id}"
    assert client.delete(path, headers=admin).status_code == 204
    assert client.get(path, headers=admin).status_code == 404
    assert client.delete(path, headers=admin).status_code == 404
    assert refresh(client, account.refresh_token).status_code == 401
    again = make_account(client, email=account.email)
    assert again.id != account.id
    assert account.me().status_code == 401


def test_an_account_that_owns_something_stays(client: TestClient, admin: dict[str, str]) -> None:
    """409, and it can still sign in."""
    owner = make_account(client, role="driver")
    client.post(f"{API}/vehicles", json={"plate": "R 2", "connector": "ccs"}, headers=owner.headers)
    answer = client.delete(f"{API}/users/{owner.id}", headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (409, "still_referenced")
    assert owner.me().status_code == 200
    assert refresh(client, owner.refresh_token).status_code == 200


def test_an_administrator_makes_no_administrator_by_sign_up(client: TestClient, admin: dict[str, str]) -> None:
    """`POST /users` treats all callers alike."""
    body = {"email": "boss@example.com", "password": "long-enough", "full_name": "Boss", "role": "admin"}
    assert client.post(f"{API}/users", json=body, headers=admin).status_code == 422
    assert client.get(f"{API}/users?email=boss@example.com", headers=admin).json()["total"] == 0


def test_the_first_administrator_is_an_account(client: TestClient, admin: dict[str, str]) -> None:
    """Like every other one."""
    (row,) = client.get(f"{API}/users?email={ADMIN_EMAIL}", headers=admin).json()["items"]
    assert (row["role"], row["is_active"], row["full_name"]) == ("admin", True, "Administrator")


class Grade(Enum):
    """Roles that are no texts."""

    CHIEF = "chief"


def test_a_role_is_stored_by_its_name() -> None:
    """A member of an enum too, which need not be a text."""
    kind, dialect = RoleText(), sqlite.dialect()
    assert [kind.process_bind_param(role, dialect) for role in ("chief", Grade.CHIEF, None)] == ["chief", "chief", None]
