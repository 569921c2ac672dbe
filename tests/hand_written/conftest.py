"""Fixtures: the clinic on each database, and its callers."""

from collections.abc import Iterator, Mapping

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse.auth.models import User
from rowhouse.core.settings import Settings
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, shop_database, sign_in, sign_up
from tests.core.conftest import serve, sqlite_url
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.hand_written.clinic import clinic
from tests.hand_written.policies import ODD, ODD_STEPS, SHOP, AppUnderTest
from tests.sample_entities.application import create_app
from tests.sample_entities.odd.registry import registry as odd
from tests.sample_entities.opened import open_odd
from tests.sample_entities.shop.registry import registry as shop

__all__ = ["serve", "sqlite_url"]  # fixtures

Headers = Mapping[str, str]
WRONG: Headers = {"Authorization": "Bearer x.y.z"}


@pytest.fixture(scope="module")
def served(backend: str, databases: Databases) -> Iterator[TestClient]:
    """A client of the clinic."""
    url = shop_database(databases, backend)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=SecretStr(ADMIN_PASSWORD), **QUIET)
    with QuickClient(create_app(settings, clinic())) as client:
        yield client


def disabled(client: TestClient, role: str) -> Headers:
    """Return the headers of an account that was disabled after it signed in."""
    headers = sign_up(client, role)
    me = client.get("/api/v1/users/me", headers=headers).json()["id"]
    with client.app.state.database.engine.begin() as connection:  # type: ignore[attr-defined]  # a FastAPI
        connection.execute(sa.update(User).where(sa.column("id") == me).values(is_active=False))
    return headers


@pytest.fixture(scope="module")
def callers(served: TestClient) -> Mapping[str, Headers]:
    """The headers of each kind of caller."""
    return callers_of(served)


def callers_of(client: TestClient) -> Mapping[str, Headers]:
    """Return the headers of a caller without an account, a forged token, each role, and a disabled account."""
    return {
        "nobody": {},
        "forged": WRONG,
        "user": sign_up(client),
        "driver": sign_up(client, "driver"),
        "admin": sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD),
        "disabled": disabled(client, "driver"),
    }


@pytest.fixture(scope="module", params=["shop", "odd"])
def tested(
    request: pytest.FixtureRequest, client: TestClient, databases: Databases, backend: str
) -> Iterator[AppUnderTest]:
    """Each sample application."""
    if request.param == "shop":
        yield AppUnderTest(client, shop, callers_of(client), SHOP)
        return
    with open_odd(databases, backend) as odd_client:
        yield AppUnderTest(odd_client, odd, callers_of(odd_client), ODD, ODD_STEPS)
