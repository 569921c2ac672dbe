"""Slow statements are stopped on both databases, and logged without their values."""

import signal
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import psutil
import psycopg
import pytest
import sqlalchemy as sa
import structlog

from rowhouse.core.errors import ConnectionLostError, StatementTimeoutError
from rowhouse.core.settings import Settings
from rowhouse.db import statement_monitor as statement_watch
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from tests.databases import Databases

NUMBERS = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
ALL = NUMBERS.union_all(sa.select(NUMBERS.c.n + 1).where(NUMBERS.c.n < sa.bindparam("most", type_=sa.Integer())))
COUNT = sa.select(sa.func.max(ALL.c.n).label("most"))
FOR_EVER, QUICK = {"most": 2_000_000_000}, {"most": 3}


@pytest.fixture
def bounded(backend: str, databases: Databases) -> Iterator[Database]:
    """An empty database whose statements may take 0.2 seconds."""
    made = Database(Settings(database_url=databases.empty(backend), statement_seconds=0.2, slow_statement_ms=1))
    yield made
    made.dispose()


def count_for_ever(unit: UnitOfWork, through: str) -> None:
    """Run a statement that does not end by itself."""
    if through == "session":
        unit.session.execute(COUNT, FOR_EVER)
    unit.fetch(COUNT, FOR_EVER)


@pytest.mark.parametrize("through", ["statement", "session"])
def test_a_statement_for_ever_is_stopped(bounded: Database, through: str) -> None:
    """The connection still works."""
    with pytest.raises(StatementTimeoutError), UnitOfWork(bounded, write=False) as unit:
        count_for_ever(unit, through)
    with UnitOfWork(bounded, write=False) as unit:
        assert unit.fetch(COUNT, QUICK) == [{"most": 3}]


def test_a_slow_statement_is_logged_without_its_values(
    backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled statements and the session's, of any length."""
    captured = structlog.testing.LogCapture()
    # One of the test's own: what other tests have configured decides nothing here.
    own = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[captured], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    monkeypatch.setattr(statement_watch, "log", own)
    many = {"most": 54_321}
    bounded = Database(Settings(database_url=databases.empty(backend), slow_statement_ms=1))
    with UnitOfWork(bounded, write=False) as unit:
        unit.fetch(COUNT, many)
        unit.session.execute(COUNT, many)
    slow = [line for line in captured.entries if "WITH RECURSIVE" in line.get("statement", "")]
    assert [line["event"] for line in slow] == ["slow statement"] * 2
    assert all(line["duration_ms"] >= 1 for line in slow)
    assert "54321" not in str(slow)
    captured.entries.clear()
    bounded.monitor.log_if_slow(0.0, "SELECT 1" * 1000, clock=lambda: 0.5)
    bounded.monitor.log_if_slow(0.0, "SELECT 1", clock=lambda: 0.0009)
    assert [len(line["statement"]) for line in captured.entries] == [statement_watch.MAX_TEXT + 4]
    bounded.dispose()


def test_no_statement_is_logged_as_slow_without_the_setting(databases: Databases) -> None:
    """With 0, none is logged."""
    made = Database(Settings(database_url=databases.empty("sqlite"), slow_statement_ms=0))
    with structlog.testing.capture_logs() as lines:
        made.monitor.log_if_slow(0.0, "SELECT 1", clock=lambda: 1e9)
    assert lines == []
    made.dispose()


def test_a_server_that_stands_still_is_left(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is closed, and the next statement gets another."""
    monkeypatch.setattr(statement_watch, "GRACE_SECONDS", 0.1)
    database = Database(Settings(database_url=databases.empty("postgresql"), statement_seconds=0.2))
    with UnitOfWork(database, write=False) as unit:
        found: Any = unit.fetch(sa.select(sa.func.pg_backend_pid().label("process")), {})
    backend = psutil.Process(found[0]["process"])
    backend.suspend()
    started = perf_counter()
    with pytest.raises(ConnectionLostError), UnitOfWork(database, write=False) as unit:
        unit.fetch(COUNT, QUICK)
    assert perf_counter() - started < 5
    with UnitOfWork(database, write=False) as unit:
        assert unit.fetch(COUNT, QUICK) == [{"most": 3}]
    backend.send_signal(signal.SIGCONT)
    database.dispose()


def test_a_connection_that_is_gone_is_not_broken_off(databases: Databases) -> None:
    """It has no socket any more."""
    database = Database(Settings(database_url=databases.empty("postgresql")))
    link = database.thread_connection()
    driver: Any = link.connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    driver.pgconn.finish()
    link.stop()
    database.discard_connection()
    database.dispose()
