"""A read-only database: reads are served, writes are 503 with the reason, and writes work again when they can."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.db import engine as engines
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, unique

CATEGORIES = "/api/v1/categories"


@contextmanager
def read_only(app: FastAPI, backend: str) -> Iterator[None]:
    """Make the database reject writes, as a standby does; on SQLite, as a file without write permission does."""
    database: Any = app.state.database
    url = database.engine.url
    if backend == "sqlite":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engines, "PRAGMAS", (*engines.PRAGMAS, "query_only=ON"))
            for link in database._connections:
                link.driver.execute("PRAGMA query_only=ON")
            yield
        return
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as operator:
        operator.execute(f"ALTER DATABASE {url.database} SET default_transaction_read_only = on".encode())
        operator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        yield
        operator.execute("SET default_transaction_read_only = off")
        operator.execute(f"ALTER DATABASE {url.database} RESET default_transaction_read_only".encode())


def test_writes_are_refused_with_the_reason_and_go_on_when_they_can(
    backend: str, make_app: Callable[..., TestClient]
) -> None:
    """Without a restart: a connection that rejected a write is not kept."""
    client = make_app(backend, worker_threads=1)
    headers = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
    body = {"name": unique("category")}
    client.get(CATEGORIES)
    app = client.app
    assert isinstance(app, FastAPI)
    with read_only(app, backend):
        refused = client.post(CATEGORIES, json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (503, "read_only")
        assert "takes no writes" in refused.json()["detail"]
        assert refused.headers["retry-after"] == "1"
        assert client.get(CATEGORIES).status_code == 200
    assert client.post(CATEGORIES, json=body, headers=headers).status_code == 201
