"""A developer's day with `scripts/migrate`: what it applies, what it only writes, what it asks, and what it leaves behind."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.db.integrity import NAMING_CONVENTION
from scripts import migrate
from tests.conftest import ROOT
from tests.databases import Databases

LOSES_NAME = "\n    prices.name: its values\nLook at it, then run scripts/migrate."


class Day:
    """A project in a temporary directory, whose models change."""

    def __init__(self, root: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        (root / "alembic/versions").mkdir(parents=True)
        for name in ("alembic.ini", "alembic/env.py", "alembic/script.py.mako"):
            shutil.copy(ROOT / name, root / name)
        self.root, self._patch = root, monkeypatch
        monkeypatch.setattr(migrate, "ROOT", root)
        monkeypatch.setenv("DATABASE_URL", url)
        self.engine = create_engine(Settings())
        self.models()

    def models(self, *columns: sa.Column[Any] | sa.Constraint) -> None:
        """Have a table of prices with these columns beside its key, and no other; without any, no table."""
        metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
        if columns:
            sa.Table("prices", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
        self._patch.setattr(migrate, "SQLModel", SimpleNamespace(metadata=metadata))

    @property
    def config(self) -> Config:
        """Alembic's configuration."""
        config = Config(self.root / "alembic.ini")
        config.set_main_option("script_location", str(self.root / "alembic"))
        return config

    @property
    def files(self) -> set[str]:
        """The names of the migrations."""
        return {path.name for path in (self.root / "alembic/versions").glob("*.py")}

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL; the rows."""
        with self.engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []


@pytest.fixture
def day(backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Day]:
    """The first thing that a developer does: a class, and a row of it."""
    made = Day(tmp_path / "shop", databases.empty(backend), monkeypatch)
    made.models(name())
    assert migrate.run(["--start"]) == 0
    made.execute("INSERT INTO prices (id, name) VALUES (1, 'oak')")
    yield made
    made.engine.dispose()


def name(column: str = "name", length: int = 50, *, nullable: bool = True) -> sa.Column[str]:
    """A column of text."""
    return sa.Column(column, sa.String(length), nullable=nullable)


def test_what_only_adds_is_applied_unasked(day: Day) -> None:
    """A column with a default too; its rows are filled."""
    day.models(name(), sa.Column("active", sa.Boolean, nullable=False, default=True))
    assert migrate.run(["--start"]) == 0
    assert day.execute("SELECT name, active FROM prices") in ([("oak", True)], [("oak", 1)])
    assert migrate.run(["--start"]) == 0
    assert len(day.files) == 2


def test_what_loses_something_is_applied_by_a_second_command_alone(
    day: Day, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a start nor another message applies it."""
    day.models(name("title"))
    assert migrate.run(["no more names", "--drop", "prices.name"]) == 0
    shown = capsys.readouterr().out
    assert "def upgrade() -> None:" in shown
    assert f"It is not applied, for it loses{LOSES_NAME}" in shown
    before = day.files
    for words in (["--start"], ["once more"]):
        assert migrate.run(words) == 1
        assert f"is not applied, for it loses{LOSES_NAME}" in capsys.readouterr().out
        assert day.execute("SELECT name FROM prices") == [("oak",)]
    assert migrate.run([]) == 0
    assert day.execute("SELECT title FROM prices") == [(None,)]
    assert day.files == before


