"""A file that cannot be written out as SQL for squawk: it is shown as any other, or it does not stay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rowhouse.cli import lint_migrations, migrate
from tests.databases import Databases
from tests.migrations.test_migrate_command import Day


@pytest.fixture
def day(backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Day]:
    """A project with a class that has a native enum, and a row of it."""
    made = Day(tmp_path / "shop", databases.empty(backend), monkeypatch)
    made.models(state("a", "b", "c"))
    assert made.run(["--start"]) == 0
    made.execute("INSERT INTO prices (id, state) VALUES (1, 'a')")
    yield made
    made.engine.dispose()


def state(*members: str) -> sa.Column[str]:
    """Return a column of a native enum."""
    return sa.Column("state", sa.Enum(*members, name="state"))


@pytest.mark.parametrize("members", [("a", "b"), ("a", "b", "d")])
def test_a_member_that_goes_is_a_loss(day: Day, capsys: pytest.CaptureFixture[str], members: tuple[str, ...]) -> None:
    """The file is shown and not applied, and `rowhouse lint-migrations` accepts it."""
    before = day.files
    day.models(state(*members))
    assert day.run(["other members"]) == 0
    assert "It is not applied, for it loses\n    state: the members c" in capsys.readouterr().out
    (new,) = day.files - before
    assert "# squawk-ignore reads-the-database: " in (day.root / "alembic/versions" / new).read_text()
    assert lint_migrations.main([new]) == 0
    assert day.run(["--start"]) == 1
    assert day.run([]) == 0
    day.models(state(*members))
    assert day.run(["--start"]) == 0
    assert day.execute("SELECT state FROM prices") == [("a",)]


def test_a_member_that_moves_is_applied(day: Day) -> None:
    """It loses nothing."""
    day.models(state("b", "a", "c"))
    assert day.run(["another order"]) == 0
    assert day.run(["--start"]) == 0
    assert len(day.files) == 2


def test_a_file_that_cannot_be_checked_does_not_stay(
    day: Day, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next command would apply what nobody has seen."""

    def fail(*_words: object, **_options: object) -> None:
        raise RuntimeError("squawk exited with 2")

    monkeypatch.setattr(migrate, "excuse_missing", fail)
    before = day.files
    day.models(state("a", "b"))
    with pytest.raises(RuntimeError, match="squawk exited"):
        day.run(["other members"])
    assert "could not be checked and was deleted; nothing was applied." in capsys.readouterr().err
    assert day.files == before
