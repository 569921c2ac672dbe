"""Connections and the unit of work, the same on both databases."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from rowhouse.core.errors import ConflictError, DuplicateError, LockedError, RowhouseError, UnavailableError
from rowhouse.core.security import Caller
from rowhouse.core.settings import Settings
from rowhouse.db.compiled import CompiledStatement
from rowhouse.db.database import Database
from rowhouse.db.engine import create_engine
from rowhouse.db.integrity import ForeignKeyError
from rowhouse.db.unit_of_work import UnitOfWork
from tests.conftest import shop_database, unique
from tests.core.conftest import Shelf, build_shop, count, shelves, things
from tests.databases import Databases
from tests.fast_client import QuickClient

SELECT_SHELF = sa.select(shelves).where(shelves.c.name == sa.bindparam("wanted", type_=sa.String()))


@pytest.fixture(scope="session")
def only_sqlite(databases: Databases) -> Iterator[Database]:
    """An empty SQLite database."""
    database = Database(Settings(database_url=databases.empty("sqlite")))
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def only_postgresql(databases: Databases) -> Iterator[Database]:
    """An empty PostgreSQL database with another time zone."""
    database = Database(Settings(database_url=databases.empty("postgresql"), lock_seconds=0.25))
    database.thread_connection().driver.execute(
        f"ALTER DATABASE {database.engine.url.database} SET timezone = 'Asia/Tokyo'"
    )
    database.discard_connection()
    yield database
    database.dispose()


def is_open(database: Database) -> bool:
    """Return True if this thread's connection is in a transaction."""
    return database.thread_connection().driver.in_transaction


def begin_in_vain(unit: UnitOfWork) -> None:
    """Begin a transaction, and fail before its first statement."""
    unit.begin()
    raise LookupError


def add(unit: UnitOfWork, name: str) -> None:
    """Store a shelf."""
    unit.session.execute(shelves.insert().values(name=name))


def fail_after_adding(unit: UnitOfWork, name: str, error: RowhouseError) -> None:
    """Store a shelf, then fail."""
    add(unit, name)
    raise error


def perform(database: Database, work: Callable[[UnitOfWork], Any]) -> Any:
    """Do the work of a writing request without the request."""
    with UnitOfWork(database, write=True) as unit:
        return work(unit)


def count_elsewhere(database: Database, name: str) -> int:
    """Return the number of shelves with a name, as another connection sees it."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(count, database, name).result()


def terminate_others(database: Database) -> None:
    """Let PostgreSQL end every connection to this database, as an operator or a failover does."""
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as operator:
        operator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 1), ("temp_store", 2), ("busy_timeout", 1500)],
)
def test_sqlite_is_prepared(only_sqlite: Database, pragma: str, value: Any) -> None:
    """Every connection enforces foreign keys, does not block readers and waits for locks."""
    assert only_sqlite.thread_connection().driver.execute(f"PRAGMA {pragma}").fetchone() == (value,)


@pytest.mark.parametrize(
    ("name", "value"),
    [("timezone", "UTC"), ("lock_timeout", "250ms"), ("is_superuser", "off")],
)
def test_postgresql_is_prepared(only_postgresql: Database, name: str, value: str) -> None:
    """Sessions are in UTC in every time zone of the server."""
    assert only_postgresql.thread_connection().driver.execute(f"SHOW {name}").fetchone() == (value,)


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///file:x?mode=memory&uri=true"],
)
def test_in_memory_sqlite_is_refused(url: str) -> None:
    """It would be another database in every thread."""
    with pytest.raises(ValueError, match="name a file"):
        create_engine(Settings(database_url=url))


def test_the_directory_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    """A first start needs no preparation."""
    create_engine(Settings(database_url=f"sqlite:///{tmp_path}/new/deep/x.db")).dispose()
    assert (tmp_path / "new" / "deep").is_dir()


@pytest.mark.parametrize("write", [True, False])
def test_sqlite_takes_the_write_lock_at_once(only_sqlite: Database, *, write: bool) -> None:
    """And only if the unit writes."""
    sent: list[str] = []
    driver: Any = only_sqlite.thread_connection().connection.connection.driver_connection
    driver.set_trace_callback(sent.append)
    with UnitOfWork(only_sqlite, write=write) as unit:
        unit.begin()
        unit.begin()
    driver.set_trace_callback(None)
    assert sent == ["BEGIN IMMEDIATE" if write else "BEGIN", "COMMIT"]


def test_a_transaction_begins_with_its_first_statement(bare: Database) -> None:
    """A session joins the open transaction."""
    name = unique("shelf")
    with UnitOfWork(bare, write=True) as unit:
        assert not is_open(bare)
        unit.run(CompiledStatement(shelves.insert().values(name=name), bare.dialect, columns=[]), {})
        assert is_open(bare)
        assert unit.session.scalar(sa.select(sa.func.count()).where(shelves.c.name == name)) == 1
        assert count_elsewhere(bare, name) == 0
    assert not is_open(bare)
    assert count_elsewhere(bare, name) == 1


def test_a_transaction_without_a_statement_is_not_sent(bare: Database) -> None:
    """It begins and ends without a statement, committed or rolled back."""
    with UnitOfWork(bare, write=True) as unit:
        unit.begin()
        assert is_open(bare)
    with pytest.raises(LookupError), UnitOfWork(bare, write=True) as unit:
        begin_in_vain(unit)
    assert not is_open(bare)


def test_a_read_opens_no_transaction(bare: Database) -> None:
    """It takes one round trip, and SQLite's write lock is free."""
    with UnitOfWork(bare, write=True) as unit:
        assert unit.fetch(SELECT_SHELF, {"wanted": "nothing"}) == []
        assert not is_open(bare)


