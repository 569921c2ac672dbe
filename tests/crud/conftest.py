"""Fixtures: the odd sample entities on each database, for rules that only one of them has."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, sign_up
from tests.databases import Databases
from tests.sample_entities.opened import open_odd


@pytest.fixture(scope="session")
def odd_client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """A client of the odd application that is not signed in."""
    with open_odd(databases, backend) as client:
        yield client


@pytest.fixture(scope="session")
def odd_admin(odd_client: TestClient) -> dict[str, str]:
    """The headers of the administrator."""
    return sign_in(odd_client, ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture(scope="session")
def odd_user(odd_client: TestClient) -> dict[str, str]:
    """The headers of a plain user."""
    return sign_up(odd_client)
