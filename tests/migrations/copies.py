"""The migrations of this repository, and copies of them that a test may add to."""

import shutil
from pathlib import Path

from alembic.config import Config

from rowhouse.health.migration_state import Revisions
from tests.conftest import ROOT, alembic_config

(NEWEST,) = Revisions(alembic_config()).needed


def copy_migrations(directory: Path) -> Config:
    """Copy `alembic.ini` and `alembic/` into a directory. Return the configuration of the copy."""
    shutil.copytree(ROOT / "alembic", directory / "alembic")
    (directory / "alembic" / "versions").mkdir(exist_ok=True)  # absent where the product was deleted
    shutil.copy(ROOT / "alembic.ini", directory / "alembic.ini")
    return alembic_config(directory)