def test_leaving_commits_once(bare: Database) -> None:
    """Rows that were only added to the session are flushed first."""
    name = unique("shelf")
    with UnitOfWork(bare, write=True) as unit:
        add(unit, name)
        assert unit.fetch(SELECT_SHELF, {"wanted": name})[0]["name"] == name
    assert count(bare, name) == 1


def test_an_error_rolls_back(bare: Database) -> None:
    """The error passes unchanged."""
    name = unique("shelf")
    with pytest.raises(ConflictError, match="for a reason"):
        perform(bare, lambda unit: fail_after_adding(unit, name, ConflictError("for a reason")))
    assert count(bare, name) == 0
    assert not is_open(bare)


def test_an_error_that_is_a_decision_commits(bare: Database) -> None:
    """Such as a revoked family of sessions."""

    class DecisionError(ConflictError):
        keeps_changes = True

    name = unique("shelf")
    with pytest.raises(DecisionError):
        perform(bare, lambda unit: fail_after_adding(unit, name, DecisionError()))
    assert count(bare, name) == 1


def test_a_savepoint_undoes_its_part_only(bare: Database) -> None:
    """Earlier changes are kept."""
    kept, undone = unique("shelf"), unique("shelf")

    def part(unit: UnitOfWork) -> None:
        with unit.savepoint():
            fail_after_adding(unit, undone, ConflictError())

    def whole(unit: UnitOfWork) -> None:
        add(unit, kept)
        with pytest.raises(ConflictError):
            part(unit)

    perform(bare, whole)
    assert (count(bare, kept), count(bare, undone)) == (1, 0)


def test_what_the_session_is_refused_is_translated(bare: Database) -> None:
    """SQLAlchemy's errors never leave a unit of work."""
    name = unique("shelf")
    perform(bare, lambda unit: add(unit, name))
    with pytest.raises(DuplicateError, match="Shelf with this name already exists"):
        perform(bare, lambda unit: add(unit, name))
    assert count(bare, name) == 1


def test_what_a_compiled_statement_is_refused_is_translated(bare: Database) -> None:
    """As the session's are."""
    nowhere: sa.Select[Any] = sa.select(sa.column("x")).select_from(sa.table("nowhere"))
    with pytest.raises(RowhouseError) as refused:
        perform(bare, lambda unit: unit.fetch(nowhere, {}))
    assert refused.value.status == 500


