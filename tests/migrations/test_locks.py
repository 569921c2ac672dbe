"""Migrations that get no lock on PostgreSQL are rolled back and tried again. Committed parts never run twice."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import CommandLine

from rowhouse.migrations import locks
from tests.databases import Databases
from tests.migrations.copies import PROJECT
from tests.migrations.further import Chain, MakeChain, connected

BLOCK = """
with op.get_context().autocommit_block():
    op.execute("ALTER TABLE books ADD COLUMN one integer")
"""
WAITING = """
SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND clock_timestamp() - query_start > interval '0.3 seconds'
"""
USERS = 'op.execute("ALTER TABLE users ADD COLUMN two integer")'


@pytest.fixture(params=["no", "yes"], ids=["alone", "pooled"])
def chain(request: pytest.FixtureRequest, make_chain: MakeChain, monkeypatch: pytest.MonkeyPatch) -> Chain:
    """Migrations on PostgreSQL, once with a session of their own and once as behind a pooler."""
    monkeypatch.setenv("LOCK_SECONDS", "0.1")
    monkeypatch.setenv("DATABASE_POOLER", request.param)
    monkeypatch.setattr(locks, "FIRST_PAUSE", 0.01)
    return make_chain("postgresql")


@pytest.fixture
def user(chain: Chain) -> Iterator[psycopg.Connection[Any]]:
    """A connection that has read `users` and keeps its transaction open.

    Until the first migration waits, unless the test says otherwise.
    """
    with connected(chain.url) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM users")
        chain.while_waiting = lambda: connection.execute("ROLLBACK")
        yield connection


def test_it_lets_the_others_pass_and_tries_again(chain: Chain, user: psycopg.Connection[Any]) -> None:
    """During its pause, others can read all tables. Nothing is stored twice."""
    chain.add("one", 'op.execute("ALTER TABLE books ADD COLUMN one integer")')
    chain.add("two", USERS)

    def look() -> None:
        assert chain.ask("SELECT count(*) FROM users")
        assert chain.revision() == PROJECT
        assert "one" not in chain.columns("books")
        user.execute("ROLLBACK")

    chain.while_waiting = look
    chain.upgrade()
    (line,) = chain.lines
    assert line.startswith("no lock for `ALTER TABLE users ADD COLUMN two integer` (process ")
    assert f"process {user.info.backend_pid} of " in line
    assert "idle in transaction" in line
    assert line.endswith("trying again in 0.0 s")
    assert (chain.revision(), "one" in chain.columns("books"), "two" in chain.columns("users")) == ("two", True, True)


def test_a_downgrade_does_so_too(chain: Chain, user: psycopg.Connection[Any]) -> None:
    """Back to the revision before."""
    user.execute("ROLLBACK")
    chain.add("two", USERS, 'op.execute("ALTER TABLE users DROP COLUMN two")')
    chain.upgrade()
    user.execute("BEGIN")
    user.execute("SELECT count(*) FROM users")
    command.downgrade(chain.config, "project@-1")
    assert len(chain.lines) == 1
    assert (chain.revision(), "two" in chain.columns("users")) == (PROJECT, False)


def test_after_some_time_it_says_who_holds_the_lock(
    chain: Chain, user: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence, also with plain `alembic`. Nothing is stored, and each pause was longer than the one before."""
    monkeypatch.setattr(locks, "RETRY_SECONDS", 0.5)
    chain.add("two", USERS)
    chain.while_waiting = lambda: None
    with pytest.raises(SystemExit):
        CommandLine().main(["--config", str(chain.folder / "alembic.ini"), "upgrade", "heads"])
    said = "".join(capsys.readouterr())
    assert "FAILED: `ALTER TABLE users ADD COLUMN two integer` got no lock in 0 seconds: process " in said
    assert str(user.info.backend_pid) in said
    assert "Traceback" not in said
    assert chain.revision() == PROJECT
    assert len(chain.lines) > 1


def test_who_it_is_may_be_hidden(chain: Chain, databases: Databases) -> None:
    """A role without the right to see an administrator's activity sees only the administrator's name."""
    name = sa.make_url(chain.url).database
    with psycopg.connect(databases.administrator_url, dbname=name, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM users")
        chain.while_waiting = lambda: connection.execute("ROLLBACK")
        chain.add("two", USERS)
        chain.upgrade()
        assert f"(process {connection.info.backend_pid} of {connection.info.user} holds it)" in chain.lines[0]


def test_a_deadlock_is_retried_too_and_may_find_no_account(chain: Chain) -> None:
    """A statement that names no table has no holder."""
    chain.run("CREATE TABLE obstacle (id integer)")
    chain.add("one", f'op.execute("""{raising("40P01")}""")')
    chain.while_waiting = lambda: chain.run("DROP TABLE obstacle")
    chain.upgrade()
    assert [re.sub(r"`.*`", "`…`", line) for line in chain.lines] == ["no lock for `…`; trying again in 0.0 s"]
    assert chain.revision() == "one"


def raising(sqlstate: str) -> str:
    """Add a statement that fails while the table `obstacle` exists."""
    return (
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_class WHERE relname = 'obst' || 'acle') THEN "
        f"RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END IF; END $$"
    )


