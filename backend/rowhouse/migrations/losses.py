"""Finds the data that a migration would lose, and notes it beside the operation.

Lost are the rows of a dropped table, the values of a dropped column, values that a narrower type cannot hold, members
of an enum, and the rule of a dropped constraint. A constraint that is recreated on the same columns is not lost. Nor is
an index, which holds no data.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from sqlalchemy.dialects import postgresql

from rowhouse.entities.no_overlap import Rule
from rowhouse.migrations.operations.native_enums import ChangeEnum
from rowhouse.migrations.operations.no_overlap import CreateNoOverlap, DropNoOverlap

MAKES: tuple[type[Any], ...] = (
    ops.CreateUniqueConstraintOp, ops.CreateForeignKeyOp, ops.CreateCheckConstraintOp, ops.CreatePrimaryKeyOp,
)  # fmt: skip
UNCHANGED: Mapping[str, str] = {}


@dataclass(frozen=True)
class Loss:
    """Lost data, such as `prices.name: its values`, and how to keep it."""

    what: str
    advice: str = ""


class Note(ops.MigrateOperation):
    """A comment in the file of a migration."""

    def __init__(self, text: str) -> None:
        self.text = text


@renderers.dispatch_for(Note)
def _render_note(_context: AutogenContext, note: Note) -> list[str]:
    return [f"# {line}" for line in note.text.splitlines()]


def note_losses(operations: ops.UpgradeOps, former: Mapping[str, str] = UNCHANGED) -> list[Loss]:
    """Put a comment before each operation that loses something. Return the losses, in their order.

    `former` holds the former names of renamed tables. Their constraints are recreated under new names.
    """
    made = {_identity(operation, former) for operation in flat(operations.ops)} - {None}
    found: list[Loss] = []
    operations.ops[:] = _noted(operations.ops, made, found)
    return found


def losses_of(operations: Iterable[ops.MigrateOperation]) -> list[Loss]:
    """Return what a list of operations loses."""
    listed = list(flat(operations))
    made = {_identity(operation, UNCHANGED) for operation in listed} - {None}
    return [loss for operation in listed if (loss := _loss(operation, made)) is not None]


def flat(operations: Iterable[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    """Yield the operations one by one, without the containers of each table."""
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps):
            yield from flat(operation.ops)
        else:
            yield operation


def _noted(operations: Iterable[ops.MigrateOperation], made: set[Any], found: list[Loss]) -> list[ops.MigrateOperation]:
    noted: list[ops.MigrateOperation] = []
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps):
            operation.ops[:] = _noted(operation.ops, made, found)
        elif (loss := _loss(operation, made)) is not None:
            found.append(loss)
            noted.append(Note("\n".join(filter(None, [f"Loses {loss.what}.", loss.advice]))))
        noted.append(operation)
    return noted


def _identity(operation: ops.MigrateOperation, former: Mapping[str, str]) -> Any:
    """Return the identity of a constraint: its kind, table and columns, or for a check its former name."""
    if isinstance(operation, ops.CreateIndexOp) and operation.table_name in former:
        return ("unique", operation.table_name, _former_name(operation.index_name, operation.table_name, former))
    if isinstance(operation, CreateNoOverlap):
        return _overlap(operation.rule)
    if isinstance(operation, MAKES):
        kind, table, what = _rule(operation.to_constraint())
        return (kind, table, _former_name(what, table, former) if isinstance(what, str) else what)
    return None


def _former_name(name: str | None, table: str, former: Mapping[str, str]) -> str:
    """Return the name that the naming convention gave a constraint before its table was renamed."""
    return str(name).replace(f"_{table}_", f"_{former.get(table, table)}_", 1)


def _rule(constraint: Any) -> tuple[str, str, Any]:
    kind = type(constraint).__name__
    if isinstance(constraint, sa.CheckConstraint):
        return (kind, constraint.table.name, str(constraint.name))
    return (kind, constraint.table.name, frozenset(column.name for column in constraint.columns))


def _overlap(rule: Rule) -> Any:
    """Return the identity of a `NoOverlap`. Its name contains the resource, so a renamed column would change it."""
    return ("no_overlap", rule.table, rule.resource, rule.start, rule.end)


def _loss(operation: ops.MigrateOperation, made: set[Any]) -> Loss | None:
    """Return what an operation loses, or None."""
    if isinstance(operation, ops.DropTableOp):
        name = operation.table_name
        return Loss(f"{name}: all its rows", f'If it was renamed, write op.rename_table("{name}", "NEW") instead.')
    if isinstance(operation, ops.DropColumnOp):
        table, column = operation.table_name, operation.column_name
        keep = f'op.alter_column("{table}", "{column}", new_column_name="NEW")'
        return Loss(f"{table}.{column}: its values", f"If it was renamed, write {keep} instead.")
    if isinstance(operation, ops.AlterColumnOp):
        return _narrowed(operation)
    if isinstance(operation, ChangeEnum):
        gone = ", ".join(member for member in operation.before if member not in operation.after)
        advice = "A row that has one ends the migration: give it another value first."
        return Loss(f"{operation.name}: the members {gone}", advice) if gone else None
    return _rule_lost(operation, made)


def _rule_lost(operation: ops.MigrateOperation, made: set[Any]) -> Loss | None:
    if isinstance(operation, DropNoOverlap):
        rule = operation.rule
        is_lost = _overlap(rule) not in made
        return Loss(f"{rule.table}: the rule {rule.name}, that no two rows overlap") if is_lost else None
    if isinstance(operation, ops.DropConstraintOp):
        constraint = operation.to_constraint()
        if _rule(constraint) not in made:
            return Loss(f"{operation.table_name}: the rule {operation.constraint_name}")
    if isinstance(operation, ops.DropIndexOp) and operation.kw.get("unique"):
        is_lost = ("unique", operation.table_name, operation.index_name) not in made
        return Loss(f"{operation.table_name}: the unique rule of {operation.index_name}") if is_lost else None
    return None


def _narrowed(operation: ops.AlterColumnOp) -> Loss | None:
    before, after = operation.existing_type, operation.modify_type
    if before is None or after is None or holds_all(after, before):
        return None
    name = f"{operation.table_name}.{operation.column_name}"
    advice = "Values that the new type cannot hold end the migration, or are changed: look for them first."
    return Loss(f"{name}: what {_named(after)} cannot hold of {_named(before)}", advice)


def _named(kind: Any) -> str:
    return str(kind.compile(postgresql.dialect()))  # type: ignore[no-untyped-call]  # SQLAlchemy's


def holds_all(after: Any, before: Any) -> bool:
    """Return True if a column of type `after` can hold every value of type `before` unchanged."""
    after, before = _plain(after), _plain(before)
    if isinstance(after, sa.String) and isinstance(before, sa.String):
        return after.length is None or (before.length is not None and after.length >= before.length)
    if isinstance(after, sa.Float) or isinstance(before, sa.Float):
        return isinstance(after, sa.Float) and isinstance(before, (sa.Float, sa.SmallInteger))
    if isinstance(after, sa.Numeric) and isinstance(before, sa.Numeric):
        return _digits(after) >= _digits(before) and _scale(after) >= _scale(before)
    if isinstance(after, sa.Integer) and isinstance(before, sa.Integer):
        return _bytes(after) >= _bytes(before)
    return type(after) is type(before)


def _plain(kind: Any) -> Any:
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind


def _digits(kind: sa.Numeric[Any]) -> float:
    """Return the number of digits before the point."""
    return float("inf") if kind.precision is None else kind.precision - (kind.scale or 0)


def _scale(kind: sa.Numeric[Any]) -> float:
    return float("inf") if kind.precision is None else kind.scale or 0


def _bytes(kind: sa.Integer) -> int:
    return 8 if isinstance(kind, sa.BigInteger) else 2 if isinstance(kind, sa.SmallInteger) else 4