def test_a_refused_commit_is_an_error(bare: Database) -> None:
    """Nothing is stored, and the thread still works."""
    name = unique("thing")
    with pytest.raises(ForeignKeyError):
        perform(bare, lambda unit: unit.session.execute(things.insert().values(shelf_id=-1, name=name)))
    found = perform(bare, lambda unit: unit.session.scalar(sa.select(sa.func.count()).where(things.c.name == name)))
    assert found == 0
    perform(bare, lambda unit: add(unit, name))
    assert count(bare, name) == 1


def test_waiting_for_a_lock_ends_with_503(bare: Database, bare_url: str) -> None:
    """After `lock_seconds`, and nothing is changed."""
    name = unique("shelf")
    perform(bare, lambda unit: add(unit, name))
    rival = Database(Settings(database_url=bare_url))
    with UnitOfWork(rival, write=True) as holder:
        holder.session.execute(shelves.update().where(shelves.c.name == name).values(name=name))
        with pytest.raises(UnavailableError):
            perform(bare, lambda unit: unit.session.execute(shelves.delete().where(shelves.c.name == name)))
    rival.dispose()
    assert count(bare, name) == 1


def test_writers_of_one_process_take_turns_on_sqlite(only_sqlite: Database) -> None:
    """One that waits longer than `lock_seconds` is rejected. Later ones get the lock again."""
    with ThreadPoolExecutor(1) as other:
        with UnitOfWork(only_sqlite, write=True) as holder:
            holder.begin()
            with pytest.raises(UnavailableError):
                other.submit(perform, only_sqlite, UnitOfWork.begin).result()
        other.submit(perform, only_sqlite, UnitOfWork.begin).result()


def test_a_unit_of_work_may_wait_for_the_write_lock_for_less(only_sqlite: Database) -> None:
    """Whether this process or another one holds it. The next unit waits as long as the setting says."""
    rival = Database(Settings(database_url=str(only_sqlite.engine.url), lock_seconds=20))
    with UnitOfWork(only_sqlite, write=True) as holder:
        holder.begin()
        with pytest.raises(LockedError), UnitOfWork(rival, write=True, lock_seconds=0.05) as unit:
            unit.begin()
    assert rival.thread_connection().driver.execute("PRAGMA busy_timeout").fetchone() == (20_000,)
    rival.dispose()


def test_a_thread_keeps_its_connection(bare: Database) -> None:
    """And does not share it."""
    assert bare.thread_connection() is bare.thread_connection()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(bare.thread_connection).result() is not bare.thread_connection()


def test_dropping_a_connection_that_was_never_opened_does_nothing(bare: Database) -> None:
    """It is no error."""
    bare.discard_connection()
    first = bare.thread_connection()
    bare.discard_connection()
    assert bare.thread_connection() is not first


def test_a_select_is_compiled_once(bare: Database) -> None:
    """It is a constant of its module, or has a name."""
    assert bare.compiled(SELECT_SHELF) is bare.compiled(SELECT_SHELF)
    made: list[str] = []

    def make(dialect: sa.Dialect) -> CompiledStatement:
        made.append(dialect.name)
        return CompiledStatement(SELECT_SHELF, dialect, columns=list(shelves.c))

    assert bare.statement_for("shelf", make) is bare.statement_for("shelf", make)
    assert made == [bare.dialect.name]


def test_session_and_compiled_statements_see_each_other(bare: Database) -> None:
    """Pending changes are flushed. After `expire_session`, the session reads changed rows again."""
    before, after = unique("shelf"), unique("shelf")
    rename = shelves.update().where(shelves.c.name == before).values(name=after)
    with UnitOfWork(bare, write=True) as unit:
        unit.expire_session()
        shelf = Shelf(before)
        unit.session.add(shelf)
        assert [row["name"] for row in unit.fetch(SELECT_SHELF, {"wanted": before})] == [before]
        unit.run(CompiledStatement(rename, bare.dialect, columns=[]), {})
        assert shelf.name == before
        unit.expire_session()
        assert shelf.name == after
    assert count(bare, after) == 1


def test_authenticating_takes_an_authenticator(bare: Database) -> None:
    """The caller is kept for the rest of the request."""
    caller = Caller(id=1, role="user")
    with UnitOfWork(bare, write=False, authenticator=lambda _unit, _token: caller) as unit:
        assert unit.authenticate("token") is caller
        assert unit.caller is caller
        assert unit.settings is bare.settings
    with UnitOfWork(bare, write=False) as unit, pytest.raises(LookupError, match="no authenticator"):
        unit.authenticate("token")


