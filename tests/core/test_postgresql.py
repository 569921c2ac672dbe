"""Responses on PostgreSQL do not depend on settings of the role, the database, the environment or a pooler."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy as sa
from sqlmodel import UTCDateTime

from rowhouse.core.errors import ConnectionLostError, LockedError, StatementTimeoutError
from rowhouse.core.settings import Settings
from rowhouse.db.compiled import CompiledStatement, Row
from rowhouse.db.database import Database
from rowhouse.db.dialects.postgresql import open_session
from rowhouse.db.engine import create_engine, url_of
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.workers.runner import RequestRunner
from tests.core.test_compiled import VALUES, kinds, kinds_metadata
from tests.databases import Databases

HOSTILE = {
    "timezone": "America/New_York",
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "extra_float_digits": "0",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "default_transaction_isolation": "serializable",
}
SELECT_ALL = sa.select(kinds).where(kinds.c.id == sa.bindparam("wanted", type_=sa.Integer()))
SLEEP = sa.select(sa.func.pg_sleep(sa.bindparam("seconds", type_=sa.Float())).cast(sa.String).label("slept"))
NAMES = sa.select(sa.func.count().label("number")).select_from(kinds)
OPENED = {"yes": "a session that others share", "no": "a session of one's own"}


@pytest.fixture(scope="module")
def url(databases: Databases) -> str:
    """A database with unusual settings."""
    made = databases.prepared("postgresql", "kinds", kinds_metadata.create_all)
    name = sa.make_url(made).database
    with plain(made) as connection:
        for setting, value in HOSTILE.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
    return made


def plain(url: str) -> psycopg.Connection[Any]:
    """A connection with the settings of the database."""
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


Open = Callable[..., Database]


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """`opened(url, **settings)` returns a `Database` with these settings."""
    made: list[Database] = []

    def start(where: str = url, **settings: Any) -> Database:
        made.append(Database(Settings(database_url=where, **settings)))
        return made[-1]

    yield start
    for database in made:
        database.dispose()


def setting(database: Database, name: str) -> str:
    """Return a setting of this thread's session."""
    found = database.thread_connection().connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    row: Any = found.execute(f"SHOW {name}".encode()).fetchone()
    return str(row[0])


@pytest.mark.parametrize("pooler", OPENED)
def test_values_come_back_as_they_were_sent(opened: Open, pooler: str) -> None:
    """By compiled statements in and outside a transaction, prepared or not, and by the session."""
    database = opened(database_pooler=pooler)
    made = CompiledStatement(
        kinds.insert().values({name: sa.bindparam(name, type_=kinds.c[name].type) for name in VALUES}),
        database.dialect,
        columns=[],
    )
    with UnitOfWork(database, write=True) as unit:
        unit.run(made, VALUES)
        key = unit.session.scalar(sa.select(sa.func.max(kinds.c.id)))
        expected = {"id": key, **VALUES}
        assert unit.fetch(SELECT_ALL, {"wanted": key}) == [expected]
        stored: Any = unit.session.execute(SELECT_ALL, {"wanted": key}).mappings().one()
        assert dict(stored) == expected
    for _ in range(6):
        with UnitOfWork(database, write=False) as unit:
            found: Row = unit.fetch(SELECT_ALL, {"wanted": key})[0]
            assert found == expected
            assert str(found["at"]).endswith("+00:00")


def test_negative_intervals_survive(opened: Open) -> None:
    """The SQL standard style has one sign for all parts."""
    lengths = sa.select(sa.cast(sa.bindparam("given", type_=sa.Interval()), sa.Interval()).label("length"))
    given = VALUES["length"] * -3
    for pooler in OPENED:
        with UnitOfWork(opened(database_pooler=pooler), write=False) as unit:
            assert unit.fetch(lengths, {"given": given}) == [{"length": given}]


