"""Compares the conditions of partial indexes, and keeps them when an index or its table is dropped.

Alembic does not compare the conditions of an index that exists. Of a dropped index it reads the condition for this
database only: a downgrade on the other database would create the index without it.

Must be imported before `ordering`, which sorts what is added here.
"""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateIndexOp, DropIndexOp, ModifyTableOps, UpgradeOps
from alembic.util import DispatchPriority

from rowhouse.migrations.compare.expressions import all_alike, escaped, in_plain_sql, text_of

OPTIONS = ("sqlite_where", "postgresql_where")


@comparators.dispatch_for("table", priority=DispatchPriority.LAST)
def compare_conditions(
    context: AutogenContext,
    changes: ModifyTableOps,
    _schema: str | None,
    _name: Any,
    stored: sa.Table | None,
    declared: sa.Table | None,
) -> None:
    """Recreate each index that has another condition than the declared one."""
    if stored is None or declared is None:
        return
    connection: Any = context.connection  # migrations are never written offline
    present = {str(index.name): index for index in stored.indexes}
    found = {operation.index_name for operation in changes.ops if isinstance(operation, DropIndexOp)}
    for index in sorted(declared.indexes, key=lambda one: str(one.name)):
        former = present.get(str(index.name))
        if former is None or former.name in found:
            continue
        before, after = _stored_condition(former.kwargs, connection.dialect), _condition(index, connection.dialect)
        if not all_alike(connection, declared.fullname, [(before, after)]):
            changes.ops += [DropIndexOp.from_index(former), CreateIndexOp.from_index(index)]


def _condition(index: sa.Index, dialect: sa.Dialect) -> str:
    """The condition of a declared index as SQL; empty without one."""
    condition = index.kwargs.get(f"{dialect.name}_where")
    if condition is None:
        return ""
    return text_of(condition if isinstance(condition, sa.ClauseElement) else sa.text(condition), dialect)


def _stored_condition(options: Any, dialect: sa.Dialect) -> str:
    """The condition of an index that was read from the database, where nothing is escaped; empty without one."""
    condition = options.get(f"{dialect.name}_where")
    return str(getattr(condition, "text", condition) or "")


@comparators.dispatch_for("autogenerate", priority=DispatchPriority.LAST)
def keep_conditions(context: AutogenContext, upgrade: UpgradeOps) -> None:
    """Write the condition of a dropped index for both databases, for the downgrade."""
    connection: Any = context.connection  # as above
    for changes in upgrade.ops:
        for operation in changes.ops if isinstance(changes, ModifyTableOps) else ():
            if isinstance(operation, DropIndexOp):
                _keep_condition(operation, connection.dialect)


def _keep_condition(operation: DropIndexOp, dialect: sa.Dialect) -> None:
    stored = _stored_condition(operation.kw, dialect)
    if stored:
        plain = sa.text(escaped(in_plain_sql(stored)))
        operation.kw = {
            **operation.kw,
            **dict.fromkeys(OPTIONS, plain),
            f"{dialect.name}_where": sa.text(escaped(stored)),
        }
