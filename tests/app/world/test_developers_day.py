"""Runs the developer's part of docs/migrations.md in a fresh clone on PostgreSQL, and compares the files it shows."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rowhouse.cli import lint_migrations
from tests.clones import Clone, cloned
from tests.commands import BLOCK, REMARK
from tests.conftest import ROOT
from tests.migrations.further import Chain, make_chain

__all__ = ["make_chain"]  # a fixture
pytestmark = pytest.mark.xdist_group("day")
PAGE = (ROOT / "docs/migrations.md").read_text()
DAY, OPERATOR = PAGE.split("## The operator's day")
FILES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SPLIT, INDEX, BACKFILL, NOT_NULL = FILES
# What the page says that an empty file is to begin with.
IMPORTS = "".join(f"{line}\n" for line in re.findall(r"`((?:import|from) [^`]+)`", DAY)) + "\n"
CLASS = '''

class Publisher(Entity, table=True):
    """A publishing house."""

    name: str = Field(min_length=1, max_length=100, unique=True)
    founded: int | None = Field(default=None, index=True)
'''
FOUNDED = "    founded: int | None = Field(default=None, index=True)\n"
SINCE = "    since: int | None = Field(default=None, index=True)\n"
CITY, TOWN = "    city: str | None = None\n", "    town: str | None = None\n"
COUNTRY = "    country: str | None = None\n"
NEEDED = '    country: str = Field(default="Germany")\n'


class Day:
    """A clone with a class that changes, and a row of it."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.models = clone.directory / "backend/app/catalog/models.py"

    def change(self, before: str, after: str) -> None:
        """Change the class."""
        text = self.models.read_text()
        assert before in text
        self.models.write_text(text.replace(before, after))

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Run SQL on the database; the rows."""
        with sqlite3.connect(self.clone.directory / "data/rowhouse.db") as connection:
            found = connection.execute(statement).fetchall()
        connection.close()
        return found

    def newest(self, pattern: str) -> Path:
        """The file of a migration."""
        (found,) = (self.clone.directory / "alembic/versions").glob(pattern)
        return found

    def fill_the_split(self) -> None:
        """Write what the page has into the empty file, and the class as it is then."""
        file = self.newest("*_split_city.py")
        text = re.sub(
            r"def upgrade.*?\n\n\n", lambda _found: f"{SPLIT}\n\n", file.read_text(), count=1, flags=re.DOTALL
        )
        assert "town" in text
        text = text.replace("revision = ", f"{IMPORTS}revision = ", 1)
        file.write_text(text)
        self.change(CITY, CITY + TOWN + COUNTRY)


Step = Callable[[Day], object]


def new(day: Day) -> None:
    """The class."""
    day.models.write_text(day.models.read_text() + CLASS)
    table = day.clone.directory / "backend/app/api.py"
    register = "register(Publisher, read=ANYONE, write=ADMIN)\n"
    table.write_text(f"from app.catalog.models import Publisher\n{table.read_text()}{register}")


# What is changed before each command of the block, and what is there after it.
STEPS: list[tuple[Step, str, list[tuple[object, ...]]]] = [
    (new, "SELECT count(*) FROM publishers", [(0,)]),
    (lambda day: day.change(FOUNDED, FOUNDED + CITY), "SELECT name, founded, city FROM publishers", [("Cotta", 1659, "Ulm, Germany")]),
    (lambda day: day.change(FOUNDED, SINCE), "SELECT since FROM publishers", [(1659,)]),
    (lambda _day: None, "SELECT city FROM publishers", [("Ulm, Germany",)]),
    (Day.fill_the_split, "SELECT town, country FROM publishers ORDER BY id", [("Ulm", "Germany"), ("Basel", None)]),
    (lambda day: day.change(COUNTRY, NEEDED), "SELECT country FROM publishers ORDER BY id", [("Germany",), ("Germany",)]),
    (lambda day: day.change(CITY, ""), "SELECT city FROM publishers ORDER BY id", [("Ulm, Germany",), ("Basel",)]),
    (lambda _day: None, "SELECT name, since, town, country FROM publishers WHERE name = 'Cotta'", [("Cotta", 1659, "Ulm", "Germany")]),
]  # fmt: skip
# Rows that somebody stores after a command.
STORED = {
    0: "INSERT INTO publishers (name, founded, created_at, updated_at) VALUES ('Cotta', 1659, '2026-01-01', '2026-01-01')",
    3: "INSERT INTO publishers (name, city, created_at, updated_at) VALUES ('Schwabe', 'Basel', '2026-01-01', '2026-01-01')",
}
COMMANDS = [REMARK.sub("", line) for line in BLOCK.findall(DAY)[0].strip().splitlines()]


@pytest.fixture(scope="module")
def day() -> Iterator[Day]:
    """A fresh clone."""
    with cloned() as clone:
        yield Day(clone)


def test_the_developers_day(day: Day) -> None:
    """Each command of the block, after the change that stands behind it; no value is lost that no command has named."""
    assert len(COMMANDS) == len(STEPS)
    for number, (command, (change, question, rows)) in enumerate(zip(COMMANDS, STEPS, strict=True)):
        change(day)
        done = day.clone.run(command)
        assert done.returncode == 0, (command, done.stdout)
        if number == 1:
            day.ask("UPDATE publishers SET city = 'Ulm, Germany'")
        assert day.ask(question) == rows, (command, done.stdout)
        if number in STORED:
            day.ask(STORED[number])
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        day.ask("SELECT city FROM publishers")
    checked = day.clone.run(
        ".venv/bin/python -m alembic check && .venv/bin/ruff check alembic backend/app/catalog && .venv/bin/python -m scripts.lint_migrations"
    )
    assert checked.returncode == 0, checked.stdout


def further(chain: Chain, revision: str, text: str) -> None:
    """Write a file of the page as it stands, below the head that every migration has."""
    chain.add(revision, "pass")
    file = chain.folder / f"alembic/versions/{revision}.py"
    file.write_text(
        f"import sqlalchemy as sa\n{file.read_text().partition('def upgrade')[0]}{text}\n\ndef downgrade() -> None:\n    pass\n"
    )


def test_the_files_for_large_tables_do_what_they_are_for(
    make_chain: Callable[[str], Chain], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL; the first even where it has failed before, and squawk passes all of them."""
    chain = make_chain("postgresql")
    chain.run(
        "INSERT INTO categories (name, created_at, updated_at) VALUES ('a', now(), now());"
        "INSERT INTO books (title, author, price, stock, category_id, created_at, updated_at)"
        " SELECT 'T' || n, 'A', 1, 1, 1, now(), now() FROM generate_series(1, 7) AS n"
    )
    further(chain, "one", INDEX)
    further(chain, "two", BACKFILL.replace("LIMIT 5000", "LIMIT 3"))
    further(chain, "three", NOT_NULL)
    leave_an_invalid_index(chain)
    chain.upgrade()
    assert invalid(chain) == []
    assert chain.ask("SELECT count(*) FROM books WHERE cover_image = '/none.png'") == [7]
    assert chain.ask("SELECT attnotnull FROM pg_attribute WHERE attname = 'cover_image'") == [True]
    monkeypatch.chdir(chain.folder)
    shutil.copy(ROOT / ".squawk.toml", chain.folder)
    assert lint_migrations.main([]) == 0


def test_the_first_two_run_on_sqlite_too(make_chain: Callable[[str], Chain]) -> None:
    """Where nothing is concurrent, and nothing stands in the way."""
    chain = make_chain("sqlite")
    further(chain, "one", INDEX)
    further(chain, "two", BACKFILL)
    chain.upgrade()
    with sqlite3.connect(str(sa.make_url(chain.url).database)) as connection:
        assert ("two",) in connection.execute("SELECT version_num FROM alembic_version").fetchall()
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ix_books_stock'").fetchall() == [(1,)]
    connection.close()


def leave_an_invalid_index(chain: Chain) -> None:
    """Fail as `CREATE INDEX CONCURRENTLY` does; the page's query finds what that leaves."""
    with pytest.raises(Exception, match="could not create unique index"):
        chain.run("CREATE UNIQUE INDEX CONCURRENTLY ix_books_stock ON books (stock)")
    assert invalid(chain) == ["ix_books_stock"]


def invalid(chain: Chain) -> list[object]:
    """What the query of the page finds."""
    (query,) = re.findall(r"^```sql\n(.*?)^```", OPERATOR, re.DOTALL | re.MULTILINE)
    return chain.ask(query)
