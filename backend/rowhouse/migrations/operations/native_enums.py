"""Operations and comparison of native enums, such as `sa.Enum("draft", "published", name="state")`.

    op.create_enum("state", "draft", "published")
    op.change_enum("state", ("draft", "published"), ("draft", "published", "withdrawn"))

SQLite has no such types. There a view `enum_state` lists the members, so that a comparison finds a change of them. The
view is made by `op.create_enum`, and with every table that has such a column. SQLite does not know which columns have
the type. A change that takes members away therefore names them: `columns=[("invoices", "state")]`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import AddColumnOp, AlterColumnOp, CreateTableOp, ModifyTableOps, UpgradeOps
from alembic.util import CommandError, DispatchPriority
from sqlalchemy import event

from rowhouse.entities.no_overlap import literal
from rowhouse.migrations.compare.column_types import ENUM_VIEW, POSTGRESQL, SQLITE, is_native_enum
from rowhouse.migrations.engine_tables import ENGINE
from rowhouse.migrations.operations.operation import EngineOperation

Members = tuple[str, ...]
Columns = Sequence[tuple[str, str]]
"""Tables and their columns; on SQLite, a table in a schema has one name: `ops.jobs`."""
STORED = """
    SELECT t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
    FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
    WHERE t.typnamespace = current_schema()::regnamespace GROUP BY t.typname
"""
USERS = """
    SELECT c.oid::regclass::text, quote_ident(a.attname), pg_get_expr(d.adbin, d.adrelid),
        CASE a.atttypid WHEN t.oid THEN '' ELSE '[]' END
    FROM pg_type t JOIN pg_attribute a ON a.atttypid IN (t.oid, t.typarray) JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
    WHERE t.oid = CAST(:name AS regtype) AND c.relkind IN ('r', 'p') AND NOT a.attisdropped
"""
# Checks, exclusion constraints and indexes whose conditions compare with a member: how to drop and create each.
DEPENDENTS = """
    WITH dependent AS (
        SELECT classid, objid FROM pg_depend
        WHERE refclassid = 'pg_type'::regclass
            AND refobjid IN (SELECT unnest(ARRAY[oid, typarray]) FROM pg_type WHERE oid = CAST(:name AS regtype))
    )
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid <> 0 AND EXISTS (
        SELECT FROM dependent WHERE (classid = 'pg_constraint'::regclass AND objid = pg_constraint.oid)
            OR (classid = 'pg_class'::regclass AND objid = conindid)
    )
    UNION ALL
    SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index WHERE EXISTS (SELECT FROM dependent WHERE classid = 'pg_class'::regclass AND objid = indexrelid)
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype <> 'f')
"""
# Whether this transaction, or a savepoint of it, has created the type.
IS_NEW = "SELECT age(xmin) <= 0 FROM pg_type WHERE oid = to_regtype(:name)"
REPLACES_TYPES = "rowhouse_replaces_types"
IS_VIEW_OF_MEMBERS = "(member) AS VALUES "
VIEWS = f"""
    SELECT substr(name, {len(ENUM_VIEW) + 1}), name FROM sqlite_master
    WHERE type = 'view' AND substr(name, 1, {len(ENUM_VIEW)}) = '{ENUM_VIEW}' AND instr(sql, '{IS_VIEW_OF_MEMBERS}') > 0