@pytest.mark.parametrize("pooler", OPENED)
def test_a_backslash_is_one(opened: Open, pooler: str) -> None:
    """In literals of compiled statements, such as ESCAPE, though SQLAlchemy reads a session that doubles them."""
    like = sa.select(sa.literal("a%b").like(sa.bindparam("pattern", type_=sa.String()), escape="\\").label("matches"))
    for _ in range(2):
        with UnitOfWork(opened(database_pooler=pooler), write=False) as unit:
            assert unit.fetch(like, {"pattern": r"a\%b"}) == [{"matches": True}]
            assert unit.fetch(like, {"pattern": "a_"}) == [{"matches": False}]


def test_a_shared_session_is_left_as_it_is(opened: Open) -> None:
    """Other clients would get its settings."""
    database = opened(database_pooler="yes")
    with UnitOfWork(database, write=True) as unit:
        unit.session.execute(sa.select(sa.func.now()))
    with UnitOfWork(database, write=False) as unit:
        unit.fetch(NAMES, {})
    for name in ("timezone", "datestyle", "intervalstyle"):
        assert setting(database, name).startswith(HOSTILE[name])
    assert (setting(database, "lock_timeout"), setting(database, "statement_timeout")) == ("0", "0")


def test_a_session_that_is_not_shared_is_detected(opened: Open) -> None:
    """It is set up once."""
    database = opened()
    assert setting(database, "timezone") == "UTC"
    assert setting(database, "statement_timeout") == "5s"
    assert setting(database, "lock_timeout") == "1500ms"
    assert setting(database, "default_transaction_isolation") == "serializable"


def sleep_in_a_transaction(unit: UnitOfWork) -> None:
    """Begin, and run a slow statement."""
    unit.begin()
    unit.fetch(SLEEP, {"seconds": 5.0})


@pytest.mark.parametrize("pooler", OPENED)
def test_a_statement_that_takes_too_long_is_stopped(opened: Open, pooler: str) -> None:
    """On its own, in a transaction and in a session. The connection still works."""
    database = opened(database_pooler=pooler, statement_seconds=0.05)
    with pytest.raises(StatementTimeoutError), UnitOfWork(database, write=False) as unit:
        unit.fetch(SLEEP, {"seconds": 5.0})
    with pytest.raises(StatementTimeoutError), UnitOfWork(database, write=True) as unit:
        sleep_in_a_transaction(unit)
    with pytest.raises(StatementTimeoutError), UnitOfWork(database, write=True) as unit:
        unit.session.execute(SLEEP, {"seconds": 5.0})
    with UnitOfWork(database, write=False) as unit:
        assert unit.fetch(NAMES, {})


@pytest.mark.parametrize("pooler", OPENED)
def test_a_locked_table_is_waited_for_once(opened: Open, url: str, pooler: str) -> None:
    """Also by a statement that is about to be prepared, which needs the lock too."""
    database = opened(database_pooler=pooler, lock_seconds=0.05)
    with plain(url) as holder, holder.transaction():
        holder.execute("LOCK TABLE kinds")
        for _ in range(6):
            with pytest.raises(LockedError), UnitOfWork(database, write=False) as unit:
                unit.fetch(NAMES, {})
    with UnitOfWork(database, write=False) as unit:
        assert unit.fetch(NAMES, {})


@pytest.mark.parametrize("pooler", OPENED)
def test_a_unit_of_work_may_wait_for_locks_for_less(opened: Open, url: str, pooler: str) -> None:
    """The limit of the session stays."""
    database = opened(database_pooler=pooler, lock_seconds=20)
    with plain(url) as holder, holder.transaction():
        holder.execute("LOCK TABLE kinds")
        with pytest.raises(LockedError), UnitOfWork(database, write=False, lock_seconds=0.05) as unit:
            unit.fetch(NAMES, {})
        with pytest.raises(LockedError), UnitOfWork(database, write=True, lock_seconds=0.05) as unit:
            unit.session.execute(NAMES)
    assert setting(database, "lock_timeout") == {"yes": "0", "no": "20s"}[pooler]


