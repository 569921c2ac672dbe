"""The plugin's fixtures over the clinic, on the databases that every test of this session shares."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_rowhouse import admin, client, rowhouse_database, user
from rowhouse.cli.project import Project
from tests.conftest import ROOT
from tests.databases import Databases
from tests.fast_client import QuickClient

HERE = Path(__file__).parent
CLINIC = "tests.sample_entities.clinic.main:create_app"
# The plugin's own, which tests/conftest.py would hide.
__all__ = ["admin", "client", "rowhouse_database", "user"]


@pytest.fixture(scope="session")
def rowhouse_databases(databases: Databases) -> Databases:
    """One cluster serves them all."""
    return databases


@pytest.fixture(scope="session")
def rowhouse_project() -> Project:
    """The clinic."""
    return Project(ROOT, app=CLINIC, source="backend")


@pytest.fixture(scope="session", autouse=True)
def _measured() -> Iterator[None]:
    """Let coverage follow the applications of the plugin too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowhouse.testing.running_app.QuickClient", QuickClient)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the suite over the clinic on SQLite alone: tests/app/contract runs it over the product on both databases."""
    items[:] = [item for item in items if not (item.path == HERE / "test_contract.py" and "[postgresql" in item.name)]
