"""The log names the cause of each failure of the database or Redis in one line, without values or secrets."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import APIRouter
from limits.errors import StorageError
from redis.exceptions import ConnectionError as RedisConnectionError

from rowhouse.core import error_causes as causes
from rowhouse.core.error_causes import cause_of
from rowhouse.core.errors import UnavailableError
from rowhouse.core.logging_config import configure_logging
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.http.dependencies import CallerDep, SessionDep
from rowhouse.http.routing import Router
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, shop_database, sign_in, small_registry
from tests.core.conftest import build, kept_logging
from tests.databases import Databases
from tests.fast_client import QuickClient

Capture = pytest.CaptureFixture[str]
LOUD = {"log_level": "info", "access_log": True, "admin_email": ADMIN_EMAIL, "admin_password": ADMIN_PASSWORD}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Restore the configuration of the logs after a test."""
    with kept_logging():
        yield


@pytest.fixture
def own_url(backend: str, databases: Databases) -> str:
    """A migrated database that a test may break."""
    return shop_database(databases, backend)


def execute(url: str, *statements: str) -> None:
    """Change a database without the application."""
    engine = create_engine(Settings(database_url=url))
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
    finally:
        engine.dispose()


def lines(capsys: Capture, event: str) -> list[dict[str, Any]]:
    """Return the log lines of an event."""
    parsed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return [line for line in parsed if line["event"] == event]


def application(url: str, *routers: APIRouter, **settings: Any) -> FastAPI:
    """An application of a small registry and further routes."""
    return build(url, *routers, registry=small_registry(), **settings)


PROBES = Router()


@PROBES.get("/probe")
def probe(session: SessionDep, _caller: CallerDep) -> None:
    """Fail in a session."""
    session.execute(sa.text("SELECT * FROM nowhere"))


@PROBES.get("/full")
def full(_caller: CallerDep) -> None:
    """Fail for another reason than the database."""
    raise UnavailableError(reason="the kettle is empty")


@pytest.mark.parametrize(("path", "operation"), [("/api/v1/categories", "list_categories"), ("/api/v1/probe", "probe")])
def test_the_cause_of_a_500_is_in_the_log(own_url: str, capsys: Capture, path: str, operation: str) -> None:
    """On both paths: the error, the request and the account."""
    with QuickClient(application(own_url, PROBES, **LOUD)) as client:
        headers = {**sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD), "X-Request-ID": "mine"}
        execute(own_url, "ALTER TABLE categories RENAME TO kinds")
        capsys.readouterr()
        assert client.get(path, headers=headers).status_code == 500
    text = capsys.readouterr().err
    (line,) = [one for one in map(json.loads, text.splitlines()) if one["event"] == "failed"]
    assert (line["status"], line["method"], line["path"], line["operation"]) == (500, "GET", path, operation)
    assert (line["request_id"], line["level"]) == ("mine", "error")
    table = "nowhere" if operation == "probe" else "categories"
    if own_url.startswith("postgresql"):
        assert line["sqlstate"] == "42P01"
        assert line["message"] == f'relation "{table}" does not exist'
    else:
        assert line["message"] == f"no such table: {table}"
    (request,) = [one for one in map(json.loads, text.splitlines()) if one["event"] == "request"]
    assert (request["client"], request["account"], request["status"]) == ("testclient", 1, 500)


def test_the_cause_of_a_503_is_in_the_log(databases: Databases, capsys: Capture) -> None:
    """For an unreachable database: libpq's message, without a password."""
    host = sa.make_url(databases.url("postgresql", "none")).query["host"]
    url = f"postgresql+psycopg://app:hidden@/none?host={host}"
    with QuickClient(application(url, log_level="info")) as client:
        assert client.get("/api/v1/categories").status_code == 503
    text = capsys.readouterr().err
    parsed = [json.loads(line) for line in text.splitlines()]
    for event in ("failed", "not ready"):
        (line,) = [one for one in parsed if one["event"] == event]
        assert 'database "none" does not exist' in line["message"]
        assert line["cause"] == "psycopg.OperationalError"
    assert "hidden" not in text


def test_a_lock_timeout_is_logged_as_the_cause(own_url: str, capsys: Capture) -> None:
    """On both databases, also for SQLite's write lock."""
    with QuickClient(application(own_url, **LOUD, lock_seconds=0.1)) as client:
        headers = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
        engine = create_engine(Settings(database_url=own_url))
        with engine.begin() as other:
            if own_url.startswith("postgresql"):
                other.execute(sa.text("LOCK TABLE categories IN ACCESS EXCLUSIVE MODE"))
            answer = client.post("/api/v1/categories", json={"name": "waits"}, headers=headers)
            assert answer.status_code == 503
        engine.dispose()
        (line,) = lines(capsys, "failed")
        words = "lock timeout" if own_url.startswith("postgresql") else "database is locked"
        assert words in line["message"]
        found: Any = client.app
        turn = found.state.database.write_lock
        if turn is not None:
            with turn:
                assert client.post("/api/v1/categories/batch", json=[{"name": "b"}], headers=headers).status_code == 503
            (line,) = lines(capsys, "failed")
            assert line["reason"] == "SQLite's write lock was not free within LOCK_SECONDS"