def test_what_is_no_lock_is_not_tried_again(chain: Chain) -> None:
    """Such as a cancelled statement."""
    chain.run("CREATE TABLE obstacle (id integer)")
    chain.add("one", f'op.execute("""{raising("57014")}""")')
    with pytest.raises(sa.exc.OperationalError):
        chain.upgrade()
    assert chain.lines == []


def test_what_a_migration_has_committed_is_not_run_again(chain: Chain, user: psycopg.Connection[Any]) -> None:
    """A migration with an `autocommit_block` is stored as soon as it ends. Only the next one is tried again."""
    chain.add("one", BLOCK)
    chain.add("two", f'op.execute("CREATE TABLE made (id integer)")\n{USERS}')
    seen = []

    def look() -> None:
        seen.append(chain.revision())
        user.execute("ROLLBACK")

    chain.while_waiting = look
    chain.upgrade()
    assert seen == ["one"]
    assert (chain.revision(), chain.ask("SELECT count(*) FROM made")) == ("two", [0])


@pytest.mark.parametrize("behind", [False, True], ids=["within", "behind"])
def test_a_statement_that_stands_alone_is_tried_again_alone(
    chain: Chain,
    user: psycopg.Connection[Any],
    behind: bool,  # noqa: FBT001  a parameter of pytest's
) -> None:
    """Within an `autocommit_block`, and the first one after it. Earlier statements of the block are committed already."""
    chain.add("two", f"{BLOCK}{'' if behind else '    '}{USERS}" + '\nop.execute("CREATE TABLE made (id integer)")')
    chain.upgrade()
    assert len(chain.lines) == 1
    assert chain.revision() == "two"
    assert {"one"} <= chain.columns("books")
    assert {"two"} <= chain.columns("users")
    assert chain.ask("SELECT count(*) FROM made") == [0]


@pytest.mark.parametrize(
    "before",
    [
        'op.execute("CREATE TABLE made (id integer)")',
        'op.bulk_insert(sa.table("books", sa.column("id")), [])\nop.get_bind().execute(sa.text("SELECT 1"))',
        'op.get_bind().connection.driver_connection.execute("CREATE TABLE made (id integer)")',
    ],
    ids=["written", "read", "past SQLAlchemy"],
)
def test_where_neither_can_be_tried_again_it_says_what_to_do(
    chain: Chain, user: psycopg.Connection[Any], before: str
) -> None:
    """After an `autocommit_block` and another statement, which a rollback would undo. Nothing of it is stored."""
    chain.add("two", f"import sqlalchemy as sa\n{BLOCK}{before}\n{USERS}")
    with pytest.raises(locks.LockedOutError, match=r"LockNotAvailable.*alembic stamp"):
        chain.upgrade()
    assert chain.lines == []
    assert chain.revision() == PROJECT
    assert chain.ask("SELECT count(*) FROM pg_class WHERE relname = 'made'") == [0]
    assert {"one"} <= chain.columns("books")


def test_what_says_concurrently_waits_as_long_as_it_takes(chain: Chain, user: psycopg.Connection[Any]) -> None:
    """For a writer that began before it. Later statements have the usual limit."""
    chain.add("one", f"""
with op.get_context().autocommit_block():
    op.create_index("ix_users_role", "users", ["role"], postgresql_concurrently=True)
    {USERS}
""")  # fmt: skip
    with connected(chain.url) as writer:
        writer.execute("BEGIN")
        writer.execute("LOCK TABLE users IN ROW EXCLUSIVE MODE")
        waiting = threading.Thread(target=end_once_it_is_waited_for, args=(writer, chain))
        waiting.start()
        chain.upgrade()
        waiting.join()
    assert len(chain.lines) == 1
    assert "ADD COLUMN two" in chain.lines[0]
    assert chain.ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_users_role'::regclass") == [True]


def end_once_it_is_waited_for(writer: psycopg.Connection[Any], chain: Chain) -> None:
    """End the writer's transaction when an index has waited for it for three times the limit."""
    while not chain.ask(WAITING):
        assert writer.info.transaction_status
    writer.execute("ROLLBACK")


def test_what_may_not_be_in_a_transaction_is_in_none(chain: Chain) -> None:
    """Behind a pooler too, where every other statement of a block has a transaction. Errors stay the same."""
    chain.add("one", """
with op.get_context().autocommit_block():
    op.execute("VACUUM books")
    op.execute("ALTER TABLE books ADD COLUMN one integer")
    op.execute("SELECT 1 / 0")
""")  # fmt: skip
    with pytest.raises(sa.exc.DataError, match="division by zero"):
        chain.upgrade()
    assert {"one"} <= chain.columns("books")
    assert chain.ask("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'") == [0]


def test_a_migration_that_has_committed_a_part_is_stored_when_it_is_done(backend: str, make_chain: MakeChain) -> None:
    """On both databases, whatever stops the next one. It does not run again."""
    chain = make_chain(backend)
    chain.add("one", BLOCK)
    chain.add("two", 'op.execute("nonsense")')
    with pytest.raises(sa.exc.DBAPIError, match="syntax error"):
        chain.upgrade()
    engine = sa.create_engine(chain.url)
    with engine.connect() as connection:
        assert "one" in connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        assert "one" in {column["name"] for column in sa.inspect(connection).get_columns("books")}
    engine.dispose()
