"""Compares what an index of PostgreSQL is: its method, its operator classes and the columns that it includes.

Alembic compares the columns of an index that exists, and not these options. SQLite has none of them.

Must be imported before `ordering`, which sorts what is added here.
"""

from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateIndexOp, DropIndexOp, ModifyTableOps
from alembic.util import DispatchPriority

# PostgreSQL does not show an operator class that is the default of its type.
SHOWN_CLASSES = """
SELECT am.amname, class.opcname FROM pg_opclass class JOIN pg_am am ON am.oid = class.opcmethod
WHERE NOT class.opcdefault
"""


class Options(NamedTuple):
    """The method, the included columns, and the operator classes of columns."""

    method: str
    included: frozenset[str]
    classes: dict[str, str]


@comparators.dispatch_for("table", priority=DispatchPriority.LAST)
def compare_options(
    context: AutogenContext,
    changes: ModifyTableOps,
    _schema: str | None,
    _name: Any,
    stored: sa.Table | None,
    declared: sa.Table | None,
) -> None:
    """Recreate each index of PostgreSQL whose options differ from the declared ones."""
    connection: Any = context.connection  # migrations are never written offline
    if stored is None or declared is None or connection.dialect.name != "postgresql":
        return
    present = {str(index.name): index for index in stored.indexes}
    found = {operation.index_name for operation in changes.ops if isinstance(operation, DropIndexOp)}
    pairs = [(present.get(str(index.name)), index) for index in sorted(declared.indexes, key=lambda one: str(one.name))]
    pairs = [(former, index) for former, index in pairs if former is not None and former.name not in found]
    if not any(_has_options(index) for pair in pairs for index in pair):
        return
    shown = {(row[0], row[1]) for row in connection.exec_driver_sql(SHOWN_CLASSES)}
    for former, index in pairs:
        if former is not None and _options(former, declared, shown) != _options(index, declared, shown):
            changes.ops += [DropIndexOp.from_index(former), CreateIndexOp.from_index(index)]


def _has_options(index: sa.Index | None) -> bool:
    names = ("postgresql_using", "postgresql_include", "postgresql_ops")
    return index is not None and any(index.kwargs.get(name) for name in names)


def _options(index: sa.Index, table: sa.Table, shown: set[tuple[str, str]]) -> Options:
    """Return the options of an index. Classes of expressions are left out: PostgreSQL names them otherwise."""
    method = str(index.kwargs.get("postgresql_using") or "btree").lower()
    included = (getattr(one, "name", one) for one in index.kwargs.get("postgresql_include") or ())
    # A class names a column by its key, and the database by its name.
    names = {str(word): str(column.name) for key, column in table.columns.items() for word in (column.name, key)}
    classes: dict[str, str] = dict(index.kwargs.get("postgresql_ops") or {})
    return Options(
        method,
        frozenset(names.get(str(one), str(one)) for one in included),
        {names[key]: one for key, one in classes.items() if key in names and (method, one) in shown},
    )