def test_a_503_without_a_database_error_has_its_reason_in_the_log(own_url: str, capsys: Capture) -> None:
    """If neither the database nor Redis failed. The client gets a general text."""
    with QuickClient(application(own_url, PROBES, **LOUD)) as client:
        answer = client.get("/api/v1/full", headers=sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        assert answer.json()["detail"] == UnavailableError.default_detail
    (line,) = lines(capsys, "failed")
    assert (line["status"], line["reason"]) == (503, "the kettle is empty")


def test_an_error_of_the_client_is_not_logged_as_a_failure(own_url: str, capsys: Capture) -> None:
    """The log has only the line of the request."""
    with QuickClient(application(own_url, **LOUD)) as client:
        assert client.get("/api/v1/categories/0").status_code == 404
    assert lines(capsys, "failed") == []


def test_failed_logins_and_lock_outs_are_logged(own_url: str, capsys: Capture) -> None:
    """With the address and the account's fingerprint, never the e-mail address or the password."""
    with QuickClient(application(own_url, **LOUD, login_failures_per_account=1)) as client:
        form = {"username": "hidden@example.com", "password": "hidden-password"}
        statuses = [client.post("/api/v1/auth/login", data=form).status_code for _ in range(2)]
    assert statuses == [401, 429]
    text = capsys.readouterr().err
    parsed = [json.loads(line) for line in text.splitlines()]
    failed, refused = (one for one in parsed if one["event"].startswith("attempt"))
    assert failed["subject"] == refused["subject"]
    assert (len(failed["subject"]), failed["client"], refused["client"]) == (16, "testclient", "testclient")
    assert "too many failures" in refused["event"]
    assert "hidden" not in text


def test_an_export_that_breaks_off_says_why(own_url: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the response began with 200."""
    with QuickClient(application(own_url, **LOUD)) as client:
        found: Any = client.app

        async def broken(*_arguments: Any, **_options: Any) -> Any:
            raise UnavailableError from psycopg.OperationalError("gone")

        run = found.state.runner.run
        monkeypatch.setattr("rowhouse.transfer.exporter.ATTEMPTS", 0)
        monkeypatch.setattr("rowhouse.transfer.exporter.FIRST_CHUNK", 1)
        headers = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
        for name in ("one", "two"):
            client.post("/api/v1/categories", json={"name": name}, headers=headers)
        calls = iter([run, broken])

        async def once(*given: Any, **options: Any) -> Any:
            return await next(calls)(*given, **options)

        monkeypatch.setattr(found.state.runner, "run", once)
        with pytest.raises(Exception, match="cut its response off"):
            client.get("/api/v1/categories/export")
        monkeypatch.undo()
    (line,) = lines(capsys, "failed")
    assert (line["status"], line["message"]) == (500, "gone")


def chained(error: Exception, cause: BaseException) -> Exception:
    """Return an error with its causes."""
    error.__cause__ = cause
    return error


LIBPQ = """connection failed: connection to server at "127.0.0.1", port 1 failed: refused
\tIs the server running on that host? postgresql://app:p@ss@db/shop password=secret
DETAIL:  Key (email)=(ann@example.com)
exists."""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (None, {}),
        (KeyError("x"), {}),
        (
            chained(RuntimeError(), psycopg.OperationalError(LIBPQ)),
            {
                "cause": "psycopg.OperationalError",
                "message": 'connection failed: connection to server at "127.0.0.1", port 1 failed: refused '
                "Is the server running on that host? postgresql://***@db/shop password=***",
            },
        ),
        (psycopg.errors.UniqueViolation("x"), {"cause": "psycopg.UniqueViolation", "sqlstate": "23505"}),
        (psycopg.errors.RaiseException("x"), {"cause": "psycopg.RaiseException", "sqlstate": "P0001"}),
        (psycopg.DataError("x"), {"cause": "psycopg.DataError"}),
        (
            psycopg.errors.DiskFull("x"),
            {"cause": "psycopg.DiskFull", "sqlstate": "53100", "message": "x"},
        ),
        (
            chained(
                RuntimeError(), sa.exc.OperationalError("SELECT 'secret'", None, sqlite3.OperationalError("locked"))
            ),
            {"cause": "sqlite3.OperationalError", "message": "locked"},
        ),
        (
            StorageError(RedisConnectionError("refused")).storage_error,
            {"cause": "redis.ConnectionError", "message": "refused"},
        ),
        (chained(RuntimeError(), sa.exc.DBAPIError("x", None, None)), {}),  # type: ignore[arg-type]  # as SQLAlchemy may
    ],
)
def test_a_cause_is_one_line(error: BaseException | None, cause: dict[str, str]) -> None:
    """From below all wrappers, of limited length, without passwords, annotations and quoted values."""
    assert cause_of(error) == cause


def test_a_suppressed_context_is_no_cause() -> None:
    """A circular chain ends."""
    error, circle = ValueError(), ValueError()
    error.__context__, error.__suppress_context__ = sqlite3.OperationalError("seen"), True
    circle.__cause__ = chained(KeyError(), circle)
    assert (cause_of(error), cause_of(circle)) == ({}, {})


def test_a_cause_is_found_below_what_failed_while_it_was_handled() -> None:
    """However long its message is."""
    error = KeyError()
    error.__context__ = sqlite3.OperationalError("x" * 999)
    assert len(cause_of(error)["message"]) == causes.MAX_CHARACTERS


@pytest.mark.parametrize("log_json", [True, False])
def test_a_traceback_quotes_no_row(databases: Databases, capsys: Capture, log_json: bool) -> None:  # noqa: FBT001  a case
    """PostgreSQL's DETAIL is removed; the rest of the traceback stays."""
    configure_logging(Settings(log_json=log_json))
    insert = "INSERT INTO categories (name, created_at, updated_at) VALUES ('hidden', now(), now())"
    with pytest.raises(sa.exc.IntegrityError) as refused:
        execute(shop_database(databases, "postgresql"), insert, insert)
    logging.getLogger("uvicorn.error").error("failed", exc_info=refused.value)
    text = capsys.readouterr().err
    assert "uq_categories_name" in text
    assert "DETAIL" not in text
    assert "(hidden)" not in text
