"""Fixtures: servers on one database, clients that check their responses, and access to the tables.

Two servers for each database serve all races; a test kills only servers of its own. The races of one database share a
worker (`--dist loadgroup`).
"""

from collections.abc import Iterator

import httpx2
import pytest
import sqlalchemy as sa

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from tests.concurrency.clients import CLIENTS, Headers, TimedClient, sign_in, sign_up
from tests.concurrency.process import SHOP, Application
from tests.concurrency.servers import Server, serve
from tests.concurrency.tables import Tables
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, shop_database
from tests.databases import BACKENDS, Databases

EACH_ON_A_WORKER = [pytest.param(name, marks=pytest.mark.xdist_group(f"races-{name}")) for name in BACKENDS]


@pytest.fixture(scope="session", params=EACH_ON_A_WORKER)
def backend(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    return str(request.param)


@pytest.fixture(scope="package")
def application() -> Application:
    """What each server process runs."""
    return SHOP


@pytest.fixture(scope="package")
def race_url(backend: str, databases: Databases) -> str:
    """The URL of the database that the servers share."""
    return shop_database(databases, backend)


@pytest.fixture(scope="package")
def servers(race_url: str, application: Application) -> Iterator[list[Server]]:
    """Two server processes on it, begun at once."""
    with serve(race_url, count=2, application=application) as started:
        yield started


@pytest.fixture
def victim(race_url: str, application: Application, servers: list[Server]) -> Iterator[Server]:
    """A further server on the same database, which a test may end."""
    with serve(race_url, application=application) as (server,):
        yield server


@pytest.fixture(scope="package")
def clients(servers: list[Server]) -> Iterator[list[httpx2.Client]]:
    """A client of each server."""
    opened: list[httpx2.Client] = [TimedClient(server) for server in servers]
    yield opened
    for client in opened:
        client.close()


@pytest.fixture(scope="package")
def admin_headers(clients: list[httpx2.Client]) -> Headers:
    """The headers of the administrator, whom the two servers made between them."""
    return sign_in(clients[0], ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture(scope="package")
def buyers(clients: list[httpx2.Client]) -> list[Headers]:
    """The headers of sixteen accounts."""
    return [sign_up(clients[number % 2], "user") for number in range(CLIENTS)]


@pytest.fixture(scope="package")
def driver_headers(clients: list[httpx2.Client]) -> Headers:
    """The headers of a driver."""
    return sign_up(clients[0], "driver")


@pytest.fixture(scope="package")
def engine(race_url: str) -> Iterator[sa.Engine]:
    """What connects to the database below the servers."""
    made = create_engine(Settings(database_url=race_url))
    yield made
    made.dispose()


@pytest.fixture(scope="package")
def tables(engine: sa.Engine) -> Tables:
    """The tables below the servers."""
    return Tables(engine)
