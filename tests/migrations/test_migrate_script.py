"""`scripts/migrate` and `alembic upgrade`: on an empty database, twice, concurrently, and written out as SQL."""

import contextlib
import io
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.operations.ops import AddColumnOp, CreateTableOp, DropColumnOp, DropIndexOp

from rowhouse.cli import migrate
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.entities.no_overlap import Rule
from rowhouse.entities.search_index import SearchIndexRule
from rowhouse.migrations import running
from rowhouse.migrations.autogenerate import only_adds
from rowhouse.migrations.operations.no_overlap import CreateNoOverlap
from rowhouse.migrations.operations.search_index import CreateSearchIndex, DropSearchIndex
from rowhouse.migrations.running import LOCK_KEY
from tests.conftest import ROOT, alembic_config
from tests.databases import Databases
from tests.migrations import schema
from tests.migrations.copies import HEADS, NEWEST, copy_migrations
from tests.migrations.migrator import upgrade_at_once

AT_ONCE = 4
UPGRADE = [sys.executable, "-m", "alembic", "upgrade", "heads"]


@pytest.fixture
def url(backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database that the settings name."""
    made = databases.empty(backend)
    monkeypatch.setenv("DATABASE_URL", made)
    return made


def tree() -> dict[str, int]:
    """Return every file of the migrations with its modification time."""
    files = [path for path in (ROOT / "alembic").rglob("*") if "__pycache__" not in path.parts]
    return {str(path): path.stat().st_mtime_ns for path in files if path.is_file()}


def read(url: str) -> tuple[set[str], dict[str, str], set[str], list[str]]:
    """Return the schema of a database and its revision."""
    engine = create_engine(Settings(database_url=url))
    with engine.connect() as connection:
        revisions = list(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars())
        found = schema.tables(connection), schema.guards(connection), schema.functions(connection), revisions
    engine.dispose()
    return found


def test_it_succeeds_twice_and_writes_nothing(url: str) -> None:
    """As at each start of `scripts/run` in development. The migrations equal the models."""
    before = tree()
    assert [migrate.main([]), migrate.main([])] == [0, 0]
    assert tree() == before
    assert sorted(read(url)[-1]) == HEADS


def test_several_at_once_on_an_empty_database_wait_for_each_other(url: str, migrated_url: str, tmp_path: Path) -> None:
    """All succeed, and the result equals that of one alone."""
    upgrade_at_once(url, tmp_path, count=AT_ONCE)
    assert read(url) == read(migrated_url)


def test_a_migrator_waits_for_another_as_long_as_that_takes(url: str, backend: str) -> None:
    """Longer than a statement waits for a lock. Then it applies the rest."""
    engine = create_engine(Settings())
    with engine.connect() as connection:
        connection.begin()
        if backend == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK_KEY})")
        second = subprocess.Popen(UPGRADE, cwd=ROOT, env={**os.environ}, stderr=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(Settings().lock_seconds + 1.5)
        connection.rollback()
    engine.dispose()
    assert second.communicate()[1] == ""
    assert second.returncode == 0
    assert sorted(read(url)[-1]) == HEADS


def written_out() -> str:
    """Return the output of `alembic upgrade heads --sql`."""
    config = alembic_config()
    config.output_buffer = written = io.StringIO()
    command.upgrade(config, "heads", sql=True)
    return written.getvalue()


def test_the_sql_that_is_written_out_makes_the_same_database(url: str, backend: str, migrated_url: str) -> None:
    """Tables, constraints, indexes, triggers, functions and the revision, applied by the database's own client."""
    script = written_out()
    if backend == "sqlite":
        with contextlib.closing(sqlite3.connect(sa.make_url(url).database or "")) as connection:
            connection.executescript(script)
    else:
        address = url.replace("postgresql+psycopg:", "postgresql:")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(script.encode())
    assert read(url) == read(migrated_url)


def test_check_tells_whether_a_migration_is_missing(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty database lacks one, an up-to-date one none. The check changes nothing."""
    assert migrate.main(["--check"]) == 1
    assert "Run scripts/migrate first" in capsys.readouterr().err
    assert migrate.main([]) == 0
    assert migrate.main(["--check"]) == 0


def test_an_invalid_setting_is_explained_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same sentence as `scripts/serve`. So is an unreachable database."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    assert migrate.run(["--check"]) == 1
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:hidden@127.0.0.1:1/shop")
    assert migrate.run([]) == 1
    first, second = capsys.readouterr().err.strip().splitlines()
    assert "set JWT_SECRET outside development" in first
    assert "Connection refused" in second
    assert "hidden" not in second


@pytest.mark.parametrize("words", [[], ["--check"]])
def test_an_address_that_is_none_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """It says how one is written."""
    monkeypatch.setenv("DATABASE_URL", "nonsense")
    assert migrate.run(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("Rowhouse cannot migrate. ArgumentError: DATABASE_URL is no URL; write sqlite:///path")


def test_the_database_of_another_project_is_told(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its revision is not one of this project."""
    assert migrate.main([]) == 0
    set_revision(url, "another")
    assert migrate.run([]) == 1
    said = capsys.readouterr().err
    assert (
        "Can't locate revision identified by 'another': the database is of a newer version, or of another project"
        in said
    )


def test_a_migrator_that_waits_in_vain_says_so_in_a_sentence(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For another migrator, or for a lock."""
    monkeypatch.setenv("DATABASE_URL", databases.empty("postgresql"))
    monkeypatch.setattr(running, "WAIT_SECONDS", 0.1)
    with running.migrating(Settings()):
        assert migrate.run([]) == 1
    assert capsys.readouterr().err.startswith("Rowhouse cannot migrate: another migrator has been at work")


def test_a_database_that_is_newer_than_the_code_lacks_nothing(url: str) -> None:
    """Older code still starts on it during a rolling deploy."""
    assert migrate.main([]) == 0
    set_revision(url, "from-tomorrow")
    assert migrate.main(["--check"]) == 0


def test_a_database_that_does_not_answer_is_not_called_old(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The server starts, and `/ready` reports when it can serve. No message has the URL or its password."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql+psycopg://app:secret-word@/none?host={tmp_path}")
    assert migrate.main(["--check"]) == 0
    told = capsys.readouterr().err
    assert told.startswith("The database does not answer (OperationalError)")
    assert "secret-word" not in told


def set_revision(url: str, revision: str) -> None:
    """Store another revision of the project."""
    engine = create_engine(Settings(database_url=url))
    with engine.begin() as connection:
        stored = {"revision": revision, "newest": NEWEST}
        connection.execute(
            sa.text("UPDATE alembic_version SET version_num = :revision WHERE version_num = :newest"), stored
        )
    engine.dispose()


def test_outside_development_no_migration_is_written(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the models are; here all tables are missing."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    monkeypatch.setattr(migrate, "differences", lambda _settings: pytest.fail("it compared"))
    before = tree()
    assert migrate.main([]) == 0
    assert tree() == before
    assert sorted(read(url)[-1]) == HEADS


def test_what_only_adds_is_applied_unasked() -> None:
    """A table with its search index and its rule, or a nullable column. A removal is not."""
    rule = Rule("ex_t", "t", "a", "b", "c", {})
    search = SearchIndexRule("ix_t_search", "t", ("name",))
    column = sa.Column("note", sa.String(), nullable=True)
    added = [CreateTableOp("t", []), CreateNoOverlap(rule), CreateSearchIndex(search), AddColumnOp("t", column)]
    assert only_adds(added)
    needed = AddColumnOp("t", sa.Column("name", sa.String(), nullable=False))
    for taken in (DropColumnOp("t", "note"), DropIndexOp("ix_t"), DropSearchIndex(search), needed):
        assert not only_adds([*added, taken])


CONCURRENTLY = '''
"""An index that is made while others write."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "concurrently", "{head}", None, None


def upgrade() -> None:
    """Apply."""
    with op.get_context().autocommit_block():
        op.create_index("ix_users_full_name", "users", ["full_name"], postgresql_concurrently=True)
'''


def test_migrators_wait_through_an_autocommit_block(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While a migration builds an index concurrently on PostgreSQL outside a transaction, other migrators wait."""
    url = databases.empty("postgresql")
    monkeypatch.setenv("DATABASE_URL", url)
    copy_migrations(tmp_path)
    (tmp_path / "alembic/versions/concurrently.py").write_text(CONCURRENTLY.format(head=NEWEST))
    upgrade_at_once(url, tmp_path, count=2, ini=tmp_path / "alembic.ini")
    assert sorted(read(url)[-1]) == ["concurrently", *HEADS[1:]]


def test_sqlite_waits_for_another_migrator_as_postgresql_does(tmp_path: Path) -> None:
    """A migration takes longer than a request may wait for a lock."""
    with running.migrating(Settings(database_url=f"sqlite:///{tmp_path}/waits.db")) as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == running.WAIT_SECONDS * 1000
