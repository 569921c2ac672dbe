"""The plugin's fixtures over the product, on the databases that every test of this session shares."""

import pytest

from pytest_rowhouse import rowhouse_database
from tests.databases import Databases

# The plugin's own, which tests/conftest.py would hide.
__all__ = ["rowhouse_database"]


@pytest.fixture(scope="session")
def rowhouse_databases(databases: Databases) -> Databases:
    """One cluster serves them all."""
    return databases
