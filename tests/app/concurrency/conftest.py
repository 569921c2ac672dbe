"""The servers, clients and tables of `tests.concurrency`, with the product's rows that its clients compete for."""

import httpx2
import pytest

from app.main import create_app
from tests.app.concurrency.slots import Slots
from tests.app.concurrency.store import Store
from tests.concurrency.clients import Headers
from tests.concurrency.conftest import (
    admin_headers,
    backend,
    buyers,
    clients,
    driver_headers,
    engine,
    servers,
    tables,
    victim,
)
from tests.concurrency.process import Application
from tests.concurrency.tables import Tables
from tests.conftest import migrate
from tests.databases import Databases

__all__ = [
    "admin_headers",
    "backend",
    "buyers",
    "clients",
    "driver_headers",
    "engine",
    "servers",
    "tables",
    "victim",
]  # fixtures


@pytest.fixture(scope="package")
def application() -> Application:
    """What each server process runs: the product."""
    return create_app


@pytest.fixture(scope="package")
def race_url(backend: str, databases: Databases) -> str:
    """The URL of the migrated database that the servers share."""
    return databases.prepared(backend, "migrated", migrate)


@pytest.fixture
def slots(clients: list[httpx2.Client], tables: Tables, admin_headers: Headers, driver_headers: Headers) -> Slots:
    """Half hours of tomorrow."""
    return Slots(clients, tables, admin=admin_headers, driver=driver_headers)


@pytest.fixture
def store(clients: list[httpx2.Client], admin_headers: Headers, tables: Tables) -> Store:
    """A shelf of the test's own."""
    return Store(clients[0], admin_headers, tables)
