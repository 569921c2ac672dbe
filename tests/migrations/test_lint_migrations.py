"""squawk finds what would block a busy server, and accepts an excuse with a reason."""

import shutil
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from rowhouse.cli import lint_migrations
from tests.conftest import ROOT, alembic_config
from tests.migrations.copies import PROJECT, copy_project
from tests.migrations.further import FILE

INDEX = 'op.create_index("ix_books_stock", "books", ["stock"])'
CONCURRENTLY = (
    "with op.get_context().autocommit_block():\n"
    '        op.drop_index("ix_books_stock", if_exists=True, postgresql_concurrently=True)\n'
    '        op.create_index("ix_books_stock", "books", ["stock"], postgresql_concurrently=True)'
)
EXCUSED = f"# squawk-ignore require-concurrent-index-creation: a test's\n    {INDEX}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with the migrations of this repository and room for another one."""
    copy_project(tmp_path)
    shutil.copy(ROOT / ".squawk.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "alembic"


def lint(folder: Path, upgrade: str) -> int:
    """Return the exit status for another migration."""
    body = {"upgrade": f"    {upgrade}", "downgrade": "    pass"}
    (folder / "versions/more.py").write_text(FILE.format(revision="more", before=PROJECT, **body))
    return lint_migrations.main(["more"])


def test_every_migration_of_this_repository_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of them is checked."""
    scripts = ScriptDirectory.from_config(alembic_config(folder.parent))
    assert lint_migrations.main(["--engine"]) == 0
    assert capsys.readouterr().out == f"{len(list(scripts.walk_revisions()))} migrations\n"
    assert lint_migrations.main([]) == 0
    assert capsys.readouterr().out == f"{len(list((folder / 'versions').glob('*.py')))} migrations\n"


@pytest.mark.parametrize(
    ("upgrade", "rule"),
    [
        (INDEX, "require-concurrent-index-creation"),
        ('op.add_column("books", sa.Column("isbn", sa.String(13), nullable=False))', "adding-required-field"),
        ('op.alter_column("books", "cover_image", nullable=False)', "adding-not-nullable-field"),
        ('op.create_check_constraint("stock", "books", "stock < 1000")', "constraint-missing-not-valid"),
        ('op.drop_column("books", "cover_image")', "ban-drop-column"),
        ('op.alter_column("books", "author", new_column_name="writer")', "renaming-column"),
        ('op.get_bind().exec_driver_sql("DROP TABLE reviews")', "ban-drop-table"),
        ('op.get_bind().execute(sa.text("SELECT 1")).all()', "reads-the-database"),
    ],
)
def test_a_change_that_blocks_a_busy_server_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], upgrade: str, rule: str
) -> None:
    """With its file, its rule and the statement."""
    assert lint(folder, f"import sqlalchemy as sa\n    {upgrade}") == 1
    said = capsys.readouterr().out
    assert said.startswith(f"more.py: {rule}: ")
    assert "docs/migrations.md" in said


@pytest.mark.parametrize(
    "upgrade",
    [
        EXCUSED,
        "# squawk-ignore reads-the-database: a test's\n    op.get_bind().execute(sa.text('SELECT 1')).all()",
        'op.add_column("books", sa.Column("isbn", sa.String(13)))',
        'op.add_column("books", sa.Column("isbn", sa.String(13), nullable=False, server_default=""))',
        'op.create_table("t", sa.Column("id", sa.Integer, primary_key=True))\n    op.create_index("ix_t_id", "t", ["id"])',
        CONCURRENTLY,
    ],
    ids=["excused", "reading", "nullable", "with a default", "a new table", "concurrently"],
)
def test_a_change_that_blocks_nothing_passes(folder: Path, upgrade: str) -> None:
    """So does an excused statement."""
    assert lint(folder, f"import sqlalchemy as sa\n    {upgrade}") == 0


@pytest.mark.parametrize(
    ("upgrade", "said"),
    [
        (f"# squawk-ignore require-concurrent-index-creation\n    {INDEX}", "write an excuse as"),
        (
            f"# squawk-ignore ban-drop-table: none is dropped\n    {EXCUSED}",
            "the excuse for ban-drop-table has no match; remove it",
        ),
    ],
    ids=["without a reason", "of nothing"],
)
def test_an_excuse_has_a_reason_and_an_object(
    folder: Path, capsys: pytest.CaptureFixture[str], upgrade: str, said: str
) -> None:
    """Otherwise it would outlive the statement that it excuses."""
    assert lint(folder, upgrade) == 1
    assert said in capsys.readouterr().out


def test_the_excuses_that_are_missing_are_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one reason, once for each rule."""
    assert lint(folder, f'{INDEX}\n    op.drop_column("books", "cover_image")') == 1
    before = (folder / "versions/more.py").read_text()
    for _ in range(2):
        assert lint_migrations.main(["--excuse", "no server runs yet", "more"]) == 0
    lines = (folder / "versions/more.py").read_text().splitlines()
    assert [line for line in lines if line not in before.splitlines()] == [
        "# squawk-ignore ban-drop-column: no server runs yet",
        "# squawk-ignore require-concurrent-index-creation: no server runs yet",
    ]


def test_a_missing_revision_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check that reads no file must not pass."""
    assert lint_migrations.main(["none"]) == 1
    assert capsys.readouterr().err == "There is no such migration.\n"


def test_two_branches_and_what_joins_them_are_read(folder: Path) -> None:
    """Each from its beginning."""
    body = {"upgrade": "    pass", "downgrade": "    pass"}
    for revision in ("left", "right"):
        text = FILE.format(revision=revision, before=PROJECT, **body)
        (folder / f"versions/{revision}.py").write_text(text)
    joined = FILE.format(revision="joined", before="X", **{**body, "upgrade": f"    {INDEX}"})
    (folder / "versions/joined.py").write_text(joined.replace('"X"', '("left", "right")'))
    assert lint_migrations.main([]) == 1
    scripts = ScriptDirectory.from_config(alembic_config(folder.parent))
    assert scripts.get_revision("project@head").revision == "joined"
