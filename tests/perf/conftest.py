"""Clients of the applications that the load test reads the documents of."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from app.api import registry as product_registry
from rowhouse.registration.registry import Registry
from tests.databases import Databases
from tests.sample_entities.odd.application import open_odd
from tests.sample_entities.odd.registry import registry as odd_registry

REGISTRIES: dict[str, Registry] = {"product": product_registry, "odd": odd_registry}


@pytest.fixture(scope="module")
def house(request: pytest.FixtureRequest, backend: str, databases: Databases) -> Iterator[TestClient]:
    """A client of the product or of the odd entities, by parameter."""
    if request.param == "product":
        yield request.getfixturevalue("make_app")(backend)
    else:
        with open_odd(databases, backend) as client:
            yield client