"""  # noqa: S608  # nosec B608  our own constants


@Operations.register_operation("create_enum")
class CreateEnum(EngineOperation):
    """Create the type if it does not exist."""

    def __init__(self, name: str, members: Members) -> None:
        self.name, self.members = name, members

    @classmethod
    def create_enum(cls, operations: Operations, name: str, *members: str) -> None:
        """`op.create_enum(...)`."""
        operations.invoke(cls(name, members))

    def reverse(self) -> "DropEnum":
        """Return the operation of the downgrade."""
        return DropEnum(self.name, self.members)


@Operations.register_operation("drop_enum")
class DropEnum(EngineOperation):
    """Drop the type if no column has it."""

    def __init__(self, name: str, members: Members) -> None:
        self.name, self.members = name, members

    @classmethod
    def drop_enum(cls, operations: Operations, name: str) -> None:
        """`op.drop_enum(...)`."""
        operations.invoke(cls(name, ()))

    def reverse(self) -> CreateEnum:
        """Return the operation of the downgrade."""
        return CreateEnum(self.name, self.members)


@Operations.register_operation("change_enum")
class ChangeEnum(EngineOperation):
    """Change the members of the type. If a row has a removed member, raise an error and change nothing.

    `columns` are the columns of the type. SQLite looks there for such rows; PostgreSQL finds its columns itself.
    """

    def __init__(self, name: str, before: Members, after: Members, columns: Columns = ()) -> None:
        self.name, self.before, self.after, self.columns = name, before, after, columns

    @classmethod
    def change_enum(
        cls, operations: Operations, name: str, before: Members, after: Members, columns: Columns = ()
    ) -> None:
        """`op.change_enum(...)`."""
        operations.invoke(cls(name, before, after, columns))

    def reverse(self) -> "ChangeEnum":
        """Return the operation of the downgrade."""
        return ChangeEnum(self.name, self.after, self.before, self.columns)

    @property
    def only_adds(self) -> bool:
        """Return True if all former members stay, in their order."""
        return [one for one in self.after if one in self.before] == list(self.before)


@Operations.implementation_for(CreateEnum)
def _create(operations: Operations, operation: CreateEnum) -> None:
    if operations.get_context().dialect.name == "postgresql":
        creation = _creation(operation.name, operation.members)
        is_absent = f"to_regtype({literal(_quoted(operation.name))}) IS NULL"
        _execute(operations, f"DO $do$ BEGIN IF {is_absent} THEN {creation}; END IF; END $do$")
    else:
        _execute(operations, _view(operation.name, operation.members))


@Operations.implementation_for(DropEnum)
def _drop(operations: Operations, operation: DropEnum) -> None:
    if operations.get_context().dialect.name != "postgresql":
        operations.execute(f"DROP VIEW IF EXISTS {_view_name(operation.name)}")
        return
    # Without CASCADE, PostgreSQL rejects the drop of a type that a column has. The type then stays.
    operations.execute(
        f"DO $do$ BEGIN DROP TYPE IF EXISTS {_quoted(operation.name)}; "
        "EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $do$"
    )


@Operations.implementation_for(ChangeEnum)
def _change(operations: Operations, operation: ChangeEnum) -> None:
    if operations.get_context().dialect.name != "postgresql":
        if not operations.get_context().as_sql:
            _refuse_rows(operations.get_bind(), operation)
        operations.execute(f"DROP VIEW IF EXISTS {_view_name(operation.name)}")
        _execute(operations, _view(operation.name, operation.after))
        return
    if not operation.only_adds and operations.get_context().as_sql:
        raise CommandError(f"change_enum({operation.name!r}, ...) looks for the columns: run it on a database")
    adds = operation.only_adds and (operations.get_context().as_sql or not _is_used_at_once(operations, operation))
    for statement in _additions(operation) if adds else _replacement(operations.get_bind(), operation):
        _execute(operations, statement)


def replace_types(connection: sa.Connection) -> None:
    """Let every further `change_enum` on this connection replace its type, so that new members can be used at once.

    PostgreSQL refuses a member that was added (`ADD VALUE`) in the same transaction: in a default, a check or a row.
    """
    connection.info[REPLACES_TYPES] = True


def replaces_types(connection: sa.Connection) -> bool:
    """Return True after `replace_types`."""
    return REPLACES_TYPES in connection.info


def _is_used_at_once(operations: Operations, operation: ChangeEnum) -> bool:
    """Return whether new members may be used in this transaction: if it has created the type, or has failed before."""
    connection = operations.get_bind()
    if replaces_types(connection):
        return True
    return bool(connection.execute(sa.text(IS_NEW), {"name": _quoted(operation.name)}).scalar())


def _refuse_rows(connection: sa.Connection, operation: ChangeEnum) -> None:
    """Reject a change on SQLite while a row has a removed member."""
    gone = sorted(set(operation.before) - set(operation.after))
    for table_name, column_name in _present(connection, operation.columns) if gone else ():
        column: sa.ColumnClause[str] = sa.column(column_name)
        held = sa.select(column).select_from(sa.table(table_name)).where(column.in_(gone)).limit(1)
        member = connection.execute(held).scalar()
        if member is not None:
            raise CommandError(
                f"{table_name}.{column_name} has rows with {member!r}, which {operation.name} no longer has: "
                "give them another value first"
            )


def _present(connection: sa.Connection, columns: Columns) -> Iterator[tuple[str, str]]:
    """Yield the columns that exist. The same migration may add the others later."""
    inspector = sa.inspect(connection)
    for table, column in columns:
        if inspector.has_table(table) and column in {one["name"] for one in inspector.get_columns(table)}:
            yield table, column


def _execute(operations: Operations, statement: str) -> None:
    """Run SQL without parameters: a member may contain a colon or a percent sign."""
    operations.execute(sa.text(statement.replace(":", r"\:")))


def _additions(operation: ChangeEnum) -> Iterator[str]:
    """Return the statements that only add members. They rewrite no table."""
    for place, member in enumerate(operation.after):
        if member not in operation.before:
            where = (
                f" AFTER {literal(operation.after[place - 1])}" if place else f" BEFORE {literal(operation.before[0])}"
            )
            yield f"ALTER TYPE {_quoted(operation.name)} ADD VALUE IF NOT EXISTS {literal(member)}{where}"


def _replacement(connection: sa.Connection, operation: ChangeEnum) -> Iterator[str]:
    """Return the statements that replace the type and convert each column by its text.

    PostgreSQL would compare the new type with members of the former one. So what compares is made anew.
    """
    name, former = _quoted(operation.name), _quoted(f"{operation.name}_former")
    users = connection.execute(sa.text(USERS), {"name": name}).all()
    dependents = connection.execute(sa.text(DEPENDENTS), {"name": name}).all()
    yield from (drop for drop, _ in dependents)
    yield f"ALTER TYPE {name} RENAME TO {former}"
    yield _creation(operation.name, operation.after)
    for table, column, default, array in users:
        change = f"ALTER TABLE {table} ALTER COLUMN {column}"
        if default is not None:
            yield f"{change} DROP DEFAULT"
        yield f"{change} TYPE {name}{array} USING {column}::text{array}::{name}{array}"
        if default is not None:
            yield f"{change} SET DEFAULT {default}"
    yield f"DROP TYPE {former}"
    yield from (create for _, create in dependents)


def _creation(name: str, members: Members) -> str:
    return f"CREATE TYPE {_quoted(name)} AS ENUM ({', '.join(map(literal, members))})"


def _quoted(name: str) -> str:
    return POSTGRESQL.identifier_preparer.quote(name)


def _view(name: str, members: Members) -> str:
    """Return the statement that creates SQLite's view of the members."""
    rows = ", ".join(f"({literal(member)})" for member in members)
    return f"CREATE VIEW IF NOT EXISTS {_view_name(name)} {IS_VIEW_OF_MEMBERS}{rows}"