@pytest.mark.parametrize("through", ["session", "statement", "commit"])
def test_a_broken_connection_is_503_and_replaced(only_postgresql: Database, through: str) -> None:
    """However the break is noticed. The thread's next unit of work gets a new one."""
    database = only_postgresql
    broken = database.thread_connection()

    def work(unit: UnitOfWork) -> None:
        if through == "commit":
            unit.session.execute(sa.text("SELECT 1"))
        terminate_others(database)
        if through == "session":
            unit.session.execute(sa.text("SELECT 1"))
        elif through == "statement":
            unit.fetch(sa.select(sa.literal(1)), {})

    with pytest.raises(UnavailableError):
        perform(database, work)
    assert broken.connection.closed
    assert perform(database, lambda unit: unit.session.scalar(sa.text("SELECT 1"))) == 1
    assert database.thread_connection() is not broken


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/categories", None, 200),
        ("POST", "/api/v1/users", {"email": "idle@example.com", "password": "correct-horse", "full_name": "I"}, 201),
    ],
)
def test_a_connection_that_died_while_it_was_idle_is_not_noticed(
    databases: Databases, method: str, path: str, body: Any, status: int
) -> None:
    """By neither readers nor writers: nothing had been done on it, so a new connection repeats everything."""
    app = build_shop(shop_database(databases, "postgresql"))
    with QuickClient(app) as client:
        assert client.request(method, path).status_code in (200, 415)
        for _ in range(2):
            terminate_others(app.state.database)
            assert client.request(method, path, json=body).status_code == status
            status = {201: 409}.get(status, status)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_that_is_not_there_is_503(databases: Databases, tmp_path: Path, kind: str) -> None:
    """No lock or connection is kept afterwards."""
    url = databases.url("postgresql", "never_made") if kind == "postgresql" else f"sqlite:///{tmp_path}/gone/x.db"
    database = Database(Settings(database_url=url))
    if kind == "sqlite":
        (tmp_path / "gone").rmdir()
    with pytest.raises(UnavailableError):
        UnitOfWork(database, write=False)
    database.dispose()


def test_disposing_closes_every_threads_connection(bare: Database) -> None:
    """Also those of threads that still run."""
    held = [bare.thread_connection()]
    thread = threading.Thread(target=lambda: held.append(bare.thread_connection()))
    thread.start()
    thread.join()
    bare.dispose()
    assert len(held) == 2
    assert all(link.connection.closed for link in held)


def test_errors_name_no_values(bare: Database) -> None:
    """The values of a row must not be in a traceback of the log."""
    with bare.engine.connect() as connection, pytest.raises(sa.exc.IntegrityError) as refused:
        connection.execute(shelves.insert().values([{"id": 1, "name": "hidden"}, {"id": 1, "name": "hidden too"}]))
    assert isinstance(refused.value.orig, (sqlite3.Error, psycopg.Error))
    assert "parameters hidden" in str(refused.value)


def test_a_rollback_leaves_what_is_prepared(only_postgresql: Database) -> None:
    """Neither a rollback of the session nor of the unit drops a prepared statement."""
    one = sa.select(sa.literal(1))

    def undone(unit: UnitOfWork) -> None:
        for _ in range(9):
            unit.session.execute(sa.text("SELECT 1"))
            unit.fetch(one, {})
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            perform(only_postgresql, undone)
    held = "SELECT count(*) FROM pg_prepared_statements"
    assert only_postgresql.thread_connection().driver.execute(held).fetchone() == (1,)


def test_a_connection_that_cannot_be_rolled_back_is_dropped(bare: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original error is raised, and the thread gets another connection next time."""
    link = bare.thread_connection()

    def refuse() -> None:
        raise psycopg.OperationalError

    stuck = SimpleNamespace(in_transaction=True, rollback=refuse)
    monkeypatch.setattr(link, "driver", stuck)
    with pytest.raises(LookupError), UnitOfWork(bare, write=True) as unit:
        begin_in_vain(unit)
    assert bare.thread_connection() is not link
