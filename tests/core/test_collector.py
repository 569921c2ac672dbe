"""The garbage collector ignores the objects of the start, and pauses while an application is built."""

import gc

from starlette.testclient import TestClient

from rowhouse.core.collector import loading, paused_collector
from rowhouse.core.settings import Settings
from tests.conftest import QUIET, shop_database
from tests.databases import Databases
from tests.sample_entities.application import create_app


def test_the_collector_ignores_the_objects_of_the_start(databases: Databases, backend: str) -> None:
    """While the application serves.

    Afterwards the collector sees all objects again, because a process may have several applications.
    """
    app = create_app(Settings(database_url=shop_database(databases, backend), **QUIET))
    with TestClient(app):
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


def test_a_pause_ends_with_the_outermost_one() -> None:
    """A process that had switched the collector off keeps it so."""
    with paused_collector():
        with paused_collector():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_ignores_what_was_imported() -> None:
    """From the end of the import until the first application ends."""
    gc.unfreeze()
    with loading():
        assert not gc.isenabled()
        assert gc.get_freeze_count() == 0
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
    gc.unfreeze()
