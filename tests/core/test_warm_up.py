"""The first requests after a start compile nothing."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from rowhouse.core.settings import Settings
from rowhouse.db.compiled import CompiledStatement
from tests.conftest import QUIET, shop_database
from tests.databases import Databases
from tests.sample_entities.application import create_app


def test_first_pages_and_rows_are_read_by_statements_of_the_start(
    databases: Databases, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every entity that anyone may read."""
    app = create_app(Settings(database_url=shop_database(databases, backend), **QUIET))
    cruds = app.state.cruds["/api/v1"].values()
    paths = [crud.resource.path for crud in cruds if crud.resource.read.allows(None)]
    assert {"books", "categories"} <= {*paths}
    with TestClient(app) as client:

        def compile_nothing(*_: Any, **__: Any) -> None:
            raise AssertionError("a request compiled a statement")

        monkeypatch.setattr(CompiledStatement, "__init__", compile_nothing)
        for path in paths:
            assert client.get(f"/api/v1/{path}").status_code == 200
            assert client.get(f"/api/v1/{path}/1").status_code in (200, 404)
