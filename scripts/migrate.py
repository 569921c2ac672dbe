"""Brings the database to the models: `python -m scripts.migrate ["what changed"]`.

Applies the migrations that are there. When the models have grown since, it writes the migration that follows and applies it;
what would lose data is never done unasked: then give the message, look at the file and run it again.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.autogenerate import produce_migrations
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from sqlmodel import SQLModel

import backend.api  # noqa: F401  imports every model
from backend.core.config import Environment, Settings
from backend.core.engines import create_engine
from backend.crud.migration import CreateNoOverlap

ROOT = Path(__file__).resolve().parents[1]


def differences(settings: Settings) -> list[ops.MigrateOperation]:
    """What separates the database from the models, table by table."""
    engine = create_engine(settings)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = produce_migrations(context, SQLModel.metadata).upgrade_ops
    engine.dispose()
    return _flat(found.ops) if found is not None else []


def _flat(operations: list[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    flat: list[ops.MigrateOperation] = []
    for operation in operations:
        flat += _flat(operation.ops) if isinstance(operation, ops.ModifyTableOps) else [operation]
    return flat


def only_adds(operation: ops.MigrateOperation) -> bool:
    """Whether the operation makes something new and touches nothing that is there."""
    if isinstance(operation, ops.AddColumnOp):
        return bool(operation.column.nullable)
    return isinstance(operation, (ops.CreateTableOp, ops.CreateIndexOp, CreateNoOverlap))


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


def main(arguments: list[str]) -> int:
    """Migrate; 1 when the models have changed in a way that wants a decision."""
    settings, config = Settings(), Config(ROOT / "alembic.ini", stdout=sys.stderr)
    config.set_main_option("script_location", str(ROOT / "alembic"))
    command.upgrade(config, "head")
    if settings.environment is not Environment.DEVELOPMENT:
        return 0
    changes = differences(settings)
    if not changes:
        return 0
    if not arguments and not all(only_adds(change) for change in changes):
        print('The models have changed. Run scripts/migrate "what changed", look at the file, and start again.')
        return 1
    path = write_migration(config, arguments[0] if arguments else describe(changes))
    command.upgrade(config, "head")
    print(f"Wrote and applied {path.relative_to(ROOT)}; look at it before you commit it.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
