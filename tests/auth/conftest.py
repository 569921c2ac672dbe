"""Helpers: accounts, which each test makes for itself."""

from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.db.unit_of_work import UnitOfWork
from tests.conftest import PASSWORD, unique
from tests.fast_hashing import cheapen

API = "/api/v1"


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use cheap hashes: these tests need hundreds. One test checks the real ones."""
    cheapen(monkeypatch)


@dataclass
class Account:
    """An account and its first session."""

    client: TestClient
    id: int
    email: str
    headers: dict[str, str]
    refresh_token: str

    def me(self) -> Any:
        """Return the response of `/users/me` to the first access token."""
        return self.client.get(f"{API}/users/me", headers=self.headers)


def new_email(prefix: str = "someone") -> str:
    """Return an address that no other test uses."""
    return f"{unique(prefix)}@example.com"


def sign_up_with(client: TestClient, **changes: Any) -> Any:
    """Return the response to a sign-up."""
    body = {"email": new_email(), "password": PASSWORD, "full_name": "Some Body", **changes}
    return client.post(f"{API}/users", json=body)


def log_in(client: TestClient, email: str, password: str = PASSWORD) -> Any:
    """Return the response to a login."""
    return client.post(f"{API}/auth/login", data={"username": email, "password": password})


def refresh(client: TestClient, token: str) -> Any:
    """Return the response to a refresh."""
    return client.post(f"{API}/auth/refresh", json={"refresh_token": token})


def make_account(client: TestClient, **changes: Any) -> Account:
    """Create an account and sign in."""
    made = sign_up_with(client, **changes)
    assert made.status_code == 201, made.text
    pair = log_in(client, made.json()["email"], changes.get("password", PASSWORD)).json()
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    return Account(client, made.json()["id"], made.json()["email"], headers, pair["refresh_token"])


@pytest.fixture
def account(client: TestClient) -> Account:
    """A new plain user."""
    return make_account(client)


def stored(app: FastAPI, statement: str, **values: Any) -> list[dict[str, Any]]:
    """Return rows as they are in the database, or run a statement and commit it."""
    with UnitOfWork(app.state.database, write=True) as unit:
        result: Any = unit.session.execute(sa.text(statement), values)
        return [dict(row) for row in result.mappings()] if result.returns_rows else []


def accounts(app: FastAPI, email: str) -> list[dict[str, Any]]:
    """Return the stored accounts of an address, in any case."""
    return stored(app, "SELECT * FROM users WHERE lower(email) = lower(:email)", email=email)
