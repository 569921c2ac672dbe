"""Fixtures: a migrated database to read, and an empty one to change."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from rowhouse.core.settings import Settings
from rowhouse.db.engine import TRANSACTION_KIND, create_engine
from tests.conftest import migrate
from tests.databases import Databases
from tests.migrations.further import make_chain
from tests.migrations.street import STREET

__all__ = ["make_chain"]  # a fixture


@pytest.fixture(scope="module")
def migrated_url(backend: str, databases: Databases) -> str:
    """The URL of a migrated database that the module's tests share."""
    return databases.prepared(backend, "migrated", migrate)


@pytest.fixture(scope="module")
def migrated(migrated_url: str) -> Iterator[sa.Connection]:
    """A connection to it for reading. It holds no lock."""
    yield from _connect(migrated_url, kind="read")


@pytest.fixture
def empty(backend: str, databases: Databases) -> Iterator[sa.Connection]:
    """A connection to an empty database."""
    yield from _connect(databases.empty(backend), kind="write")


@pytest.fixture
def street(databases: Databases) -> Iterator[sa.Connection]:
    """A connection to the SQLite database of `tests.migrations.street`, outside a transaction."""
    for connection in _connect(databases.empty("sqlite"), kind="write"):
        for statement in STREET:
            connection.exec_driver_sql(statement)
        connection.commit()
        yield connection


def _connect(url: str, *, kind: str) -> Iterator[sa.Connection]:
    engine = create_engine(Settings(database_url=url))
    with engine.connect().execution_options(**{TRANSACTION_KIND: kind}) as connection:
        yield connection
    engine.dispose()
