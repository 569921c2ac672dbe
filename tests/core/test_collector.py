"""Python's collector of garbage: what is there at the start is none, and is not looked through again and again."""

import gc

from starlette.testclient import TestClient

from app.main import create_app
from rowhouse.core.settings import Settings
from tests.conftest import QUIET, migrate
from tests.databases import Databases


def test_the_collector_leaves_alone_what_was_there_at_the_start(databases: Databases, backend: str) -> None:
    """While the application serves; afterwards all is as it was, for a process may hold several."""
    app = create_app(Settings(database_url=databases.prepared(backend, "migrated", migrate), **QUIET))
    with TestClient(app):
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0
