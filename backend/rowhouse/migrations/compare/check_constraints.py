"""Compares the SQL of check constraints. Alembic compares only their names.

A check that a type creates (`sa.Enum(native_enum=False, create_constraint=True)`) is written as an ordinary
constraint. One that a type creates on some databases only, such as a boolean's, stays with the type.
"""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateCheckConstraintOp, DropConstraintOp, ModifyTableOps
from alembic.util import PriorityDispatchResult

from rowhouse.entities.sqlalchemy_internals import is_made_by_type
from rowhouse.migrations.alembic_internals import checks_of, is_in_batch, rendered_name
from rowhouse.migrations.compare.column_types import POSTGRESQL, SQLITE, is_native_enum
from rowhouse.migrations.compare.expressions import all_alike, escaped, in_plain_sql, text_of


@comparators.dispatch_for("table")
def _compare(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    name: str,
    stored_table: sa.Table | None,
    table: sa.Table | None,
) -> PriorityDispatchResult:
    """Add operations: drop undeclared checks, create missing checks, recreate changed checks."""
    if stored_table is None or table is None:
        return PriorityDispatchResult.CONTINUE
    declared, ignored = _declared(table)
    stored = {
        str(check["name"]): check["sqltext"]
        for check in context.inspector.get_check_constraints(name, schema=schema)
        if check["name"] is not None and check["name"] not in ignored
    }
    connection: Any = context.connection  # migrations are never written offline
    changed = {
        key
        for key in declared.keys() & stored.keys()
        if not any(all_alike(connection, table.fullname, [(stored[key], text)]) for text in _texts(declared[key]))
    }
    for key in sorted(stored.keys() - declared.keys() | changed):
        check = sa.CheckConstraint(escaped(in_plain_sql(stored[key])), name=sa.schema.conv(key), table=stored_table)
        operations.ops.append(DropConstraintOp.from_constraint(check))
    for key in sorted(declared.keys() - stored.keys() | changed):
        operations.ops.append(_creation(declared[key], table, context.dialect))
    return PriorityDispatchResult.CONTINUE


def _declared(table: sa.Table) -> tuple[dict[str, sa.CheckConstraint], set[str]]:
    """Return the checks by name, and the names of checks that a type creates on some databases only."""
    declared, ignored = {}, set()
    for check in checks_of(table):
        name = str(check.name)  # the naming convention rejects a check without a name
        if _is_of_its_type_alone(check):
            ignored.add(name)
        else:
            declared[name] = check
    return declared, ignored


def _is_of_its_type_alone(check: sa.CheckConstraint) -> bool:
    """Return True if a type creates the check on some databases and not on others."""
    if not is_made_by_type(check):
        return False
    return any(isinstance(column.type, sa.Boolean) or is_native_enum(column.type) for column in check.columns)


def _creation(check: sa.CheckConstraint, table: sa.Table, dialect: sa.Dialect) -> CreateCheckConstraintOp:
    """Return the operation that creates a check. It holds text: columns would add the check to their table."""
    text = escaped(text_of(check.sqltext, dialect))
    return CreateCheckConstraintOp(check.name, table.name, text, schema=table.schema)


def _texts(check: sa.CheckConstraint) -> list[str]:
    """Return the SQL for both databases: a file is written on one and may run on the other."""
    return [text_of(check.sqltext, dialect) for dialect in (SQLITE, POSTGRESQL)]


def write_check(check: sa.CheckConstraint, context: AutogenContext) -> str | bool:
    """Return the code of a check as a constraint of its own, also of a type's check. False: Alembic writes it."""
    if _is_of_its_type_alone(check):
        return False
    name = rendered_name(context, check.name)
    return f"sa.CheckConstraint({escaped(text_of(check.sqltext, context.dialect))!r}, name={name!r})"


@renderers.dispatch_for(CreateCheckConstraintOp, replace=True)
def _render_creation(context: AutogenContext, operation: CreateCheckConstraintOp) -> str:
    """Write the operation as Alembic does, but escape `%` and `:`, which SQLAlchemy would read as parameters."""
    text = operation.condition.text if isinstance(operation.condition, sa.TextClause) else operation.condition
    in_batch = is_in_batch(context)
    place = [] if in_batch else [repr(operation.table_name)]
    schema = [] if in_batch or operation.schema is None else [f"schema={operation.schema!r}"]
    name = repr(rendered_name(context, operation.constraint_name))
    words = ", ".join([name, *place, repr(text), *schema])
    return f"{'batch_op' if in_batch else 'op'}.create_check_constraint({words})"
