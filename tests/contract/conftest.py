"""The worlds that the suite runs in: the product and the odd entities, on each database."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from app.api import registry
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in
from tests.contract.entity_client import Headers, House, World
from tests.contract.registrations import Case
from tests.databases import Databases
from tests.sample_entities.odd.application import open_odd
from tests.sample_entities.odd.registry import registry as odd_registry


@pytest.fixture(scope="session")
def product_world(client: TestClient, admin: Headers) -> World:
    """Our own entities."""
    return World(client, registry, admin)


@pytest.fixture(scope="session")
def odd_world(databases: Databases, backend: str) -> Iterator[World]:
    """The odd entities."""
    with open_odd(databases, backend) as client:
        yield World(client, odd_registry, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))


@pytest.fixture
def house(request: pytest.FixtureRequest, backend: str) -> House:
    """An entity of the list that `every_house` gives, on each database."""
    case: Case = request.param
    world: World = request.getfixturevalue(f"{case.side}_world")
    return world.house(case.path)
