"""`rowhouse migrate` names a class that the database cannot store, as a start does, and writes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

MODELS = '''"""Documents."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel


class Paper(SQLModel, table=True):
    """A paper."""

    id: int | None = Field(default=None, primary_key=True)
    {column}
'''
ARRAY = "words: list[str] = Field(sa_type=postgresql.ARRAY(sa.Text))"
EXCLUSION = '__table_args__ = (postgresql.ExcludeConstraint(("id", "="), name="ex"),)'


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (ARRAY, "Paper.words is an ARRAY, which SQLite lacks; use sa_type=sa.JSON, or PostgreSQL alone"),
        (EXCLUSION, "Paper: SQLite has no ExcludeConstraint; use NoOverlap, or PostgreSQL alone"),
    ],
)
def test_a_class_that_sqlite_cannot_store_is_one_sentence(run: Run, tmp_path: Path, column: str, message: str) -> None:
    """It was a traceback of SQLAlchemy. The command comes before the first start."""
    assert run("new", "shop").exit_code == 0
    app = tmp_path / "shop/backend/app"
    (app / "__init__.py").write_text('"""The shop."""\n', "utf-8")
    (app / "models.py").write_text(MODELS.format(column=column), "utf-8")
    (app / "api.py").write_text((app / "api.py").read_text("utf-8") + "\nimport app.models\n", "utf-8")
    command = [sys.executable, "-m", "rowhouse", "migrate"]
    done = subprocess.run(command, cwd=tmp_path / "shop", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, f"Rowhouse cannot migrate. RegistrationError: {message}")
    assert not [*(tmp_path / "shop").glob("alembic/versions/*.py")]
