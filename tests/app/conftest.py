"""Fixtures: the product on each database, and clients that are signed in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api import registry as product
from app.main import create_app
from rowhouse.registration.registry import Registry
from tests.conftest import admin, app, driver, migrate, settings_for, user
from tests.databases import Databases
from tests.fast_client import QuickClient

# Fixtures that depend on `client`. Without a copy here, a session would keep one value for both applications.
__all__ = ["admin", "app", "driver", "user"]


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
