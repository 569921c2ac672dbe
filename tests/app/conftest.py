"""Fixtures of the product's tests: the product on each database, and clients that are signed in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.api import registry as product
from app.main import create_app
from rowhouse.registration.registry import Registry
from tests.conftest import migrate, settings_for
from tests.databases import Databases
from tests.fast_client import QuickClient


@pytest.fixture(scope="session")
def make_app(databases: Databases) -> Iterator[Callable[..., TestClient]]:
    """`make_app(backend, **settings)`: a client of the product on a migrated database of its own."""
    with ExitStack() as stack:

        def make(backend: str, registry: Registry = product, **options: Any) -> TestClient:
            url = databases.prepared(backend, "migrated", migrate)
            return stack.enter_context(QuickClient(create_app(settings_for(url, **options), registry)))

        yield make


@pytest.fixture(scope="session")
def client(backend: str, make_app: Callable[..., TestClient]) -> TestClient:
    """A client of the product, signed in as nobody."""
    return make_app(backend)
