"""Fixtures: a client of the sample entities, which the load test has never seen."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.databases import Databases
from tests.sample_entities.opened import open_odd


@pytest.fixture(scope="module")
def sample_client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """A client of the sample entities on a database of its own."""
    with open_odd(databases, backend) as client:
        yield client
