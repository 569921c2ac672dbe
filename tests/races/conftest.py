"""Servers on one database, and the same database below them."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from backend.core.config import Settings
from backend.core.db import create_engine
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, migrate, unique
from tests.databases import Databases
from tests.races.servers import Server, serve

# The contract's limit for any answer: a slower one is an error to these clients.
ANSWER_SECONDS = 2.0


@pytest.fixture(scope="package")
def race_url(backend: str, databases: Databases) -> str:
    """The URL of the database that the servers share."""
    return databases.prepared(backend, "migrated", migrate)


@pytest.fixture(scope="package")
def processes(race_url: str) -> Iterator[list[Server]]:
    """Three server processes on it, begun at once, for a start takes seconds."""
    with serve(race_url, count=3) as started:
        yield started


@pytest.fixture(scope="package")
def servers(processes: list[Server]) -> list[Server]:
    """Two of them."""
    return processes[:2]


@pytest.fixture(scope="package")
def doomed_server(processes: list[Server]) -> Server:
    """The third, which one test may end."""
    return processes[2]


@pytest.fixture(scope="package")
def clients(servers: list[Server]) -> Iterator[list[httpx2.Client]]:
    """A client of each server."""
    opened = [httpx2.Client(base_url=f"{server.url}/api/v1", timeout=ANSWER_SECONDS) for server in servers]
    yield opened
    for client in opened:
        client.close()


@pytest.fixture(scope="package")
def admin_headers(clients: list[httpx2.Client]) -> dict[str, str]:
    """The headers of the administrator, whom the two servers made between them."""
    return sign_in(clients[0], ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture(scope="package")
def driver_headers(clients: list[httpx2.Client]) -> dict[str, str]:
    """The headers of a driver."""
    email = f"{unique('racer')}@example.com"
    body = {"email": email, "password": PASSWORD, "full_name": "Racer", "role": "driver"}
    answer = clients[0].post("/users", json=body)
    assert answer.status_code == 201, answer.text
    return sign_in(clients[0], email, PASSWORD)


@pytest.fixture
def database(race_url: str) -> Iterator[sa.Connection]:
    """A connection to the database below the servers."""
    engine = create_engine(Settings(database_url=race_url))
    with engine.connect().execution_options(rowhouse_transaction="read") as connection:
        yield connection
    engine.dispose()


def sign_in(client: httpx2.Client, email: str, password: str) -> dict[str, str]:
    """The headers of a caller who has signed in."""
    answer = client.post("/auth/login", data={"username": email, "password": password})
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}
