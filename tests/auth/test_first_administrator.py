"""The settings name an administrator, whom only the first start creates."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.auth import service
from rowhouse.core.security import hash_password
from rowhouse.core.settings import Settings
from tests.auth.conftest import API, accounts, log_in, new_email, sign_up_with
from tests.conftest import QUIET, shop_database
from tests.databases import Databases
from tests.sample_entities.application import create_app

Start = Callable[..., TestClient]
SECRET = "first-password"


@pytest.fixture
def start(backend: str, databases: Databases) -> Start:
    """`start(**settings)` returns an application on a database of this test. It must be entered."""
    url = shop_database(databases, backend)

    def make(**settings: Any) -> TestClient:
        return TestClient(create_app(Settings(database_url=url, **{**QUIET, **settings})))

    return make


def app_of(client: TestClient) -> FastAPI:
    """Return the application behind a client."""
    assert isinstance(client.app, FastAPI)
    return client.app


def test_the_first_start_makes_the_administrator(start: Start) -> None:
    """With the address in lower case."""
    with start(admin_email=" Boss@Example.com", admin_password=SECRET) as client:
        (row,) = accounts(app_of(client), "boss@example.com")
        assert (row["email"], row["role"], bool(row["is_active"])) == ("boss@example.com", "admin", True)
        token = log_in(client, "BOSS@example.com", SECRET).json()["access_token"]
        assert client.get(f"{API}/users", headers={"Authorization": f"Bearer {token}"}).json()["total"] == 1


def test_the_next_start_changes_nothing(start: Start) -> None:
    """Not even with another password in the settings."""
    with start(admin_email="boss@example.com", admin_password=SECRET) as client:
        before = accounts(app_of(client), "boss@example.com")
    with start(admin_email="BOSS@example.com", admin_password="another-password") as client:
        assert accounts(app_of(client), "boss@example.com") == before
        assert log_in(client, "boss@example.com", "another-password").status_code == 401


def test_an_account_of_that_address_is_left_alone(start: Start) -> None:
    """The settings do not promote an account that has signed up."""
    email = new_email()
    with start() as client:
        sign_up_with(client, email=email)
        before = accounts(app_of(client), email)
    with start(admin_email=email, admin_password=SECRET) as client:
        assert accounts(app_of(client), email) == before


def test_without_the_settings_there_is_none(start: Start) -> None:
    """No account is created."""
    with start() as client:
        assert accounts(app_of(client), "%") == []
        assert sign_up_with(client).json()["id"] == 1


def test_of_two_that_start_at_once_one_makes_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both start, and one account is created."""
    both = threading.Barrier(2)

    def together(password: str, *, cost: int) -> str:
        # SQLite's write lock lets only one come here; on PostgreSQL both have looked and found nobody.
        if not sqlite:
            both.wait(10)
        return hash_password(password, cost=cost)

    clients = [start(admin_email="boss@example.com", admin_password=SECRET) for _ in range(2)]
    sqlite = app_of(clients[0]).state.database.dialect.name == "sqlite"
    monkeypatch.setattr(service, "hash_password", together)

    def enter(client: TestClient) -> int:
        with client:
            return client.get("/ready").status_code

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(enter, clients)) == [200, 200]
    with start() as client:
        assert len(accounts(app_of(client), "boss@example.com")) == 1
