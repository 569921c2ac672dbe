"""Runs docs/operating.md as it is written.

Migrations by the owner, a server with data rights only, and backups that can be restored.
"""

import re
import sqlite3
from collections.abc import Iterator

import pytest

from tests.clones import Clone
from tests.conftest import ROOT
from tests.world.services.postgresql import ICU, Cluster, postgresql

pytestmark = pytest.mark.xdist_group("operating")
PAGE = (ROOT / "docs/operating.md").read_text()
MIGRATE = "ENVIRONMENT=production DATABASE_URL=$OWNER_URL scripts/migrate"
SERVE = "scripts/serve --workers 4"
SQL_OF_MIGRATIONS = "python -m alembic upgrade heads --sql"
DUMP = 'pg_dump --format=custom --file=backup.dump "$OWNER_URL"'
RESTORE = 'pg_restore --clean --if-exists --dbname="$OWNER_URL" backup.dump'
SECRET = "a-secret-of-the-tests-that-is-long-enough"
BOSS = "boss@example.com"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL with the two roles of the page."""
    with postgresql(*ICU) as started:
        started.execute("CREATE ROLE shop_owner LOGIN")
        started.execute("CREATE DATABASE shop OWNER shop_owner")
        yield started


def succeed(clone: Clone, command: str, **settings: str) -> str:
    """Type a command that succeeds; what it says."""
    assert command in PAGE
    done = clone.run(command.replace("python -m", ".venv/bin/python -m"), **settings)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_production_starts_in_two_steps_and_is_restored(clone: Clone, cluster: Cluster) -> None:
    """The owner migrates, a role with data rights serves in four processes, and a dump brings a deleted row back."""
    owner = cluster.url("shop", role="shop_owner")
    succeed(clone, MIGRATE, OWNER_URL=owner, JWT_SECRET=SECRET)
    (grants,) = re.findall(r"^```sql\n(CREATE ROLE shop_server.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    cluster.execute(grants, "shop")
    settings = {
        "DATABASE_URL": cluster.url("shop", role="shop_server"),
        "JWT_SECRET": SECRET,
        "ENVIRONMENT": "production",
    }
    made = clone.run(f"scripts/create-admin --email {BOSS}", **settings, ADMIN_PASSWORD="correct-horse")
    assert made.returncode == 0, made.stdout
    assert SERVE in PAGE
    given = " ".join(f"{name}={value}" for name, value in settings.items())
    with clone.started(f"{given} {SERVE}") as server:
        login = clone.run(f"curl -sf {clone.url}/api/v1/auth/login -d username={BOSS} -d password=correct-horse")
        assert "access_token" in login.stdout, server.output()
    plain = owner.replace("+psycopg", "")
    succeed(clone, DUMP, OWNER_URL=plain)
    cluster.execute("DELETE FROM users", "shop")
    succeed(clone, RESTORE, OWNER_URL=plain)
    assert cluster.execute("SELECT email FROM users", "shop") == [(BOSS,)]


def test_the_sql_of_the_migrations_makes_the_tables(clone: Clone, cluster: Cluster) -> None:
    """What `--sql` writes is SQL that the owner of an empty database can run."""
    cluster.execute("CREATE DATABASE by_hand OWNER shop_owner")
    url = cluster.url("by_hand", role="shop_owner")
    done = clone.run(f".venv/bin/{SQL_OF_MIGRATIONS} 2>/dev/null > migrations.sql", DATABASE_URL=url)
    assert done.returncode == 0, done.stdout
    applied = clone.run(f"psql --quiet --set ON_ERROR_STOP=1 --file migrations.sql {url.replace('+psycopg', '')}")
    assert applied.returncode == 0, applied.stdout
    assert cluster.execute("SELECT count(*) FROM books", "by_hand") == [(0,)]


def test_a_sqlite_file_is_backed_up_while_it_is_served(clone: Clone) -> None:
    """Each line of the block makes a file that holds every book, also those that were written last."""
    (block,) = re.findall(r"^```sh\n(sqlite3 .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    with clone.started():
        for line in block.strip().splitlines():
            done = clone.run(line)
            assert done.returncode == 0, done.stdout
            backup, live = clone.directory / "backup.db", clone.directory / "data/rowhouse.db"
            counts = [count_of_books(str(path)) for path in (backup, live)]
            assert counts[0] == counts[1] > 100
            backup.unlink()


def count_of_books(path: str) -> int:
    """How many books a file of SQLite holds."""
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM books").fetchone()[0])
    finally:
        connection.close()
