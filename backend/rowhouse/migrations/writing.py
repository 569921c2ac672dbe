"""Plans the migration that brings a database to the models, and writes its file.

Plans in a transaction that is rolled back. It applies the given renames first, so that the comparison reports the other
changes only. Must not change the database.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import produce_migrations
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError, coerce_resource_to_filename

from rowhouse.migrations.autogenerate import autogenerate_options, only_adds
from rowhouse.migrations.defaults import fill, relax
from rowhouse.migrations.engine_tables import PROJECT, is_of_engine
from rowhouse.migrations.losses import Loss, flat, note_losses
from rowhouse.migrations.renames import (
    Decisions,
    TableRename,
    UndecidedError,
    apply,
    candidates,
)

LOSES = "loses"
UNDECIDED = Decisions()


@dataclass(frozen=True)
class Plan:
    """The operations of a migration, in order, and the data that they lose."""

    operations: list[ops.MigrateOperation] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    @property
    def only_adds(self) -> bool:
        """Return True if every operation adds something and leaves what exists as it is."""
        return only_adds(self.operations)


def plan(connection: sa.Connection, metadata: sa.MetaData, decisions: Decisions = UNDECIDED) -> Plan:
    """Compare the database with the models.

    Raises:
        UndecidedError: something looks like a rename, and `decisions` do not say whether it is one.
        UnfillableError: a column becomes NOT NULL, and existing rows have no value for it.
        ValueError: a rename names a column or table that does not exist.
    """
    with _renamed(connection, decisions):
        context = MigrationContext.configure(connection, opts=autogenerate_options(metadata))
        script = produce_migrations(context, metadata)
        return _decide(script, metadata, connection, decisions)


def write(
    config: Config,
    connection: sa.Connection,
    metadata: sa.MetaData,
    *,
    message: str,
    decisions: Decisions = UNDECIDED,
) -> tuple[Path, Plan] | None:
    """Write the project's next migration. Return its path and plan, or None without a change.

    The database must be at the newest revision. The file goes to the project's branch, never into the package, and
    depends on the engine's newest migration. Its `loses` lists the data that it loses, and comments say how to keep it.
    It never replaces another file.

    Raises:
        UndecidedError, UnfillableError, ValueError: as `plan`.
        CommandError: the project has two newest migrations, or the database lacks one.
    """
    made: list[Plan] = []

    def complete(_context: MigrationContext, _revision: Any, scripts: list[Any]) -> None:
        made.append(_decide(scripts[0], metadata, connection, decisions))
        config.attributes[LOSES] = [loss.what for loss in made[0].losses]
        if not made[0].operations:
            scripts.clear()

    with _renamed(connection, decisions):
        config.attributes["connection"] = connection
        try:
            script = command.revision(
                config,
                message=message,
                autogenerate=True,
                process_revision_directives=complete,
                **position(config),
            )
        finally:
            del config.attributes["connection"]
    return (Path(script.path), made[0]) if isinstance(script, Script) else None


def position(config: Config) -> dict[str, Any]:
    """Return the words of `command.revision` that add a migration to the project's branch.

    Raises:
        CommandError: the project has two newest migrations.
    """
    scripts = ScriptDirectory.from_config(config)
    heads = [scripts.get_revision(head) for head in scripts.get_heads()]
    own = [script for script in heads if not is_of_engine(script)]
    if len(own) > 1:
        names = " and ".join(sorted(Path(script.path).name for script in own))
        raise CommandError(f"{names} follow the same migration; set down_revision of one to the other's revision")
    included = {one.revision for script in own for one in scripts.iterate_revisions(script.revision, "base")}
    needed = [script.revision for script in heads if is_of_engine(script) and script.revision not in included]
    if own:
        return {"head": own[0].revision, "depends_on": needed or None}
    label = PROJECT if needed else None
    return {"head": "base", "depends_on": needed or None, "branch_label": label, "version_path": _own_folder(config)}


def _own_folder(config: Config) -> Path:
    """Return the first of the configured folders of migrations: the project's."""
    locations = config.get_version_locations_list()
    if locations:
        return Path(coerce_resource_to_filename(locations[0]))
    return Path(config.get_main_option("script_location", "alembic")) / "versions"


@contextmanager
def _renamed(connection: sa.Connection, decisions: Decisions) -> Iterator[None]:
    """Apply the renames for the duration of the block, in a transaction that is rolled back."""
    with connection.begin() as transaction, warnings.catch_warnings():
        # Alembic reads whole schemas, also tables that are not compared.
        warnings.filterwarnings("ignore", "Did not recognize type", sa.exc.SAWarning)
        apply(connection, decisions.renames)
        try:
            yield
        finally:
            transaction.rollback()


def _decide(
    script: ops.MigrationScript, metadata: sa.MetaData, connection: sa.Connection, decisions: Decisions
) -> Plan:
    """Add to the operations of a comparison: fillings, losses and renames."""
    upgrade, downgrade = script.upgrade_ops_list[-1], script.downgrade_ops_list[-1]
    undecided = candidates(upgrade.ops, decisions.drops)
    if undecided:
        raise UndecidedError(undecided)
    fill(upgrade, metadata, connection)
    relax(downgrade)
    losses = note_losses(upgrade, {one.new: one.old for one in decisions.renames if isinstance(one, TableRename)})
    upgrade.ops[:0] = [step for one in decisions.renames for step in one.operations]
    downgrade.ops += [step for one in reversed(decisions.renames) for step in one.reverse.operations]
    return Plan(list(flat(upgrade.ops)), losses)


@dataclass(frozen=True)
class Pending:
    """A migration that the database lacks. `loses` is what its file says that it loses."""

    revision: str
    path: Path
    loses: tuple[str, ...]


def pending(connection: sa.Connection, scripts: ScriptDirectory) -> list[Pending]:
    """Return the migrations that the database lacks, the oldest first, of the project and of the engine.

    Raises:
        alembic.script.revision.RevisionError: the database is at a revision that the code does not know.
    """
    stored = MigrationContext.configure(connection).get_current_heads()
    applied = {script.revision for script in scripts.iterate_revisions(stored, "base")}
    missing = [script for script in scripts.walk_revisions() if script.revision not in applied]
    return [
        Pending(script.revision, Path(script.path), tuple(getattr(script.module, LOSES, ())))
        for script in reversed(missing)
    ]
