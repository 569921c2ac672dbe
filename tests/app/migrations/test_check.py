"""`scripts/migrate --check` finds a database that lacks a migration, and each branch has one head."""

import pytest
from alembic.script import ScriptDirectory

from rowhouse.cli import migrate
from tests.conftest import alembic_config
from tests.databases import Databases
from tests.migrations.test_migrate_script import set_revision


def test_an_older_database_lacks_a_migration(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    url = databases.empty("sqlite")
    monkeypatch.setenv("DATABASE_URL", url)
    assert migrate.main([]) == 0
    set_revision(url, "0001")
    assert migrate.main(["--check"]) == 1


def test_the_products_branch_depends_on_the_engines() -> None:
    """The database stores one revision, and `alembic downgrade -1` is clear."""
    scripts = ScriptDirectory.from_config(alembic_config())
    heads = [scripts.get_revision(head) for head in scripts.get_heads()]
    assert sorted(label for script in heads for label in script.branch_labels) == ["project", "rowhouse"]
    assert [script.branch_labels for script in scripts.get_revisions("heads")] == [{"project"}]
