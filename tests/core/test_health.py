"""`/health` and `/ready`."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from backend.core import health
from backend.core.config import Settings
from backend.core.engines import create_engine
from tests.conftest import migrate
from tests.core.conftest import Serve
from tests.databases import Databases


@pytest.fixture
def own_url(backend: str, databases: Databases) -> str:
    """A migrated database that a test may break."""
    return databases.prepared(backend, "migrated", migrate)


def execute(url: str, statement: str, **values: Any) -> None:
    """Change a database behind the application's back."""
    engine = create_engine(Settings(database_url=url))
    with engine.begin() as connection:
        connection.execute(sa.text(statement), values)
    engine.dispose()


def test_a_migrated_database_is_ready(serve: Serve, migrated_url: str) -> None:
    """At the root, not under the API's prefix."""
    client = serve(url=migrated_url)
    assert (client.get("/health").status_code, client.get("/health").json()) == (200, {"status": "ok"})
    assert (client.get("/ready").status_code, client.get("/ready").json()) == (200, {"status": "ready"})
    assert client.get("/api/v1/health").status_code == 404


def test_a_database_never_migrated_is_not_ready(serve: Serve, databases: Databases, backend: str) -> None:
    """503 with Retry-After; the process lives."""
    client = serve(url=databases.empty(backend), admin_email="a@example.com", admin_password="long-enough")
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "migrated" in answer.json()["detail"]
    assert answer.headers["retry-after"]
    assert client.get("/health").status_code == 200


def test_the_process_starts_where_the_database_does_not_answer(serve: Serve, databases: Databases) -> None:
    """And says so: whoever starts both need not start them in order."""
    wanted = {"admin_email": "a@example.com", "admin_password": "long-enough"}
    client = serve(url=databases.url("postgresql", "none"), **wanted)
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503


@pytest.mark.parametrize(
    "statement", ["UPDATE alembic_version SET version_num = 'older'", "DELETE FROM alembic_version"]
)
def test_a_database_at_another_migration_is_not_ready(serve: Serve, own_url: str, statement: str) -> None:
    """It is ready again when it has been migrated."""
    client = serve(url=own_url)
    execute(own_url, statement)
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["detail"]) == (503, "The database is not at the newest migration.")
    execute(own_url, "DELETE FROM alembic_version")
    execute(own_url, "INSERT INTO alembic_version VALUES (:newest)", newest=health.newest_revision())
    assert client.get("/ready").status_code == 200


def test_a_database_that_is_gone_is_not_ready(serve: Serve, own_url: str, databases: Databases) -> None:
    """Neither at once nor on a second look; the process lives."""
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


def test_without_migrations_beside_it_any_revision_will_do(
    serve: Serve, own_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where the package is installed from a wheel."""
    monkeypatch.setattr(health, "MIGRATIONS", tmp_path / "nowhere")
    execute(own_url, "UPDATE alembic_version SET version_num = 'older'")
    assert health.newest_revision() is None
    assert serve(url=own_url).get("/ready").status_code == 200
