"""`/ready` says whether this process can serve with the database as it is."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.auth.models import ADMIN
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.health import readiness
from rowhouse.health.migration_state import Revisions
from rowhouse.health.readiness import DatabaseCheck
from rowhouse.health.required_tables import required_tables
from rowhouse.http.routing import Router
from rowhouse.registration.registry import Registry
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, make_shop, shop_database, sign_in
from tests.core.conftest import Serve, build, build_shop
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.migrations.copies import copy_migrations
from tests.sample_entities.shop.models import Book, Category

pytestmark = pytest.mark.usefixtures("_migrations_count")


@pytest.fixture
def own_url(backend: str, databases: Databases) -> str:
    """The URL of a migrated database that a test may break."""
    return shop_database(databases, backend)


def execute(url: str, *statements: str, **values: Any) -> None:
    """Change a database without the application."""
    engine = create_engine(Settings(database_url=url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement), values)
    engine.dispose()


# The project's newest revision: names of the engine's come behind it.
FORGET = "DELETE FROM alembic_version WHERE version_num = (SELECT min(version_num) FROM alembic_version)"


def needed() -> str:
    """Return the newest revision of the project."""
    own = Revisions.of_the_code()
    assert own is not None
    return min(own.needed)  # the project's; the engine's is another one until the project depends on it


def detail(client: TestClient) -> str:
    """Return the reason why the process is not ready."""
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
    return str(answer.json()["detail"])


def is_ready(client: TestClient) -> bool:
    """Return True if `/ready` is 200."""
    return client.get("/ready").status_code == 200


def eventually(client: TestClient, *, seconds: float = 10) -> None:
    """Poll until it is ready."""
    deadline = time.monotonic() + seconds
    while not is_ready(client):
        assert time.monotonic() < deadline, detail(client)
        time.sleep(0.05)


def test_a_database_that_is_newer_than_the_code_is_ready(serve: Serve, own_url: str) -> None:
    """A rolling deploy migrates first. Older servers serve until they are replaced."""
    execute(
        own_url, FORGET, "INSERT INTO alembic_version VALUES ('of_tomorrow')", "ALTER TABLE books ADD isbn VARCHAR(20)"
    )
    assert is_ready(serve(url=own_url))


def test_a_database_that_becomes_newer_stays_ready(serve: Serve, own_url: str) -> None:
    """With additional tables and columns."""
    client = serve(url=own_url)
    execute(own_url, FORGET, "INSERT INTO alembic_version VALUES ('of_tomorrow')", "CREATE TABLE tomorrow (id INTEGER)")
    assert is_ready(client)


def test_a_database_that_is_older_than_the_code_is_not_ready(
    serve: Serve, own_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason names both revisions and the command. After a migration it is ready."""
    copy_migrations(tmp_path)
    (tmp_path / "alembic" / "versions" / "later.py").write_text(f'revision, down_revision = "later", "{needed()}"\n')
    older = needed()
    monkeypatch.chdir(tmp_path)
    client = serve(url=own_url)
    told = detail(client)
    assert all(word in told for word in (older, "later", "older", "alembic upgrade heads")), told
    execute(own_url, FORGET, "INSERT INTO alembic_version VALUES ('later')")
    assert is_ready(client)


def test_a_database_without_a_revision_is_not_ready(serve: Serve, own_url: str) -> None:
    """Such as one made by `create_all`. The reason says how to stamp it."""
    client = serve(url=own_url)
    execute(own_url, "DELETE FROM alembic_version")
    told = detail(client)
    assert all(word in told for word in ("never migrated", needed(), "alembic stamp heads")), told


def test_a_start_on_an_empty_database_ends_when_it_is_migrated(databases: Databases, backend: str) -> None:
    """By itself. It also creates the administrator then."""
    url = databases.empty(backend)
    with QuickClient(build_shop(url, admin_email=ADMIN_EMAIL, admin_password=ADMIN_PASSWORD)) as client:
        assert "never migrated" in detail(client)
        engine = create_engine(Settings(database_url=url))
        with engine.begin() as connection:
            make_shop(connection)
        engine.dispose()
        eventually(client)
        sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)


