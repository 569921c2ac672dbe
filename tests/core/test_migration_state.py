"""Which stored migrations let the code serve."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.config import Config

from rowhouse.health.migration_state import Revisions, find_config
from tests.conftest import ROOT

MIGRATION = """
revision = {revision!r}
down_revision = {down!r}
depends_on = {depends_on!r}
branch_labels = {labels!r}
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
# The engine's branch, and a project whose newest migration was written before the engine's.
TWO: Chain = {
    "engine_1": (None, None),
    "engine_2": ("engine_1", None),
    "project_1": (None, "engine_1"),
    "project_2": ("project_1", None),
}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a folder of migrations, each with the one before it and the one that it depends on."""

    def made(chain: Chain) -> Revisions:
        folder = tmp_path / "100% migrations"
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").touch()
        for revision, (down, depends_on) in chain.items():
            labels = ("rowhouse",) if revision == "engine_1" else ("project",) if revision == "project_1" else None
            text = MIGRATION.format(revision=revision, down=down, depends_on=depends_on, labels=labels)
            (folder / "versions" / f"{revision}.py").write_text(text)
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        return Revisions(config)

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
    """The database has each branch, or a newer revision of it."""
    mismatch = make(BRANCHES).mismatch(stored)
    assert (mismatch is None) == serves
    if mismatch is not None and stored:
        assert all(name in mismatch for name in (*stored, "left_head", "right_head"))


def test_a_merge_and_a_dependency_include_what_they_follow(make: Make) -> None:
    """Alembic stores one row for both."""
    merged: Chain = {**BRANCHES, "merge": (("left_head", "right_head"), None), "apart": (None, "merge")}
    assert make(merged).mismatch(["apart"]) is None


def test_without_any_migration_every_database_will_do(make: Make) -> None:
    """A project may have none yet."""
    assert make({}).mismatch([]) is None


@pytest.mark.parametrize(
    ("stored", "serves"),
    [
        (("engine_2", "project_2"), True),
        (("engine_3", "project_2"), True),
        (("engine_2", "project_3"), True),
        (("engine_3", "project_3"), True),
        (("project_3",), True),  # which may depend on a newer engine
        (("project_2",), False),  # which includes engine_1
        (("engine_2", "project_1"), False),
        (("engine_3", "project_1"), False),
        (("engine_1",), False),
    ],
)
def test_the_engine_and_the_project(make: Make, stored: tuple[str, ...], serves: bool) -> None:  # noqa: FBT001  as above
    """Each may be newer than the code, neither older. The message names both branches."""
    mismatch = make(TWO).mismatch(stored)
    assert (mismatch is None) == serves
    if mismatch is not None:
        assert "the code needs engine_2 (rowhouse) and project_2 (project)" in mismatch


def test_the_migrations_are_those_that_the_working_directory_names(tmp_path: Path) -> None:
    """In its `alembic.ini`, with the engine's. Without the file or its folder there are none."""
    own = find_config(ROOT)
    assert own is not None
    written = {path.name.split("_")[3] for path in (ROOT / "alembic/versions").glob("*.py")}  # none without the product
    assert {*written, "rowhouse_0002"} <= Revisions(own).known
    assert find_config(tmp_path) is None
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    assert find_config(tmp_path) is None
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").touch()
    found = find_config(tmp_path)
    assert found is not None
    assert found.get_main_option("script_location") == str(tmp_path / "migrations")