def _view_name(name: str) -> str:
    return SQLITE.identifier_preparer.quote(f"{ENUM_VIEW}{name}")


@event.listens_for(sa.Table, "after_create")
def _list_members(table: sa.Table, connection: sa.Connection, **_options: Any) -> None:
    """List the members of a new table's enums on SQLite, as PostgreSQL makes their types."""
    if connection.dialect.name == "sqlite":
        for name, members in _declared([table]).items():
            connection.execute(sa.text(_view(name, members).replace(":", r"\:")))


@renderers.dispatch_for(CreateEnum)
def _render_create(_context: AutogenContext, operation: CreateEnum) -> str:
    return f"op.create_enum({', '.join(map(repr, (operation.name, *operation.members)))})"


@renderers.dispatch_for(DropEnum)
def _render_drop(_context: AutogenContext, operation: DropEnum) -> str:
    return f"op.drop_enum({operation.name!r})"


@renderers.dispatch_for(ChangeEnum)
def _render_change(_context: AutogenContext, operation: ChangeEnum) -> str:
    columns = f", columns={operation.columns!r}" if operation.columns else ""
    return f"op.change_enum({operation.name!r}, {operation.before!r}, {operation.after!r}{columns})"


@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, operations: UpgradeOps, _schemas: Any) -> None:
    """Add operations: create types for new columns, change types with other members, drop unused types."""
    if context.opts.get("branch") == ENGINE:
        return  # its tables have no native enum, and those that are stored belong to the project
    connection: Any = context.connection  # migrations are never written offline
    declared = _declared(context.sorted_tables)
    if connection.dialect.name == "postgresql":
        stored: dict[str, Members] = {name: tuple(members) for name, members in connection.execute(sa.text(STORED))}
        new, gone = (dict(_enums(operations.ops, is_new=is_new)) for is_new in (True, False))
    else:
        # Every view on SQLite is the engine's own. A database that was migrated before there were views gets them now.
        stored = {name: _listed(connection, view) for name, view in connection.execute(sa.text(VIEWS)).all()}
        new, gone = declared, stored
    operations.ops += [CreateEnum(name, members) for name, members in sorted(new.items()) if name not in stored]
    operations.ops += [
        ChangeEnum(name, stored[name], members, _columns(context.sorted_tables, name))
        for name, members in sorted(declared.items())
        if name in stored and stored[name] != members
    ]
    operations.ops += [DropEnum(name, members) for name, members in sorted(gone.items()) if name not in declared]


