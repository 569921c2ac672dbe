"""The first requests after a start wait for nothing that the start can do."""

from typing import Any

import pytest
import structlog
from starlette.testclient import TestClient

from rowhouse.core.errors import LockedError
from rowhouse.core.settings import Settings
from rowhouse.db.compiled import CompiledStatement
from rowhouse.db.database import ThreadConnection
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.health import readiness
from tests.conftest import QUIET, shop_database, sign_up
from tests.databases import Databases
from tests.sample_entities.application import create_app


def test_first_pages_and_rows_compile_nothing_and_open_no_connection(
    databases: Databases, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every entity that anyone may read, also for an account."""
    app = create_app(Settings(database_url=shop_database(databases, backend), **QUIET))
    cruds = app.state.cruds["/api/v1"].values()
    paths = [crud.resource.path for crud in cruds if crud.resource.read.allows(None)]
    assert {"books", "categories"} <= {*paths}
    with TestClient(app) as client:
        account = sign_up(client)

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("a request compiled a statement, or opened a connection")

        monkeypatch.setattr(CompiledStatement, "__init__", refuse)
        monkeypatch.setattr(ThreadConnection, "__init__", refuse)
        for path in paths:
            assert client.get(f"/api/v1/{path}").status_code == 200
            for headers in ({}, account, account):
                assert client.get(f"/api/v1/{path}/1", headers=headers).status_code in (200, 404)


def test_a_page_is_asked_for_at_the_start(databases: Databases, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every entity, once, so that PostgreSQL has read its catalogs in the worker's connection."""
    asked: list[str] = []
    run = UnitOfWork.run

    def noted(self: UnitOfWork, statement: CompiledStatement, *rest: Any) -> Any:
        asked.append(statement.text)
        return run(self, statement, *rest)

    app = create_app(Settings(database_url=shop_database(databases, backend), **QUIET))
    monkeypatch.setattr(UnitOfWork, "run", noted)
    with TestClient(app):
        pages = [text for text in asked if "LIMIT" in text]
    tables = [crud.resource.table.name for crud in app.state.cruds["/api/v1"].values()]
    assert tables
    for table in tables:
        assert sum(f"FROM {table}" in text for text in pages) == 1, table


def test_a_server_that_cannot_warm_up_serves_all_the_same(
    databases: Databases, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says why its first requests take longer."""

    def refuse(*_: Any, **__: Any) -> None:
        raise LockedError(reason="a migration holds the table")

    captured = structlog.testing.LogCapture()
    own = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[captured], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    monkeypatch.setattr(readiness, "log", own)
    monkeypatch.setattr("rowhouse.app.factory.open_connection", refuse)
    app = create_app(Settings(database_url=shop_database(databases, backend), **QUIET))
    with TestClient(app) as client:
        assert client.get("/ready").status_code == 200
        assert client.get("/api/v1/books").status_code == 200
    (warning,) = [line for line in captured.entries if line["log_level"] == "warning"]
    assert warning["event"] == "the first requests will take longer"
    assert LockedError(reason="").detail in warning.values()
