"""Escapes the SQL that Alembic reads and writes as text: defaults, checks, conditions and generated columns.

`sa.text` reads `:word` as a parameter, within quotes too, and a parameter without a value is NULL. Alembic gives it the
text of a database without escapes, and writes text into a file without escapes. On PostgreSQL it also doubles `%`.

Must be imported before the other comparisons, which use what this module escapes.
"""

import re
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.operations.ops import ModifyTableOps
from alembic.util import DispatchPriority

from rowhouse.migrations.compare.expressions import escaped, in_plain_sql

# PostgreSQL shows a text default with its type: 'new'::character varying.
CAST_OF_TEXT = re.compile(
    r"('(?:[^']|'')*')::(?:[a-z ]+(?:\(\d+\))?(?![\w(\"])|\"[^\"]+\"|\w+)(?:\[\])*", re.IGNORECASE
)


@comparators.dispatch_for("table", priority=DispatchPriority.FIRST)
def escape_stored(
    _context: AutogenContext,
    _changes: ModifyTableOps,
    _schema: str | None,
    _name: Any,
    stored: sa.Table | None,
    _declared: sa.Table | None,
) -> None:
    """Escape the SQL that was read of a table: a downgrade writes it."""
    if stored is None:
        return
    for column in stored.columns:
        default = column.server_default
        if column.computed is not None:
            column.computed.sqltext = _plain(column.computed.sqltext)
        elif isinstance(default, sa.DefaultClause) and isinstance(default.arg, sa.TextClause):
            default.arg = sa.text(escaped(CAST_OF_TEXT.sub(r"\1", default.arg.text)))
    for check in stored.constraints:
        if isinstance(check, sa.CheckConstraint):
            check.sqltext = _plain(check.sqltext)


def _plain(read: Any) -> sa.TextClause:
    """Return SQL that both databases understand."""
    return sa.text(escaped(in_plain_sql(read.text)))


def written(expression: str, *, is_index: bool = False) -> str:
    """Escape an expression for a file. SQLAlchemy reads no parameters in the expressions of an index."""
    return expression if is_index else escaped(expression)


class SafePostgresqlImpl(PostgresqlImpl):
    """Alembic's operations on PostgreSQL."""

    __dialect__ = "postgresql"

    def alter_column(self, table_name: str, column_name: str, **change: Any) -> None:
        """Alter a column. Drop its default first if the new type has another, which PostgreSQL does not convert."""
        if change.get("postgresql_using") is not None and change.get("server_default", False) is not False:
            super().alter_column(table_name, column_name, server_default=None, schema=change.get("schema"))
        super().alter_column(table_name, column_name, **change)

    def render_ddl_sql_expr(
        self, expr: sa.ClauseElement, is_server_default: bool = False, is_index: bool = False, **kw: Any  # noqa: FBT001, FBT002  Alembic's
    ) -> str:  # fmt: skip
        """Write an expression into a file."""
        text = super().render_ddl_sql_expr(expr, is_server_default=is_server_default, is_index=is_index, **kw)
        if is_server_default and text == "now()":
            text = "CURRENT_TIMESTAMP"  # SQLite has no other name for it
        return written(text.replace("%%", "%"), is_index=is_index)
