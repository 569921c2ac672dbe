"""The operator's part of docs/migrations.md.

Migrations by hand, and several migrators behind PgBouncer, one of which gets no lock.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.clones import Clone, cloned
from tests.conftest import ROOT
from tests.migrations.copies import NEWEST
from tests.migrations.further import FILE
from tests.world.services.pgbouncer import pgbouncer
from tests.world.services.postgresql import ICU, Cluster, postgresql

pytestmark = pytest.mark.xdist_group("operating")
PAGE = (ROOT / "docs/migrations.md").read_text()
AT_ONCE, WAIT_SECONDS = 3, 60.0
CONCURRENTLY = """    with op.get_context().autocommit_block():
        op.drop_index("ix_books_stock", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_books_stock", "books", ["stock"], postgresql_concurrently=True)
"""
COLUMN = '    op.execute("ALTER TABLE users ADD COLUMN note text")'


@pytest.fixture
def clone() -> Iterator[Clone]:
    """A fresh clone."""
    with cloned() as made:
        yield made


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL."""
    with postgresql(*ICU) as started:
        yield started


def type_in(clone: Clone, command: str, url: str) -> str:
    """Type a command of the page, which succeeds; what it says."""
    assert command in PAGE
    owner = {"DATABASE_URL": url, "OWNER_URL": url.replace("+psycopg", "")}
    done = clone.run(command.replace("python -m", ".venv/bin/python -m"), **owner)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_migrations_by_hand(clone: Clone, cluster: Cluster) -> None:
    """What is written out is applied by psql; it can be undone; and the server says which revision it has and wants."""
    url = cluster.create_database("by_hand")
    assert NEWEST in type_in(clone, "python -m alembic history", url)
    type_in(clone, "python -m alembic upgrade heads --sql > migrations.sql", url)
    type_in(clone, 'psql --set ON_ERROR_STOP=1 --file migrations.sql "$OWNER_URL"', url)
    assert NEWEST in type_in(clone, "python -m alembic current", url).split()
    type_in(clone, "python -m alembic upgrade 0001:0002 --sql > newer.sql", url)
    text = (clone.directory / "newer.sql").read_text()
    assert re.search(r"UPDATE alembic_version SET version_num='0002'", text)
    assert "CREATE TABLE charge_points" in text
    assert "CREATE TABLE books" not in text
    type_in(clone, "python -m alembic downgrade project@-1", url)
    assert NEWEST not in type_in(clone, "python -m alembic current", url).split()


def test_an_index_that_is_made_concurrently_is_written_out(clone: Clone, cluster: Cluster) -> None:
    """Outside of a transaction, so that psql can run it; a database made by it is as one that was migrated."""
    add(clone.directory, "one", NEWEST, CONCURRENTLY)
    url = cluster.create_database("concurrently_by_hand")
    type_in(clone, "python -m alembic upgrade heads --sql > migrations.sql", url)
    type_in(clone, 'psql --set ON_ERROR_STOP=1 --file migrations.sql "$OWNER_URL"', url)
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_books_stock'::regclass"
    assert cluster.execute(valid, "concurrently_by_hand") == [(True,)]
    assert "one" in type_in(clone, "python -m alembic current", url)


def add(directory: Path, revision: str, before: str, upgrade: str) -> None:
    """Write one more migration."""
    file = directory / f"alembic/versions/{revision}.py"
    file.write_text(FILE.format(revision=revision, before=before, upgrade=upgrade, downgrade="    pass"))


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_several_migrators_wait_behind_a_pooler(clone: Clone, cluster: Cluster, mode: str) -> None:
    """For each other, through an index that is made concurrently, and for a lock that somebody holds.

    Who it is stands in the log.
    """
    name = f"at_once_{mode}"
    cluster.create_database(name)
    add(clone.directory, "one", NEWEST, CONCURRENTLY)
    with pgbouncer(cluster, mode=mode) as pooler:
        settings = {"DATABASE_URL": pooler.url(name)}
        first = clone.run(f".venv/bin/python -m alembic upgrade {NEWEST}", **settings)
        assert first.returncode == 0, first.stdout
        add(clone.directory, "two", "one", COLUMN)
        with psycopg.connect(cluster.url(name).replace("+psycopg", ""), autocommit=True) as user:
            user.execute("BEGIN")
            user.execute("SELECT count(*) FROM users")
            started = [migrator(clone, settings, number) for number in range(AT_ONCE)]
            wait_until_told(clone, started)
            user.execute("ROLLBACK")
            assert [one.wait(WAIT_SECONDS) for one in started] == [0] * AT_ONCE, said(clone)
            holder = user.info.backend_pid
    assert f"(process {holder} of " in said(clone)
    assert ("two",) in cluster.execute("SELECT version_num FROM alembic_version", name)
    assert cluster.execute("SELECT count(*) FROM pg_attribute WHERE attname = 'note'", name) == [(1,)]


def migrator(clone: Clone, settings: dict[str, str], number: int) -> "subprocess.Popen[bytes]":
    """One that has begun; what it says is in a file."""
    command = f"exec .venv/bin/python -m alembic upgrade heads > {number}.log 2>&1"
    return subprocess.Popen(["bash", "-c", command], cwd=clone.directory, env=clone.environment(settings))  # noqa: S607  the shell of a reader


def said(clone: Clone) -> str:
    """What all of them have said."""
    return "".join(file.read_text() for file in sorted(clone.directory.glob("*.log")))


def wait_until_told(clone: Clone, started: "list[subprocess.Popen[bytes]]") -> None:
    """Return when one has said that it gets no lock."""
    deadline = time.monotonic() + WAIT_SECONDS
    while "no lock for" not in said(clone):
        assert time.monotonic() < deadline, said(clone)
        assert any(one.poll() is None for one in started), said(clone)
        time.sleep(0.05)
