"""The sample shop on SQLite, which the tests attack."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse.http.routing import Router
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, shop_client, sign_in
from tests.contract.entity_client import RunningApp
from tests.contract.registrations import SHOP
from tests.core.conftest import build_shop
from tests.databases import Databases
from tests.security.attacked_app import ORIGIN, SECRET, AttackedApp
from tests.security.hand_written import SHOP_ROUTES, HandWritten


def attacked_app_of(client: TestClient) -> AttackedApp:
    """Return the callers of the sample shop."""
    return AttackedApp(RunningApp(client, SHOP, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)))


@pytest.fixture(scope="session")
def routes() -> HandWritten:
    """The hand-written routes of the application."""
    return SHOP_ROUTES


@pytest.fixture(scope="session")
def attacked(databases: Databases) -> Iterator[AttackedApp]:
    """One application for all attacks. They change nothing, so they do not interfere."""
    with shop_client(databases, "sqlite", jwt_secret=SecretStr(SECRET)) as client:
        yield attacked_app_of(client)


@pytest.fixture(scope="session")
def served(attacked: AttackedApp) -> Iterator[AttackedApp]:
    """The shop with a route that fails, small limits for bodies and files, and one CORS origin."""
    router = Router()

    @router.get("/crash")
    def crash() -> None:
        raise RuntimeError("words that are not for clients")

    options = {
        "admin_email": ADMIN_EMAIL,
        "admin_password": SecretStr(ADMIN_PASSWORD),
        "jwt_secret": SecretStr(SECRET),
        "cors_origins": (ORIGIN,),
        "max_body_bytes": 1024,
        "max_import_bytes": 4096,
    }
    with TestClient(
        build_shop(attacked.app.state.settings.database_url, router, **options), raise_server_exceptions=False
    ) as client:
        yield attacked_app_of(client)


@pytest.fixture(scope="session")
def sqlite_url(attacked: AttackedApp) -> str:
    """The URL of the database of the attacked application."""
    return str(attacked.app.state.settings.database_url)
