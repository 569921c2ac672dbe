"""Which stored migrations let the code serve."""

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from alembic.config import Config

from rowhouse.health.migration_files import read_migrations
from rowhouse.health.migration_state import Revisions, RevisionsOfFiles, find_config
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


@pytest.fixture(params=["files", "alembic"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Make a folder of migrations, each with the one before it and the one that it depends on.

    Both readers give the same answers.
    """

    def made(chain: Chain) -> Revisions:
        folder = tmp_path / "100% migrations"
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").touch()
        for revision, (down, depends_on) in chain.items():
            labels = ("rowhouse",) if revision == "engine_1" else ("project",) if revision == "project_1" else None
            text = MIGRATION.format(revision=revision, down=down, depends_on=depends_on, labels=labels)
            (folder / "versions" / f"{revision}.py").write_text(text)
        if request.param == "alembic":
            config = Config()
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            return Revisions(config)
        (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/100%% migrations\n")
        migrations = read_migrations(tmp_path / "alembic.ini")
        assert migrations is not None
        return RevisionsOfFiles(migrations)

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
    assert {*written, "rowhouse_0003"} <= Revisions(own).known
    assert find_config(tmp_path) is None
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    assert find_config(tmp_path) is None
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").touch()
    found = find_config(tmp_path)
    assert found is not None
    assert found.get_main_option("script_location") == str(tmp_path / "migrations")


def test_this_project_is_read_as_alembic_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the engine's migrations, which are in a package, and the labels of both branches."""
    monkeypatch.chdir(ROOT)
    own, config = Revisions.of_the_code(), find_config(ROOT)
    assert isinstance(own, RevisionsOfFiles)
    assert config is not None
    by_alembic = Revisions(config)
    assert (own.needed, own.known) == (by_alembic.needed, by_alembic.known)
    assert own.mismatch(["rowhouse_0001"]) == by_alembic.mismatch(["rowhouse_0001"])
    assert own.mismatch([]) == by_alembic.mismatch([])


INI = "[alembic]\nscript_location = %(here)s/migrations\n"
FIRST, SECOND = "revision = 'a'\nbranch_labels = 'one'\n", "revision: str = 'b'\ndown_revision: str | None = 'a'\n"


@pytest.mark.parametrize(
    ("ini", "sources", "is_read"),
    [
        (INI, (FIRST, SECOND), True),
        (f"{INI}path_separator = newline\nversion_locations =\n    {{here}}/migrations/versions\n", (FIRST,), True),
        (f"{INI}path_separator = newline\nversion_locations = nowhere:versions\n", (FIRST,), False),
        (f"{INI}path_separator = newline\nversion_locations = packed:versions\n", (FIRST,), False),
        (f"{INI}path_separator = os\nversion_locations = {{here}}/migrations/versions\n", (FIRST,), False),
        (f"{INI}sourceless = true\n", (FIRST,), False),
        ("[alembic]\nscript_location = elsewhere\n", (FIRST,), False),
        ("[alembic\n", (FIRST,), False),
        ("[other]\n", (FIRST,), False),
        (INI, (FIRST, FIRST), False),  # twice
        (INI, (SECOND,), False),  # after one that is missing
        (INI, (FIRST, "revision = 'b'\ndepends_on = 'one'\n"), False),  # a label
        (INI, (FIRST, "revision = 'b'\ndepends_on = 'one@head'\n"), False),
        (INI, (FIRST, f"{SECOND}branch_labels = ('two',)\n"), False),  # within a branch
        (INI, (FIRST, "revision = 'b'\nbranch_labels = 'one'\n"), False),  # one label of two branches
        (INI, (FIRST, f"{SECOND}revision = 'c'\n"), False),
        (INI, ("revision = 'a'\ndown_revision = 'b'\n", "revision = 'b'\ndown_revision = 'a'\n"), False),
        (INI, ("revision = next(names)\n",), False),
        (INI, ("revision = 1\n",), False),
        (INI, ("from names import revision\n",), False),
        (INI, ("revision = (\n    'a'\n)\n",), False),
    ],
)
def test_what_only_alembic_reads_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ini: str, sources: tuple[str, ...], is_read: bool
) -> None:
    """Other options, names that are no constants, and mistakes, which Alembic names."""
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").touch()
    (tmp_path / "alembic.ini").write_text(ini.replace("{here}", str(tmp_path)))
    for number, source in enumerate(sources):
        (tmp_path / "migrations" / "versions" / f"{number}.py").write_text(source)
    (tmp_path / "migrations" / "versions" / "__init__.py").touch()
    with ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("packed/__init__.py", "")
    monkeypatch.syspath_prepend(tmp_path / "packed.zip")
    assert (read_migrations(tmp_path / "alembic.ini") is not None) is is_read


def test_alembic_reads_what_the_server_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the working directory, if it has migrations."""
    monkeypatch.chdir(tmp_path)
    assert Revisions.of_the_code() is None
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").touch()
    (tmp_path / "migrations" / "versions" / "a.py").write_text("revision = str('a')\ndown_revision = None\n")
    (tmp_path / "alembic.ini").write_text(INI)
    found = Revisions.of_the_code()
    assert type(found) is Revisions
    assert found.needed == ("a",)
