"""Fixtures: the product on each database, and clients that are signed in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.api import registry as product
from app.main import create_app
from rowhouse.registration.registry import Registry
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, migrate, settings_for, sign_in, sign_up
from tests.databases import Databases
from tests.fast_client import QuickClient


def product_client(databases: Databases, backend: str, registry: Registry = product, **options: Any) -> QuickClient:
    """A client of the product on a migrated database of its own. It must be entered."""
    url = databases.prepared(backend, "migrated", migrate)
    return QuickClient(create_app(settings_for(url, **options), registry))


@pytest.fixture(scope="module")
def make_app(databases: Databases) -> Iterator[Callable[..., TestClient]]:
    """`make_app(backend, **settings)`: a client of the product that is open until the last test of the module."""
    with ExitStack() as stack:
        yield lambda backend, *words, **options: stack.enter_context(
            product_client(databases, backend, *words, **options)
        )


@pytest.fixture(scope="session")
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """A client of the product, signed in as nobody."""
    with product_client(databases, backend) as opened:
        yield opened


# A session keeps one value of each fixture function, so what depends on `client` is defined here once more.
@pytest.fixture(scope="session")
def app(client: TestClient) -> FastAPI:
    """The product behind `client`."""
    found = client.app
    assert isinstance(found, FastAPI)
    return found


@pytest.fixture(scope="session")
def admin(client: TestClient) -> dict[str, str]:
    """The headers of the administrator."""
    return sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture(scope="session")
def driver(client: TestClient) -> dict[str, str]:
    """The headers of a driver."""
    return sign_up(client, "driver")


@pytest.fixture(scope="session")
def user(client: TestClient) -> dict[str, str]:
    """The headers of a plain user."""
    return sign_up(client)
