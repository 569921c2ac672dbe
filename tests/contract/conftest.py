"""Fixtures: the applications of the sample registries on each database."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in
from tests.contract.entity_client import EntityClient, Headers, RunningApp
from tests.contract.registrations import ODD, SAMPLES, SHOP, Case, chosen
from tests.databases import Databases
from tests.sample_entities.opened import open_odd


def pytest_pycollect_makeitem(name: str, obj: object) -> list[pytest.Item] | None:
    """Leave out tests that select none of the entities."""
    return [] if name.startswith("test") and chosen(obj, SAMPLES) == [] else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test marked with `every_entity` once for each entity that it selects."""
    cases = chosen(metafunc.function, SAMPLES)
    if cases is not None:
        metafunc.parametrize("entity", cases, indirect=True, ids=str)


@pytest.fixture(scope="session")
def shop_app(client: TestClient, admin: Headers) -> RunningApp:
    """The sample shop."""
    return RunningApp(client, SHOP, admin)


@pytest.fixture(scope="session")
def odd_app(databases: Databases, backend: str) -> Iterator[RunningApp]:
    """The odd entities."""
    with open_odd(databases, backend) as client:
        yield RunningApp(client, ODD, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))


@pytest.fixture
def entity(request: pytest.FixtureRequest, backend: str) -> EntityClient:
    """An entity that `every_entity` selected, on each database."""
    case: Case = request.param
    running_app: RunningApp = request.getfixturevalue(f"{case.api.name}_app")
    return running_app.entity(case.path)


@pytest.fixture(scope="session")
def running_apps(odd_app: RunningApp, shop_app: RunningApp) -> list[RunningApp]:
    """Each sample application."""
    return [odd_app, shop_app]
