"""Compares check constraints by what they say; Alembic's own extension compares their names only.

A check that a type brings with it (`sa.Enum(native_enum=False, create_constraint=True)`) is written as a constraint
like any other. One that a type has on some databases only, a boolean's or a native enum's, is left to the type.
"""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _render_gen_name
from alembic.operations.ops import CreateCheckConstraintOp, DropConstraintOp, ModifyTableOps
from alembic.util import PriorityDispatchResult
from alembic.util.sqla_compat import all_table_check_constraints

from rowhouse.migrations.compare.column_types import POSTGRESQL, SQLITE, is_native_enum
from rowhouse.migrations.compare.expressions import PARAMETER, all_alike, in_plain_sql


@comparators.dispatch_for("table")
def _compare(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    name: str,
    stored_table: sa.Table | None,
    table: sa.Table | None,
) -> PriorityDispatchResult:
    """Drop what is declared no more, make what is not there, and both where the text differs."""
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
        check = sa.CheckConstraint(_escaped(in_plain_sql(stored[key])), name=sa.schema.conv(key), table=stored_table)
        operations.ops.append(DropConstraintOp.from_constraint(check))
    for key in sorted(declared.keys() - stored.keys() | changed):
        operations.ops.append(_creation(declared[key], table, context.dialect))
    return PriorityDispatchResult.CONTINUE


def _declared(table: sa.Table) -> tuple[dict[str, sa.CheckConstraint], set[str]]:
    """The checks by name, and the names of those that types have on some databases only."""
    declared, ignored = {}, set()
    for check in all_table_check_constraints(table):
        name = str(check.name)  # the naming convention refuses a check without one
        if _is_of_its_type_alone(check):
            ignored.add(name)
        else:
            declared[name] = check
    return declared, ignored


def _is_of_its_type_alone(check: sa.CheckConstraint) -> bool:
    """Whether a type brings the check with it on some databases, and not on others."""
    if not check._type_bound:  # noqa: SLF001  nothing public tells
        return False
    return any(isinstance(column.type, sa.Boolean) or is_native_enum(column.type) for column in check.columns)


def _creation(check: sa.CheckConstraint, table: sa.Table, dialect: sa.Dialect) -> CreateCheckConstraintOp:
    """By its text: a constraint that is made of columns would become another one of their table."""
    return CreateCheckConstraintOp(check.name, table.name, _escaped(_text_of(check, dialect)), schema=table.schema)


def _texts(check: sa.CheckConstraint) -> list[str]:
    """What each database would be told: a file is written on one and may run on the other."""
    return [_text_of(check, dialect) for dialect in (SQLITE, POSTGRESQL)]


def _text_of(check: sa.CheckConstraint, dialect: sa.Dialect) -> str:
    words = {"literal_binds": True, "include_table": False}
    return str(check.sqltext.compile(dialect=dialect, compile_kwargs=words)).replace("%%", "%")


def _escaped(text: str) -> str:
    """As SQLAlchemy reads it, which sees a parameter in `:word`."""
    return PARAMETER.sub(r"\:", text)


def write_check(check: sa.CheckConstraint, context: AutogenContext) -> str | bool:
    """A check, and a type's too, as a constraint of its own; False leaves the writing to Alembic."""
    if _is_of_its_type_alone(check):
        return False
    name = _render_gen_name(context, check.name)
    return f"sa.CheckConstraint({_escaped(_text_of(check, context.dialect))!r}, name={name!r})"


@renderers.dispatch_for(CreateCheckConstraintOp, replace=True)
def _render_creation(context: AutogenContext, operation: CreateCheckConstraintOp) -> str:
    """As Alembic writes it, but for `%` and `:`, which it would have SQLAlchemy read as something else."""
    text = operation.condition.text if isinstance(operation.condition, sa.TextClause) else operation.condition
    in_batch = context._has_batch  # noqa: SLF001  as Alembic asks
    place = [] if in_batch else [repr(operation.table_name)]
    schema = [] if in_batch or operation.schema is None else [f"schema={operation.schema!r}"]
    name = repr(_render_gen_name(context, operation.constraint_name))
    words = ", ".join([name, *place, repr(text), *schema])
    return f"{'batch_op' if in_batch else 'op'}.create_check_constraint({words})"
