"""Which migrations a database may hold for the code to serve."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rowhouse.health.migration_state import Revisions, find_migrations
from tests.conftest import ROOT

MIGRATION = """
revision = {revision!r}
down_revision = {down!r}
depends_on = {depends_on!r}
"""
Chain = dict[str, tuple[str | tuple[str, ...] | None, str | None]]
Make = Callable[[Chain], Revisions]
# root ─ left ─ left_head, and root ─ right ─ right_head
BRANCHES: Chain = {
    "root": (None, None),
    "left": ("root", None),
    "left_head": ("left", None),
    "right": ("root", None),
    "right_head": ("right", None),
}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a folder of migrations, each with the one before it and the one that it depends on."""

    def made(chain: Chain) -> Revisions:
        folder = tmp_path / "100% migrations"
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").touch()
        for revision, (down, depends_on) in chain.items():
            text = MIGRATION.format(revision=revision, down=down, depends_on=depends_on)
            (folder / "versions" / f"{revision}.py").write_text(text)
        return Revisions(folder)

    return made


@pytest.mark.parametrize(
    ("stored", "serves"),
    [
        (("left_head", "right_head"), True),
        (("left_head", "right_head", "root", "left"), True),
        (("left_head", "unknown"), True),
        (("unknown",), True),
        (("unknown", "other"), True),
        (("left_head",), False),
        (("left_head", "right"), False),
        (("unknown", "right"), False),
        (("root",), False),
        ((), False),
    ],
)
def test_several_heads(make: Make, stored: tuple[str, ...], serves: bool) -> None:  # noqa: FBT001  a case's value
    """Each branch is there, or something newer in its place."""
    mismatch = make(BRANCHES).mismatch(stored)
    assert (mismatch is None) == serves
    if mismatch is not None and stored:
        assert all(name in mismatch for name in (*stored, "left_head", "right_head"))


def test_a_merge_and_a_dependency_include_what_they_follow(make: Make) -> None:
    """Alembic keeps one row for both."""
    merged: Chain = {**BRANCHES, "merge": (("left_head", "right_head"), None), "apart": (None, "merge")}
    assert make(merged).mismatch(["apart"]) is None


def test_without_any_migration_every_database_will_do(make: Make) -> None:
    """A project that has not begun to migrate."""
    assert make({}).mismatch([]) is None


def test_a_folder_that_is_called_alembic_is_not_enough(tmp_path: Path) -> None:
    """Next to an installed package it is the library; then the working directory's configuration counts."""
    code, directory = tmp_path / "site-packages", tmp_path / "project"
    (code / "alembic").mkdir(parents=True)
    directory.mkdir()
    assert find_migrations(code, directory) is None
    assert find_migrations(code, ROOT) == ROOT / "alembic"
    (directory / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    assert find_migrations(code, directory) is None
    (directory / "migrations" / "versions").mkdir(parents=True)
    (directory / "migrations" / "env.py").touch()
    assert find_migrations(code, directory) == directory / "migrations"
