"""An older PostgreSQL from another wheel, for behaviour that depends on the version. It is version 16, without ICU.

Its databases belong to the same ordinary role.
"""

from collections.abc import Iterator

import pytest
from pgserver.postgres_server import get_server

from tests.databases import Databases


@pytest.fixture(scope="session")
def older_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Makes databases on PostgreSQL 16: `older_postgresql.prepared("postgresql", "migrated", migrate)`."""
    made = Databases(tmp_path_factory.mktemp("older"), get_server)
    yield made
    made.close()