def test_what_the_url_and_the_environment_say_is_kept(opened: Open, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs of the client or the role win. Styles, encoding and time zone do not."""
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=123 -c work_mem=5MB")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    monkeypatch.setenv("PGDATESTYLE", "SQL, DMY")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    database = opened()
    assert (setting(database, "lock_timeout"), setting(database, "work_mem")) == ("123ms", "5MB")
    assert (setting(database, "timezone"), setting(database, "client_encoding")) == ("UTC", "UTF8")
    options = quote("-c statement_timeout=4567 -c search_path=elsewhere,public")
    database = opened(f"{url}&options={options}&application_name=shop&connect_timeout=7")
    assert (setting(database, "statement_timeout"), setting(database, "lock_timeout")) == ("4567ms", "1500ms")
    assert (setting(database, "search_path"), setting(database, "application_name")) == ("elsewhere,public", "shop")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "9")
    assert setting(opened(), "timezone") == "UTC"


@pytest.mark.parametrize("scheme", ["postgres://", "postgresql://", "postgresql+psycopg://"])
def test_every_spelling_of_the_scheme_is_taken(opened: Open, url: str, scheme: str) -> None:
    """Hosting services use the first."""
    database = opened(url.replace("postgresql+psycopg://", scheme))
    assert setting(database, "client_encoding") == "UTF8"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://app:p%40@a:1,b/shop", "postgresql://app:p%40@/shop?host=a%3A1&host=b"),
        ("postgres://a,b?sslmode=disable", "postgresql:///?host=a&host=b&sslmode=disable"),
        ("postgresql+psycopg://app:x,y@a/s?host=b,c", "postgresql+psycopg://app:x%2Cy@a/s?host=b%2Cc"),
        ("sqlite:///data/a,b.db", "sqlite+rowhouse:///data/a%2Cb.db"),
    ],
)
def test_several_servers_are_written_as_libpq_has_them(given: str, shown: str) -> None:
    """Before the path, or in SQLAlchemy's form. Other commas stay commas."""
    url = url_of(Settings(database_url=given))
    assert url.render_as_string(hide_password=False) == shown


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("postgresql://app:secret@host:port/shop", "the port is not a number"),
        ("postgresql+psycopg2://app:secret@host/shop", "not postgresql\\+psycopg2://"),
        ("postgresql+asyncpg://app:secret@host/shop", "not postgresql\\+asyncpg://"),
        ("postgresql+psycopg_async://app:secret@host/shop", "must begin with sqlite:/// or postgresql://"),
        ("mysql://app:secret@host/shop", "must begin with sqlite:/// or postgresql://"),
        ("sqlite:////dev/null/folder/file.db", "the folder /dev/null/folder cannot be created: Not a directory"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_words(given: str, words: str) -> None:
    """The message names the setting and the fix, without the password."""
    with pytest.raises(ValueError, match=f"DATABASE_URL: .*{words}") as refused:
        create_engine(Settings(database_url=given))
    assert "cret" not in str(refused.value)


def test_a_transaction_that_the_server_ended_for_idling_is_done_again(opened: Open) -> None:
    """The role or the database may limit idle time. Work that is always too slow is 503."""
    database = opened(lock_seconds=1)
    runner, waits = RequestRunner(database, database.settings, None), [0.2, 0, 0.2, 0.2]

    def work(unit: UnitOfWork) -> int:
        unit.session.execute(sa.text("SET idle_in_transaction_session_timeout = 50"))
        time.sleep(waits.pop(0))
        return int(unit.session.scalar(sa.text("SELECT 1")) or 0)

    try:
        assert asyncio.run(runner.run(work, write=True)) == 1
        with pytest.raises(ConnectionLostError):
            asyncio.run(runner.run(work, write=True))
    finally:
        runner.close()


def test_an_instant_of_the_session_is_in_utc(opened: Open) -> None:
    """In every time zone of the database."""
    now = sa.select(sa.func.now(type_=UTCDateTime()))
    for pooler in OPENED:
        with UnitOfWork(opened(database_pooler=pooler), write=False) as unit:
            assert str(unit.session.scalar(now)).endswith("+00:00")


def test_a_session_with_the_right_settings_is_not_changed(url: str) -> None:
    """It is only checked."""
    timeouts = {"lock_timeout": 1.0}
    with plain(url) as connection:
        open_session(connection, timeouts, pooler="auto")
        asked = Mock(wraps=connection.execute)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection, "execute", asked)
            open_session(connection, timeouts, pooler="auto")
    assert asked.call_count == 1