def test_a_change_that_loses_something_wants_a_message(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one nothing is written."""
    day.models(sa.Column("note", sa.Integer))
    assert migrate.run([]) == 1
    said = capsys.readouterr().out
    assert "That would lose\n    prices.name: its values\nRun scripts/migrate" in said
    assert len(day.files) == 1


def test_a_change_that_loses_nothing_is_applied_with_its_message(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """A wider type, say; a start only says that the models have changed."""
    day.models(name(length=80))
    assert migrate.run(["--start"]) == 1
    assert 'The models have changed. Run scripts/migrate "what changed".' in capsys.readouterr().out
    assert migrate.run(["longer names"]) == 0
    assert day.execute("SELECT name FROM prices") == [("oak",)]
    assert any(one.endswith("_longer_names.py") for one in day.files)


def test_a_rename_is_asked_about_at_a_terminal(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer decides; where there is no terminal the words do."""
    day.models(name("title"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    assert migrate.run(["title instead of name"]) == 0
    assert asked == ["Is prices.title the former prices.name, with its values? [y/N] "]
    assert day.execute("SELECT title FROM prices") == [("oak",)]


def test_without_a_terminal_the_words_decide(
    day: Day, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until then nothing is written."""
    day.models(name("title"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    assert migrate.run(["title instead of name"]) == 1
    assert "If it was renamed, add --rename prices.name=title" in capsys.readouterr().err
    assert len(day.files) == 1
    assert migrate.run(["title instead of name", "--rename", "prices.name=title"]) == 0
    assert day.execute("SELECT title FROM prices") == [("oak",)]


@pytest.mark.parametrize("words", [["--rename", "prices.name"], ["--drop", "prices."], ["--rename", "prices.x=y"]])
def test_words_of_another_form_are_refused(day: Day, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the form that is right, or with what is not there."""
    day.models(name("title"))
    assert migrate.run(["title", *words]) == 1
    assert words[1] in capsys.readouterr().err
    assert len(day.files) == 1


def test_a_file_that_could_not_be_applied_is_removed(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says why; the database is as it was, and the next start is not poisoned."""
    day.execute("INSERT INTO prices (id, name) VALUES (2, 'oak')")
    day.models(sa.Column("name", sa.String(50), unique=True))
    assert migrate.run(["one name once"]) == 1
    said = capsys.readouterr().err
    assert "could not be applied and was removed; the database is as it was" in said
    assert "Rowhouse cannot migrate" in said
    assert len(day.files) == 1
    day.models(name())
    assert migrate.run(["--start"]) == 0
    assert day.execute("SELECT count(*) FROM prices") == [(2,)]


def test_a_file_of_somebody_else_that_cannot_be_applied_is_named(day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do; nothing of it is applied."""
    assert migrate.run([]) == 0
    day.models(name(), name("note"))
    assert migrate.run(["a note"]) == 0
    (path,) = (day.root / "alembic/versions").glob("*_a_note.py")
    path.write_text(path.read_text().replace('"note"', '"name"'))
    (first,) = day.files - {path.name}
    command.stamp(day.config, first.split("_")[3])
    assert migrate.run([]) == 1
    assert f"Nothing was applied of: alembic/versions/{path.name}. Mend the file" in capsys.readouterr().err


def test_a_file_whose_change_does_not_fit_the_rows_is_named(
    day: Day, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both databases refuse it; the values are what they were."""
    day.models(name(length=2))
    assert migrate.run(["shorter"]) == 0
    assert migrate.run([]) == 1
    said = capsys.readouterr().err
    assert "Nothing was applied of: alembic/versions/" in said
    reason = "prices.name: 1 rows have a value that does not fit" if backend == "sqlite" else "value too long for type"
    assert "Rowhouse cannot migrate" in said
    assert reason in said
    assert day.execute("SELECT name FROM prices") == [("oak",)]


def test_a_second_file_of_one_day_and_message_is_another_file(day: Day) -> None:
    """Its name has its revision."""
    for number in range(3):
        day.models(name(), *(name(f"note_{one}") for one in range(number + 1)))
        assert migrate.run(["add a note"]) == 0
    assert len(day.files) == 4
    assert day.execute("SELECT name, note_0, note_1, note_2 FROM prices") == [("oak", None, None, None)]


def test_a_column_that_nothing_fills_is_refused_before_anything_is_written(
    day: Day, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what to write."""
    day.models(name(), name("city", nullable=False))
    for words in (["--start"], ["cities"]):
        assert migrate.run(words) == 1
        assert "prices.city is NOT NULL, and prices has rows that nothing fills" in capsys.readouterr().err
    assert len(day.files) == 1