def test_a_start_without_a_database_ends_when_there_is_one(databases: Databases) -> None:
    """Without a request to `/ready`."""
    url = databases.url("postgresql", f"later_{os.getpid()}")
    with QuickClient(build_shop(url, admin_email=ADMIN_EMAIL, admin_password=ADMIN_PASSWORD)) as client:
        assert detail(client) == readiness.SILENT
        template = shop_database(databases, "postgresql")
        with operator(databases) as connection:
            name, source = sa.make_url(url).database, sa.make_url(template).database
            connection.execute(f"ALTER DATABASE {source} RENAME TO {name}")
        deadline = time.monotonic() + 10
        conninfo = psycopg.conninfo.make_conninfo(databases.administrator_url, dbname=str(name))
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while not connection.execute(
                "SELECT 1 FROM users"
            ).fetchone():  # a login that is too early counts as failed
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert client.post("/api/v1/auth/login", data=_login()).status_code == 200
        assert is_ready(client)


def _login() -> dict[str, str]:
    return {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}


@contextmanager
def operator(databases: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A connection of PostgreSQL's superuser."""
    with psycopg.connect(databases.administrator_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("breaking", "fixing", "words"),
    [
        ("ALTER TABLE books RENAME TO tomes", "ALTER TABLE tomes RENAME TO books", "Book: the table books is missing"),
        (
            "ALTER TABLE books RENAME COLUMN author TO writer",
            "ALTER TABLE books RENAME COLUMN writer TO author",
            "Book: the column books.author is missing",
        ),
        (
            "ALTER TABLE users RENAME TO persons",
            "ALTER TABLE persons RENAME TO users",
            "User: the table users is missing",
        ),
    ],
)
def test_a_table_that_does_not_fit_its_class_is_named(
    serve: Serve, own_url: str, breaking: str, fixing: str, words: str
) -> None:
    """With the command that fixes it, from the start on. After the fix it is ready."""
    execute(own_url, breaking)
    client = serve(url=own_url)
    told = detail(client)
    assert words in told
    assert "alembic upgrade heads" in told
    execute(own_url, fixing)
    assert is_ready(client)


def test_a_column_that_no_insert_can_fill_is_named(serve: Serve, backend: str, own_url: str) -> None:
    """A column that is NOT NULL, has no default and is unknown to the class.

    One with a default belongs to a newer deploy.
    """
    execute(own_url, "ALTER TABLE books ADD shelf VARCHAR(20) DEFAULT 'A' NOT NULL")
    assert is_ready(serve(url=own_url))
    if backend == "postgresql":
        execute(own_url, "ALTER TABLE books ALTER shelf DROP DEFAULT")
        words = "Book: the column books.shelf is NOT NULL without a default"
    else:
        execute(own_url, "DROP TABLE idempotency_keys", f"CREATE TABLE idempotency_keys ({KEYS}, extra TEXT NOT NULL)")
        words = "the column idempotency_keys.extra is NOT NULL without a default"
    assert words in detail(serve(url=own_url))


KEYS = "owner TEXT, key TEXT, fingerprint TEXT, status INTEGER, headers TEXT, body BLOB, created_at TEXT"


def test_many_errors_are_counted(serve: Serve, own_url: str) -> None:
    """Only the first ones are named."""
    names = ("books", "bookings", "categories", "charge_points", "reviews", "vehicles", "users")
    execute(own_url, *(f"ALTER TABLE {name} RENAME TO old_{name}" for name in names))
    assert "is missing and 2 more." in detail(serve(url=own_url))


def test_a_table_that_the_role_may_not_read_is_named(serve: Serve, databases: Databases) -> None:
    """A role without the right would fail at its first statement."""
    url = shop_database(databases, "postgresql")
    execute(url, "REVOKE ALL ON books FROM app")
    assert "Book: the database role may not read the table books" in detail(serve(url=url))


def test_a_table_that_the_role_may_not_write_to_is_named(databases: Databases) -> None:
    """Each write would fail. A read-only server needs no such right."""
    url = shop_database(databases, "postgresql")
    execute(url, "REVOKE INSERT ON users FROM app")
    body = {"email": "somebody@example.com", "password": "long enough", "full_name": "Somebody"}
    with QuickClient(build_shop(url)) as client:
        assert "User: the database role may not write to the table users" in detail(client)
        refused = client.post("/api/v1/users", json=body)
        assert (refused.status_code, refused.json()["code"]) == (503, "database_rights")
        assert "lacks a right" in refused.json()["detail"]
    with QuickClient(build_shop(url, read_only=True)) as client:
        assert is_ready(client)


@pytest.mark.parametrize(
    ("right", "table"),
    [
        ("UPDATE", "books"),
        ("DELETE", "books"),
        ("INSERT", "history_entries"),
        ("INSERT", "idempotency_keys"),
    ],
)
def test_every_right_that_a_client_needs_is_checked(databases: Databases, right: str, table: str) -> None:
    """Also those on the engine's own tables. A migration cannot grant one."""
    url = shop_database(databases, "postgresql")
    execute(url, f"REVOKE {right} ON {table} FROM app")
    with QuickClient(build_shop(url)) as client:
        told = detail(client)
        assert f"the database role may not write to the table {table} ({right}), GRANT it." in told
        assert "rowhouse migrate" not in told


def test_a_column_that_the_role_may_not_read_is_named(databases: Databases) -> None:
    """A right on some columns is none on the others."""
    url = shop_database(databases, "postgresql")
    execute(url, "REVOKE SELECT ON books FROM app", "GRANT SELECT (id, title) ON books TO app")
    with QuickClient(build_shop(url)) as client:
        assert "Book: the database role may not read the table books with every column" in detail(client)


def test_a_sequence_that_the_role_may_not_use_is_named(databases: Databases) -> None:
    """`GRANT … ON ALL TABLES` does not include sequences."""
    url = shop_database(databases, "postgresql")
    execute(url, "REVOKE ALL ON SEQUENCE books_id_seq FROM app")
    with QuickClient(build_shop(url)) as client:
        assert "Book: the database role may not use the sequence of books.id" in detail(client)


def test_the_tables_are_looked_at_again(serve: Serve, own_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that is dropped while the server runs is noticed within seconds, though the revision stays."""
    client = serve(url=own_url)
    assert is_ready(client)
    execute(own_url, "ALTER TABLE books RENAME author TO writer")
    assert is_ready(client)
    later = time.monotonic() + readiness.TABLES_SECONDS
    monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: later))
    assert "the column books.author is missing" in detail(client)


class PrintedRecord(Record, registry=sa.orm.registry(metadata=sa.MetaData(schema="printed"))):
    """`Record` in a schema."""


class Leaflet(IntegerKey, PrintedRecord, table=True):
    """An entity in a schema."""

    text: str = Field(max_length=20, index=False)


def test_a_registered_table_of_another_schema_is_looked_for_there(databases: Databases) -> None:
    """A table of the same name elsewhere does not count. A read-only table may have more columns."""
    url = shop_database(databases, "postgresql")
    execute(url, "CREATE TABLE leaflets (id INTEGER)")
    registry = Registry("/api/v1")
    registry.register(Leaflet, read=ANYONE, write=ANYONE, operations=("list", "get"))
    with QuickClient(build(url, registry=registry)) as client:
        assert "Leaflet: the table printed.leaflets is missing" in detail(client)
        columns = "id INTEGER, text TEXT, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ, printer TEXT NOT NULL"
        execute(url, "CREATE SCHEMA printed", f"CREATE TABLE printed.leaflets ({columns})")
        assert is_ready(client)


def test_what_is_only_read_is_inserted_nowhere() -> None:
    """All other tables may be inserted into."""
    registry = Registry("/api/v1")
    registry.register(Category, read=ANYONE, write=ADMIN, operations=("list", "get"))
    registry.register(Book, read=ANYONE, write=ADMIN)
    needs = {need.entity: need.inserts for need in required_tables([registry], sa.MetaData())}
    assert needs == {"Category": False, "Book": True}


def test_ready_does_not_queue_behind_requests(serve: Serve, shop_url: str) -> None:
    """A busy server is ready."""
    opened, router = threading.Event(), Router()

    @router.get("/slow")
    def slow() -> None:
        opened.wait(10)

    client = serve(router, url=shop_url, worker_threads=1)
    waiting = threading.Thread(target=client.get, args=("/api/v1/slow",))
    waiting.start()
    try:
        started = time.monotonic()
        assert is_ready(client)
        assert time.monotonic() - started < 1
    finally:
        opened.set()
        waiting.join()


def test_a_database_that_hangs_is_not_ready_within_its_time(
    serve: Serve, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All callers share one check. It is ready when the database responds."""
    monkeypatch.setattr(readiness.Readiness.failure, "__kwdefaults__", {"seconds": 0.3})
    url = shop_database(databases, "postgresql")
    client = serve(url=url, lock_seconds=20)
    assert is_ready(client)
    with psycopg.connect(_plain(url)) as other:
        other.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        for _ in range(3):
            started = time.monotonic()
            assert detail(client) == readiness.SLOW
            assert time.monotonic() - started < 2
    eventually(client)


def _plain(url: str) -> str:
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def test_concurrent_probes_share_one_check(serve: Serve, shop_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many probes are no load."""
    looks: list[int] = []
    look = DatabaseCheck.__call__

    def counted(self: DatabaseCheck, unit: UnitOfWork) -> Any:
        looks.append(1)
        time.sleep(0.05)
        return look(self, unit)

    client = serve(url=shop_url)
    assert is_ready(client)
    monkeypatch.setattr(DatabaseCheck, "__call__", counted)
    found: Any = client.app
    assert client.portal is not None

    async def ask() -> list[Any]:
        return await asyncio.gather(*(found.state.readiness.failure() for _ in range(20)))

    assert client.portal.call(ask) == [None] * 20
    assert len(looks) == 1


def test_a_database_that_takes_no_writes_is_not_ready(serve: Serve, backend: str, own_url: str) -> None:
    """Unless the server is read-only by its setting."""
    url = own_url
    if backend == "postgresql":
        execute(url, f"ALTER DATABASE {sa.make_url(url).database} SET default_transaction_read_only = on")
        words = "default_transaction_read_only is on"
    else:
        url = f"{url.replace('sqlite:///', 'sqlite:///file:')}?mode=ro&uri=true"
        words = "DATABASE_URL opens the file read-only"
    told = detail(serve(url=url))
    assert words in told
    assert "READ_ONLY=true" in told
    assert is_ready(serve(url=url, read_only=True, admin_email=ADMIN_EMAIL, admin_password=ADMIN_PASSWORD))


def test_a_file_that_may_not_be_written_is_not_ready(
    serve: Serve, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only file system. Afterwards it is ready again."""
    client = serve(url=shop_database(databases, "sqlite"))
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).suffix == ".db")
    assert "may not be written" in detail(client)
    monkeypatch.undo()
    assert is_ready(client)


def test_a_standby_is_not_ready(serve: Serve, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL reports it. The check tries a new connection, which may reach the new primary.

    A promoted standby is ready at the next check.
    """
    client = serve(url=shop_database(databases, "postgresql"))
    rows, asked = [{"standby": True, "read_only": "off"}], []
    fetch = UnitOfWork.fetch

    def standby(self: UnitOfWork, source: Any, values: Any) -> Any:
        if source is not readiness.SELECT_MODE:
            return fetch(self, source, values)
        asked.append(self.thread_connection)
        return rows

    monkeypatch.setattr(UnitOfWork, "fetch", standby)
    assert "it is a standby" in detail(client)
    first, second = asked
    assert first is not second
    rows[0]["standby"] = False
    assert is_ready(client)


def test_a_server_that_drains_is_not_ready(serve: Serve, shop_url: str) -> None:
    """It still handles all other requests."""
    client = serve(url=shop_url)
    found: Any = client.app
    found.state.readiness._drain.has_begun = True
    assert "shutting down" in detail(client)
    assert client.get("/health").status_code == 200


def test_what_the_database_refuses_is_not_ready(serve: Serve, own_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is in the log, not in the response."""
    client = serve(url=own_url)
    monkeypatch.setattr(readiness, "UNDEFINED_TABLE", "none")
    monkeypatch.setattr(readiness, "SELECT_VERSION", sa.select(sa.column("nowhere")).select_from(sa.table("none")))
    if own_url.startswith("sqlite"):
        execute(own_url, "CREATE TABLE none (id INTEGER)")
    assert detail(client) == readiness.REFUSED


def test_without_migrations_the_tables_alone_are_compared(
    serve: Serve, own_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without an `alembic.ini` in the working directory. The response says so."""
    monkeypatch.chdir(tmp_path)
    execute(own_url, "DROP TABLE alembic_version")
    client = serve(url=own_url)
    answer = client.get("/ready")
    assert (answer.status_code, "were compared instead" in answer.json()["migrations"]) == (200, True)
    execute(own_url, "ALTER TABLE books RENAME TO tomes")
    assert "Book: the table books is missing" in detail(serve(url=own_url))
