"""`rowhouse migrate` in development: which changes it applies, which it only writes, and its questions."""

import contextlib
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from rowhouse.cli import migrate
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.migrations.templates import create_missing
from tests.conftest import ROOT, alembic_config
from tests.databases import Databases
from tests.fork_server import forks
from tests.migrations.migrator import WITHIN
from tests.migrations.migrator import run as migrate_in_process

LOSES_NAME = "\n    prices.name: its values\nLook at it, then run rowhouse migrate."


class Day:
    """A project in a temporary directory, whose models change."""

    def __init__(self, root: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (root / "alembic/versions").mkdir(parents=True)
        for name in ("alembic.ini", "alembic/env.py", "alembic/script.py.mako"):
            shutil.copy(ROOT / name, root / name)
        self.root = root
        monkeypatch.chdir(root)
        monkeypatch.setenv("DATABASE_URL", url)
        self.engine = create_engine(Settings())
        self.models()

    def models(self, *columns: sa.Column[Any] | sa.Constraint) -> None:
        """Declare a table of prices with these columns besides its key, or no table."""
        metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
        if columns:
            sa.Table("prices", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
        self.metadata = metadata

    def run(self, words: list[str]) -> int:
        """Run the command and return its exit status."""
        return migrate.run(words, metadata=self.metadata)

    @property
    def config(self) -> Config:
        """The configuration of Alembic."""
        return alembic_config(self.root)

    @property
    def files(self) -> set[str]:
        """Return the names of the migrations."""
        return {path.name for path in (self.root / "alembic/versions").glob("*.py")}

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL and return the rows."""
        with self.engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []


@pytest.fixture
def day(backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Day]:
    """A project with one class and a row of it."""
    made = Day(tmp_path / "shop", databases.empty(backend), monkeypatch)
    made.models(name())
    assert made.run(["--start"]) == 0
    made.execute("INSERT INTO prices (id, name) VALUES (1, 'oak')")
    yield made
    made.engine.dispose()


def name(column: str = "name", length: int = 50, *, nullable: bool = True) -> sa.Column[str]:
    """Return a text column."""
    return sa.Column(column, sa.String(length), nullable=nullable)


def test_what_only_adds_is_applied_unasked(day: Day) -> None:
    """A column with a default too. Its rows are filled."""
    day.models(name(), sa.Column("active", sa.Boolean, nullable=False, default=True))
    assert day.run(["--start"]) == 0
    assert day.execute("SELECT name, active FROM prices") in ([("oak", True)], [("oak", 1)])
    assert day.run(["--start"]) == 0
    assert len(day.files) == 2


def test_comments_are_applied_unasked(day: Day, backend: str) -> None:
    """A start on PostgreSQL does not fail because SQLite, where the migration was written, has no comments."""

    def commented(comment: str | None) -> None:
        day.models(sa.Column("name", sa.String(50), comment=comment))
        day.metadata.tables["prices"].comment = comment

    for comment in ("first", "second", None):
        commented(comment)
        assert day.run(["--start"]) == 0
        assert day.run(["--start"]) == 0
    assert len(day.files) == (4 if backend == "postgresql" else 1)
    assert sum("change_comments" in file for file in day.files) == len(day.files) - 1


def test_what_loses_something_is_applied_by_a_second_command_alone(
    day: Day, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a start nor another message applies it."""
    day.models(name("title"))
    assert day.run(["no more names", "--drop", "prices.name"]) == 0
    shown = capsys.readouterr().out
    assert "def upgrade() -> None:" in shown
    assert f"It is not applied, for it loses{LOSES_NAME}" in shown
    before = day.files
    for words in (["--start"], ["once more"]):
        assert day.run(words) == 1
        assert f"is not applied, for it loses{LOSES_NAME}" in capsys.readouterr().out
        assert day.execute("SELECT name FROM prices") == [("oak",)]
    assert day.run([]) == 0
    assert day.execute("SELECT title FROM prices") == [(None,)]
    assert day.files == before


def test_a_change_that_loses_something_wants_a_message(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one nothing is written."""
    day.models(sa.Column("note", sa.Integer))
    assert day.run([]) == 1
    said = capsys.readouterr().out
    assert "That would lose\n    prices.name: its values\nRun rowhouse migrate" in said
    assert len(day.files) == 1


def test_a_change_that_loses_nothing_is_applied_with_its_message(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as a wider type. A start only reports that the models have changed."""
    day.models(name(length=80))
    assert day.run(["--start"]) == 1
    assert 'The models have changed. Run rowhouse migrate "what changed".' in capsys.readouterr().out
    assert day.run(["longer names"]) == 0
    assert day.execute("SELECT name FROM prices") == [("oak",)]
    assert any(one.endswith("_longer_names.py") for one in day.files)


def test_a_rename_is_asked_about_at_a_terminal(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer decides. Without a terminal the options do."""
    day.models(name("title"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    assert day.run(["title instead of name"]) == 0
    assert asked == ["Is prices.title the former prices.name, with its values? [y/N] "]
    assert day.execute("SELECT title FROM prices") == [("oak",)]


def test_without_a_terminal_the_words_decide(
    day: Day, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without options nothing is written."""
    day.models(name("title"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    assert day.run(["title instead of name"]) == 1
    assert "If it was renamed, add --rename prices.name=title" in capsys.readouterr().err
    assert len(day.files) == 1
    assert day.run(["title instead of name", "--rename", "prices.name=title"]) == 0
    assert day.execute("SELECT title FROM prices") == [("oak",)]


@pytest.mark.parametrize("words", [["--rename", "prices.name"], ["--drop", "prices."], ["--rename", "prices.x=y"]])
def test_words_of_another_form_are_refused(day: Day, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the right form, or the name that does not exist."""
    day.models(name("title"))
    assert day.run(["title", *words]) == 1
    assert words[1] in capsys.readouterr().err
    assert len(day.files) == 1


def test_a_file_that_could_not_be_applied_is_removed(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says why. The database stays as it was, and the next start works."""
    day.execute("INSERT INTO prices (id, name) VALUES (2, 'oak')")
    day.models(sa.Column("name", sa.String(50), unique=True))
    assert day.run(["one name once"]) == 1
    said = capsys.readouterr().err
    assert "could not be applied and was deleted; the database is as it was" in said
    assert "Rowhouse cannot migrate" in said
    assert len(day.files) == 1
    day.models(name())
    assert day.run(["--start"]) == 0
    assert day.execute("SELECT count(*) FROM prices") == [(2,)]


def test_a_file_of_somebody_else_that_cannot_be_applied_is_named(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what to do. Nothing of it is applied."""
    assert day.run([]) == 0
    day.models(name(), name("note"))
    assert day.run(["a note"]) == 0
    (path,) = (day.root / "alembic/versions").glob("*_a_note.py")
    path.write_text(path.read_text().replace('"note"', '"name"'))
    (first,) = day.files - {path.name}
    command.stamp(day.config, first.split("_")[3])
    assert day.run([]) == 1
    assert f"Nothing was applied of: alembic/versions/{path.name}. Correct the file" in capsys.readouterr().err


def test_a_file_whose_change_does_not_fit_the_rows_is_named(
    day: Day, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both databases reject it. The values stay."""
    day.models(name(length=2))
    assert day.run(["shorter"]) == 0
    assert day.run([]) == 1
    said = capsys.readouterr().err
    assert "Nothing was applied of: alembic/versions/" in said
    reason = "prices.name: 1 rows have a value that does not fit" if backend == "sqlite" else "value too long for type"
    assert "Rowhouse cannot migrate" in said
    assert reason in said
    assert day.execute("SELECT name FROM prices") == [("oak",)]


def test_a_second_file_of_one_day_and_message_is_another_file(day: Day) -> None:
    """Its name contains its revision."""
    for number in range(3):
        day.models(name(), *(name(f"note_{one}") for one in range(number + 1)))
        assert day.run(["add a note"]) == 0
    assert len(day.files) == 4
    assert day.execute("SELECT name, note_0, note_1, note_2 FROM prices") == [("oak", None, None, None)]


def test_a_column_that_nothing_fills_is_refused_before_anything_is_written(
    day: Day, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what to write."""
    day.models(name(), name("city", nullable=False))
    for words in (["--start"], ["cities"]):
        assert day.run(words) == 1
        assert "prices.city is NOT NULL, and prices has rows that nothing fills" in capsys.readouterr().err
    assert len(day.files) == 1


def test_a_foreign_key_that_leads_nowhere_is_refused_before_anything_is_written(
    day: Day, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the column and the fix. The traceback is for those who debug."""
    day.models(sa.Column("shop_id", sa.Integer, sa.ForeignKey("shop.id")))
    for level in ("error", "debug"):
        monkeypatch.setenv("LOG_LEVEL", level)
        before = day.files
        assert day.run(["add shops"]) == 1
        assert day.files == before
        said = capsys.readouterr().err
        assert said.startswith("Traceback") is (level == "debug")
        assert "Rowhouse cannot migrate. RegistrationError: prices.shop_id refers to the table shop, which no" in said


def test_an_empty_migration_follows_the_newest_one(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """It is written and not applied. Without a message nothing is written."""
    assert day.run(["split name", "--empty"]) == 0
    (path,) = (day.root / "alembic/versions").glob("*_split_name.py")
    assert f"Wrote alembic/versions/{path.name}. Fill it in" in capsys.readouterr().out
    (first,) = day.files - {path.name}
    assert f'down_revision = "{first.split("_")[3]}"' in path.read_text()
    assert day.run(["--check"]) == 1
    with pytest.raises(SystemExit):
        day.run(["--empty"])


def test_the_first_migration_begins_the_projects_branch(day: Day) -> None:
    """It depends on the engine's newest one. Later ones follow it, and all are in the project."""
    day.models(name(), name("note"))
    assert day.run(["--start"]) == 0
    first, second = [
        (day.root / "alembic/versions" / file).read_text()
        for file in sorted(day.files, key=lambda file: "add_prices.py" not in file)
    ]
    assert re.search(r"^branch_labels = .*\bproject\b", first, re.MULTILINE), first
    assert "down_revision = None" in first
    assert re.search(r"^depends_on = .*\browhouse_0003\b", first, re.MULTILINE), first
    assert "depends_on = None" in second
    (stored,) = day.execute("SELECT version_num FROM alembic_version")
    assert f'revision = "{stored[0]}"' in second


def test_two_migrations_after_the_same_one_are_refused(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the files."""
    for message in ("one", "two"):
        assert day.run([message, "--empty"]) == 0
        (path,) = (day.root / "alembic/versions").glob(f"*_{message}.py")
        path.write_text(re.sub(r"down_revision = .*", "down_revision = None", path.read_text()))
        if message == "one":
            path.rename(path.with_suffix(".hidden"))
    path.with_name(path.name).exists()
    (hidden,) = (day.root / "alembic/versions").glob("*.hidden")
    hidden.rename(hidden.with_suffix(".py"))
    assert day.run(["three", "--empty"]) == 1
    assert "follow the same migration; set down_revision" in capsys.readouterr().err


DIES = "    import os\n\n    os.kill(os.getpid(), 9)\n"


def test_a_migrator_that_is_killed_changes_nothing(day: Day, tmp_path: Path) -> None:
    """The table is as it was, and the next migrator applies the file."""
    day.models(name(length=10))
    assert day.run(["shorter names"]) == 0  # written, and not applied
    (path,) = (day.root / "alembic/versions").glob("*_shorter_names.py")
    written = path.read_text()
    path.write_text(written.replace("\n\ndef downgrade", f"{DIES}\n\ndef downgrade"))
    (log := tmp_path / "log").touch()
    url = str(day.engine.url.render_as_string(hide_password=False))
    migrator = forks.Process(
        target=migrate_in_process, args=(str(day.root / "alembic.ini"), url, str(log)), daemon=True
    )
    with contextlib.chdir(ROOT):  # processes may be forked from one that starts here
        migrator.start()
    migrator.join(WITHIN)
    assert migrator.exitcode == -signal.SIGKILL, log.read_text()
    path.write_text(written)
    assert length_of_names(day) == 50
    assert day.execute("SELECT id, name FROM prices") == [(1, "oak")]
    assert day.run([]) == 0
    assert length_of_names(day) == 10
    assert day.execute("SELECT id, name FROM prices") == [(1, "oak")]


def length_of_names(day: Day) -> int:
    """Return the length of the column that holds names."""
    (column,) = (one for one in sa.inspect(day.engine).get_columns("prices") if one["name"] == "name")
    return int(column["type"].length)  # type: ignore[attr-defined]  # it is a text


def test_a_new_project_gets_its_files(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In development only, and once the application is known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("DATABASE_URL", databases.empty("sqlite"))
    monkeypatch.setenv("ROWHOUSE_APP", "new_project:app")
    assert migrate.run([]) == 1
    assert "there is no module new_project; name the application in pyproject.toml" in capsys.readouterr().err
    (tmp_path / "new_project.py").write_text("")
    assert migrate.run([], metadata=sa.MetaData()) == 0
    assert capsys.readouterr().out == "Created alembic.ini, alembic/env.py, alembic/script.py.mako; commit them.\n"
    assert migrate.run(["--check"]) == 0
    (tmp_path / "alembic.ini").unlink()
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    assert migrate.run([]) == 1
    assert "there is no alembic.ini in" in capsys.readouterr().err


def test_a_missing_template_of_migrations_is_created(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, with the first migration: `rowhouse new` leaves it out."""
    day = Day(tmp_path / "shop", databases.empty("sqlite"), monkeypatch)
    (day.root / "alembic/script.py.mako").unlink()
    assert create_missing(day.root, module="app.api", source="backend", template=False) == []
    assert day.run(["one", "--empty"]) == 0
    assert capsys.readouterr().out.startswith("Created alembic/script.py.mako; commit it.\n")
    assert (day.root / "alembic/script.py.mako").read_text() == (ROOT / "alembic/script.py.mako").read_text()
    assert day.run(["two", "--empty"]) == 0
    assert "Created" not in capsys.readouterr().out
    day.engine.dispose()


def test_this_repository_has_the_files_of_a_new_project(tmp_path: Path) -> None:
    """So these tests apply to it. Its `alembic/env.py` also works without the product."""
    assert create_missing(tmp_path, module="app.api", source="backend") == [
        "alembic.ini",
        "alembic/env.py",
        "alembic/script.py.mako",
    ]
    for name in ("alembic.ini", "alembic/script.py.mako"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), name
    *_, last = (tmp_path / "alembic/env.py").read_text().splitlines()
    assert last == (ROOT / "alembic/env.py").read_text().splitlines()[-1]
    assert create_missing(tmp_path, module="app.api") == []
