"""Plans the migration that brings a database to the models, and writes its file.

A plan is made in a transaction that is never committed: the renames that were told are made in it first, so that the comparison
sees what is left. Applies nothing.
"""

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

from rowhouse.migrations.autogenerate import autogenerate_options, only_adds
from rowhouse.migrations.defaults import fill, relax
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
    """The operations that are to be done, one by one, and what they lose."""

    operations: list[ops.MigrateOperation] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    @property
    def only_adds(self) -> bool:
        """Whether it makes something new and touches nothing that is there."""
        return only_adds(self.operations)


def plan(connection: sa.Connection, metadata: sa.MetaData, decisions: Decisions = UNDECIDED) -> Plan:
    """What separates the database from the models.

    Raises:
        UndecidedError: for what looks like a rename, and nobody has said whether it is one.
        UnfillableError: for a column that becomes NOT NULL and has no value for the rows that are there.
        ValueError: for a rename of a column or table that is not there.
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
    """Write the migration that follows; None where there is nothing to do. The database must be at the newest revision.

    The file says in `loses` what it loses, and in a comment how to keep it. It never takes the place of another file.

    Raises:
        as `plan`.
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
            script = command.revision(config, message=message, autogenerate=True, process_revision_directives=complete)
        finally:
            del config.attributes["connection"]
    return (Path(script.path), made[0]) if isinstance(script, Script) else None


@contextmanager
def _renamed(connection: sa.Connection, decisions: Decisions) -> Iterator[None]:
    """The columns and tables renamed within the block, in a transaction that is undone after it."""
    with connection.begin() as transaction:
        apply(connection, decisions.renames)
        try:
            yield
        finally:
            transaction.rollback()


def _decide(
    script: ops.MigrationScript, metadata: sa.MetaData, connection: sa.Connection, decisions: Decisions
) -> Plan:
    """Complete the operations of a comparison with what it cannot see."""
    upgrade, downgrade = script.upgrade_ops_list[-1], script.downgrade_ops_list[-1]
    undecided = candidates(upgrade.ops, decisions.drops)
    if undecided:
        raise UndecidedError(undecided)
    fill(upgrade, metadata, connection)
    relax(downgrade)
    losses = note_losses(upgrade, {one.new: one.old for one in decisions.renames if isinstance(one, TableRename)})
    upgrade.ops[:0] = [one.operation for one in decisions.renames]
    downgrade.ops += [one.reverse for one in reversed(decisions.renames)]
    return Plan(list(flat(upgrade.ops)), losses)


@dataclass(frozen=True)
class Pending:
    """A migration that the database lacks, and what its file says that it loses."""

    revision: str
    path: Path
    loses: tuple[str, ...]


def pending(connection: sa.Connection, scripts: ScriptDirectory) -> list[Pending]:
    """The migrations that the database lacks, the oldest first.

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
