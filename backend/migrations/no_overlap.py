"""What Alembic has to know of `NoOverlap`: an operation that states the rule in one line, and autogenerate that sees whether it is there.

    op.create_no_overlap("ex_bookings_slot", "bookings", resource="charge_point_id", start="start_time", end="end_time",
                         live={"status": ("PENDING", "CONFIRMED")})

`search_index` does the same for `SearchIndex`. Imported by `autogenerate` alone: the application itself never needs
Alembic.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import UpgradeOps
from alembic.util import DispatchPriority

from backend.crud.no_overlap import Live, Rule, rules_of


@Operations.register_operation("create_no_overlap")
class CreateNoOverlap(MigrateOperation):
    """Hold the rule in the database."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @classmethod
    def create_no_overlap(  # noqa: PLR0913  the rule's words, by keyword
        cls,
        operations: Operations,
        name: str,
        table: str,
        *,
        resource: str,
        start: str,
        end: str,
        live: Live | None = None,
    ) -> None:
        """`op.create_no_overlap(...)`."""
        operations.invoke(cls(Rule(name, table, resource, start, end, live or {})))

    def reverse(self) -> "DropNoOverlap":
        """What a downgrade does."""
        return DropNoOverlap(self.rule)


@Operations.register_operation("drop_no_overlap")
class DropNoOverlap(MigrateOperation):
    """Give the rule up."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @classmethod
    def drop_no_overlap(cls, operations: Operations, name: str, table: str) -> None:
        """`op.drop_no_overlap(...)`."""
        operations.invoke(cls(Rule(name, table, "", "", "", {})))

    def reverse(self) -> CreateNoOverlap:
        """What a downgrade does."""
        return CreateNoOverlap(self.rule)


@Operations.implementation_for(CreateNoOverlap)
def _create(operations: Operations, operation: CreateNoOverlap) -> None:
    rule, connection = operation.rule, operations.get_bind()
    if connection.dialect.name == "postgresql":
        types = _types(operations, rule.table)
        operations.execute(f"ALTER TABLE {rule.table} ADD CONSTRAINT {rule.name} {rule.exclusion(types)}")
        return
    for trigger in rule.triggers().values():
        operations.execute(trigger)


def _types(operations: Operations, table: str) -> dict[str, Any]:
    """The types of a table's columns in the database; in `--sql` mode, where there is none, in the models."""
    context = operations.migration_context
    if context.as_sql:
        return {column.name: column.type for column in context.opts["target_metadata"].tables[table].columns}
    return {column["name"]: column["type"] for column in sa.inspect(operations.get_bind()).get_columns(table)}


@Operations.implementation_for(DropNoOverlap)
def _drop(operations: Operations, operation: DropNoOverlap) -> None:
    rule = operation.rule
    if operations.get_bind().dialect.name == "postgresql":
        operations.execute(f"ALTER TABLE {rule.table} DROP CONSTRAINT {rule.name}")
        return
    for trigger in rule.triggers():
        operations.execute(f"DROP TRIGGER {trigger}")


@renderers.dispatch_for(CreateNoOverlap)
def _render_create(_context: AutogenContext, operation: CreateNoOverlap) -> str:
    rule = operation.rule
    live = f", live={rule.live!r}" if rule.live else ""
    return (
        f"op.create_no_overlap({rule.name!r}, {rule.table!r}, resource={rule.resource!r}, start={rule.start!r}, "
        f"end={rule.end!r}{live})"
    )


@renderers.dispatch_for(DropNoOverlap)
def _render_drop(_context: AutogenContext, operation: DropNoOverlap) -> str:
    return f"op.drop_no_overlap({operation.rule.name!r}, {operation.rule.table!r})"


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, operations: UpgradeOps, _schemas: Any) -> None:
    """Add the rules that the models declare and the database does not hold; on SQLite also those whose text differs."""
    connection: Any = context.connection  # migrations are never written offline
    stored = dict(_stored(connection))
    for table in context.sorted_tables:
        for rule in (constraint.rule for constraint in rules_of(table)):
            wanted = rule.triggers() if connection.dialect.name == "sqlite" else {rule.name: None}
            present = {name: stored.get(name) for name in wanted if name in stored}
            if present == wanted:
                continue
            if present:
                operations.ops.append(DropNoOverlap(rule))
            operations.ops.append(CreateNoOverlap(rule))


def _stored(connection: sa.Connection) -> Iterator[tuple[str, str | None]]:
    """The names of the exclusion constraints or triggers, and on SQLite their text."""
    if connection.dialect.name == "postgresql":
        found = connection.exec_driver_sql("SELECT conname FROM pg_constraint WHERE contype = 'x'")
        yield from ((row[0], None) for row in found)
    else:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        yield from ((row[0], row[1]) for row in found)
