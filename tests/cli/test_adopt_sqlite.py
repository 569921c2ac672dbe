"""`rowhouse adopt` with tables that only SQLite accepts: keys that are null, and references that lead nowhere."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run, sqlite_file


@pytest.mark.usefixtures("untried")
def test_a_key_that_the_database_does_not_make(run: Run, project: Path, tmp_path: Path) -> None:
    """Descending, it is no alias of the row's number; without a number it may be null."""
    url = sqlite_file(
        tmp_path,
        "CREATE TABLE bed (id INTEGER PRIMARY KEY DESC, v INTEGER)",
        "CREATE TABLE lamp (id INTEGER PRIMARY KEY ASC, v INTEGER)",
        "CREATE TABLE sofa (code TEXT PRIMARY KEY, v INTEGER)",
        "INSERT INTO sofa VALUES ('a', 1), (NULL, 2)",
        'CREATE TABLE chair ("room no" TEXT, number INTEGER, PRIMARY KEY ("room no", number))',
        "INSERT INTO chair VALUES ('a', NULL)",
        "CREATE TABLE stool (code TEXT PRIMARY KEY)",
        "INSERT INTO stool VALUES ('a')",
    )
    done = run("adopt", url, "--writable")
    assert done.exit_code == 0, done.output
    models = (project / "backend/app/models.py").read_text("utf-8")
    assert "    id: int = Field(primary_key=True, sa_type=sa.BigInteger)\n" in models.partition("class Bed")[2]
    assert "    id: int | None = Field(default=None, primary_key=True" in models.partition("class Lamp")[2]
    assert done.output.partition("Left out:\n")[2].splitlines()[:2] == [
        "    chair: it has rows without a room no or number, so no path could name them",
        "    sofa: it has rows without a code, so no path could name them",
    ]
    assert "class Stool(" in models


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize("words", [("--writable",), ()])
def test_a_table_that_cannot_be_written(run: Run, project: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """A reference to nothing or to a column that is not unique, and a trigger with an unknown function."""
    url = sqlite_file(
        tmp_path,
        "CREATE TABLE bill (id INTEGER PRIMARY KEY, v INTEGER)",
        "CREATE TABLE line (id INTEGER PRIMARY KEY, bill INTEGER REFERENCES bill, lost INTEGER REFERENCES missing)",
        "CREATE TABLE city (id INTEGER PRIMARY KEY, code TEXT)",
        "CREATE TABLE shop (id INTEGER PRIMARY KEY, code TEXT REFERENCES city(code))",
        'CREATE TABLE "lo""g" (id INTEGER PRIMARY KEY)',
        'CREATE TRIGGER t AFTER INSERT ON "lo""g" BEGIN SELECT foreign_function(NEW.id); END',
    )
    done = run("adopt", url, *words)
    assert done.exit_code == 0, done.output
    mismatch = 'foreign key mismatch - "shop" referencing "city"'
    for table, path, fault in (
        ("city", "cities", mismatch),
        ("shop", "shops", mismatch),
        ("line", "lines", "no such table: main.missing"),
        ('lo"g', "lo-gs", "no such function: foreign_function"),
    ):
        assert f"    {table}  /api/v1/{path} (read-only: SQLite cannot write to it: {fault})\n" in done.output
    assert "    bill  /api/v1/bills\n" in done.output
    api = (project / "backend/app/api.py").read_text("utf-8")
    for name in ("City", "Shop", "Line"):
        assert f'registry.register({name}, write=ADMIN, operations=("list", "get"))\n' in api
    assert ("registry.register(Bill, write=ADMIN)\n" in api) == bool(words)
