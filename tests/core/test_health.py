"""`/health` and `/ready` in every state of the database, and a start without one."""

from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.conftest import shop_database
from tests.core.conftest import Serve
from tests.databases import Databases

pytestmark = pytest.mark.usefixtures("_migrations_count")


@pytest.fixture
def own_url(backend: str, databases: Databases) -> str:
    """The URL of a migrated database that a test may break."""
    return shop_database(databases, backend)


def test_a_migrated_database_is_ready(serve: Serve, shop_url: str) -> None:
    """The path is at the root, not below the prefix."""
    client = serve(url=shop_url)
    assert (client.get("/health").status_code, client.get("/health").json()) == (200, {"status": "ok"})
    assert (client.get("/ready").status_code, client.get("/ready").json()) == (200, {"status": "ready"})
    assert client.get("/api/v1/health").status_code == 404


def test_a_database_never_migrated_is_not_ready(serve: Serve, databases: Databases, backend: str) -> None:
    """503 with Retry-After. `/health` stays 200."""
    client = serve(url=databases.empty(backend), admin_email="a@example.com", admin_password="long-enough")
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "migrated" in answer.json()["detail"]
    assert answer.headers["retry-after"]
    assert client.get("/health").status_code == 200


def test_the_process_starts_where_the_database_does_not_answer(serve: Serve, databases: Databases) -> None:
    """It logs that. Server and database can start in any order."""
    wanted = {"admin_email": "a@example.com", "admin_password": "long-enough"}
    client = serve(url=databases.url("postgresql", "none"), **wanted)
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503


def test_a_database_that_is_gone_is_not_ready(serve: Serve, own_url: str, databases: Databases) -> None:
    """Neither at once nor at a second check. `/health` stays 200."""
    client = serve(url=own_url)
    if own_url.startswith("postgresql"):
        assert client.get("/ready").status_code == 200
        server = sa.make_url(databases.url("postgresql", "postgres")).set(drivername="postgresql")
        name = sa.make_url(own_url).database
        with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as operator:
            operator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    else:
        Path(str(sa.make_url(own_url).database)).unlink()
    for _ in range(2):
        assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