def _declared(tables: Iterable[sa.Table]) -> dict[str, Members]:
    """Return the members of the native enums of some tables, by the name of the enum."""
    return {
        str(kind.name): tuple(kind.enums)
        for table in tables
        for column in table.columns
        if (kind := _enum_of(column.type)) is not None
    }


def _enum_of(kind: Any) -> sa.Enum | None:
    """Return the native enum of a column's type, which may be an array of it. None for any other type."""
    item = kind.item_type if isinstance(kind, sa.ARRAY) else kind
    return item if isinstance(item, sa.Enum) and is_native_enum(item) else None


def _columns(tables: Iterable[sa.Table], name: str) -> list[tuple[str, str]]:
    """Return the columns that have a native enum."""
    return [
        (table.fullname, str(column.name))
        for table in tables
        for column in table.columns
        if (kind := _enum_of(column.type)) is not None and kind.name == name
    ]


def _listed(connection: sa.Connection, view: str) -> Members:
    """Return the members that a view of SQLite lists, in their order."""
    name = SQLITE.identifier_preparer.quote(view)
    return tuple(connection.exec_driver_sql(f"SELECT member FROM {name}").scalars())  # noqa: S608  # nosec B608  quoted


def _enums(operations: list[MigrateOperation], *, is_new: bool) -> Iterator[tuple[str, Members]]:
    """Return the native enums of the columns that operations create, or of those that they drop."""
    for operation in operations:
        if isinstance(operation, ModifyTableOps):
            yield from _enums(operation.ops, is_new=is_new)
            continue
        for kind in map(_enum_of, _types(operation if is_new else operation.reverse())):
            if kind is not None:
                yield str(kind.name), tuple(kind.enums)


def _types(operation: MigrateOperation) -> list[Any]:
    """Return the types of the columns that an operation creates."""
    if isinstance(operation, CreateTableOp):
        return [part.type for part in operation.columns if isinstance(part, sa.Column)]
    if isinstance(operation, AddColumnOp):
        return [operation.column.type]
    return [operation.modify_type] if isinstance(operation, AlterColumnOp) else []
