"""The migrations of this repository, and copies of them that a test may add to."""

import shutil
from pathlib import Path

from alembic.config import Config

from rowhouse.health.migration_state import Revisions
from tests.conftest import ROOT, alembic_config

HEADS = sorted(Revisions(alembic_config()).needed)
# The engine's last migration is a head too, until one of the project depends on it.
NEWEST = HEADS[0]
# Without the product the repository has the engine's migrations alone, and a copy gets a project with one of its own.
HAS_PROJECT = any((ROOT / "alembic" / "versions").glob("*.py"))
PROJECT = NEWEST if HAS_PROJECT else "first"
FIRST = f'''"""The first migration of a project."""

import sqlalchemy as sa
from alembic import op

revision = "first"
down_revision = None
branch_labels = ("project",)
depends_on = "{NEWEST}"


def upgrade() -> None:
    """Apply."""
    op.create_table("books", sa.Column("id", sa.Integer(), nullable=False), sa.PrimaryKeyConstraint("id", name="pk_books"))


def downgrade() -> None:
    """Undo."""
    op.drop_table("books")
'''


def copy_migrations(directory: Path) -> Config:
    """Copy `alembic.ini` and `alembic/` into a directory. Return the configuration of the copy."""
    shutil.copytree(ROOT / "alembic", directory / "alembic")
    (directory / "alembic" / "versions").mkdir(exist_ok=True)  # absent where the product was deleted
    shutil.copy(ROOT / "alembic.ini", directory / "alembic.ini")
    return alembic_config(directory)


def copy_project(directory: Path) -> Config:
    """Do the same for a project, which has a table `books` and whose newest migration is `PROJECT`."""
    config = copy_migrations(directory)
    if not HAS_PROJECT:
        (directory / "alembic" / "versions" / "first.py").write_text(FIRST)
    return config
