"""Brings the database to the models: `python -m scripts.migrate ["what changed"]`.

Applies the migrations that are there. In development, when the models have grown since, it writes the migration that
follows and applies it; what would lose data is never done unasked: then give the message, look at the file and run it
again. Several at once wait for each other.

    python -m scripts.migrate --check

Changes nothing. Ends with 1 and a sentence when the database lacks a migration.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import produce_migrations
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from pydantic import ValidationError
from sqlmodel import SQLModel

import backend.api  # noqa: F401  imports every model
from backend.core.config import Environment, Settings
from backend.core.engines import TRANSACTION_KIND, create_engine
from backend.migrations.autogenerate import autogenerate_options, only_adds
from backend.serve import explained

ROOT = Path(__file__).resolve().parents[1]


def differences(settings: Settings) -> list[ops.MigrateOperation]:
    """What separates the database from the models, table by table."""
    with _reading(settings) as connection:
        context = MigrationContext.configure(connection, opts=autogenerate_options(connection.dialect))
        found = produce_migrations(context, SQLModel.metadata).upgrade_ops
    return _flat(found.ops) if found is not None else []


@contextmanager
def _reading(settings: Settings) -> Iterator[sa.Connection]:
    engine = create_engine(settings)
    try:
        with engine.connect().execution_options(**{TRANSACTION_KIND: "read"}) as connection:
            yield connection
    finally:
        engine.dispose()


def _flat(operations: list[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    flat: list[ops.MigrateOperation] = []
    for operation in operations:
        flat += _flat(operation.ops) if isinstance(operation, ops.ModifyTableOps) else [operation]
    return flat


def describe(operations: list[ops.MigrateOperation]) -> str:
    """A message for a migration that only adds."""
    tables = [o.table_name for o in operations if isinstance(o, ops.CreateTableOp)]
    columns = [f"{o.table_name} {o.column.name}" for o in operations if isinstance(o, ops.AddColumnOp)]
    return "add " + " and ".join(tables or columns or ["indexes"])


def write_migration(config: Config, message: str) -> Path:
    """Write the migration that follows, formatted where ruff is installed."""
    script = command.revision(config, message=message, autogenerate=True)
    if not isinstance(script, Script):
        raise TypeError(f"expected one migration, got {script!r}")
    path = Path(script.path)
    if find_spec("ruff"):
        for arguments in (["check", "--fix", "--exit-zero"], ["format"]):
            subprocess.run([sys.executable, "-m", "ruff", *arguments, "--quiet", str(path)], check=True, cwd=ROOT)  # noqa: S603  our own file
    return path


def is_behind(settings: Settings, config: Config) -> bool:
    """Whether the database lacks a migration. One at a revision that the code does not know is newer: it lacks none."""
    with _reading(settings) as connection:
        stored = MigrationContext.configure(connection).get_current_heads()
    scripts = ScriptDirectory.from_config(config)
    try:
        applied = {script.revision for script in scripts.iterate_revisions(stored, "base")}
    except RevisionError:
        return False
    return not applied.issuperset(scripts.get_heads())


def check(settings: Settings, config: Config) -> int:
    """Return 1 when the database lacks a migration. When it does not answer, say so: `/ready` tells when it does."""
    try:
        behind = is_behind(settings, config)
    except sa.exc.DBAPIError as error:
        print(f"The database does not answer ({type(error.orig).__name__}); /ready says when it does.", file=sys.stderr)
        return 0
    if behind:
        print("The database lacks a migration. Run scripts/migrate first, as the role that owns it.", file=sys.stderr)
    return int(behind)


def main(arguments: list[str]) -> int:
    """Migrate; 1 when the models have changed in a way that wants a decision."""
    settings, config = Settings(), Config(ROOT / "alembic.ini", stdout=sys.stderr)
    config.set_main_option("script_location", str(ROOT / "alembic"))
    if arguments == ["--check"]:
        return check(settings, config)
    command.upgrade(config, "head")
    if settings.environment is not Environment.DEVELOPMENT:
        return 0
    changes = differences(settings)
    if not changes:
        return 0
    if not arguments and not only_adds(changes):
        print('The models have changed. Run scripts/migrate "what changed", look at the file, and start again.')
        return 1
    path = write_migration(config, arguments[0] if arguments else describe(changes))
    command.upgrade(config, "head")
    print(f"Wrote and applied {path.relative_to(ROOT)}; look at it before you commit it.")
    return 0


def run(arguments: list[str]) -> int:
    """Migrate; 1 and one sentence where a setting does not hold or the database does not answer."""
    try:
        return main(arguments)
    except (ValidationError, sa.exc.OperationalError) as error:
        print(f"Rowhouse cannot migrate. {explained(error)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
