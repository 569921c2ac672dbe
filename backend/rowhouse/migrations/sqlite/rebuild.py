"""Lets Alembic rebuild a SQLite table without losing anything, and checks each migration before its commit.

SQLite alters little in place; Alembic's batch mode makes a new table, copies the rows and drops the old one.
`SafeSQLiteImpl` replaces Alembic's class as soon as this module is imported. It keeps what Alembic would lose:
triggers, indexes, constraints, collations, AUTOINCREMENT and its counter. `guarded` switches foreign keys off, because
dropping a table deletes its rows and the rows that refer to them.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations import Operations
from alembic.operations.batch import ApplyBatchImpl, BatchOperationsImpl

from rowhouse.db.dialects.sqlite_schemas import SQLiteWithSchemas
from rowhouse.migrations.compare.expression_indexes import is_misread, misread_indexes
from rowhouse.migrations.compare.texts import written
from rowhouse.migrations.sqlite.checks import UnsafeMigrationError, check, row_counts, state_of
from rowhouse.migrations.sqlite.names import in_one_name, tables_in_schemas, with_one_name
from rowhouse.migrations.sqlite.tables import carry_over, mentions, read, unqualified
from rowhouse.migrations.sqlite.values import convert, misfit

# A warning while Alembic reads a table. It does not matter: the rebuilt table keeps these parts.
UNTRUE = "Unnamed CHECK constraint on reflected table"
# The key in `Table.info` for the constraints that a rebuild renames: old and new names.
RENAMED = "rowhouse_renamed_constraints"
OBJECTS = "SELECT name, sql FROM sqlite_master WHERE type = ? AND tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL"
TABLE = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE"
UNREAD = "SELECT 1 FROM pragma_index_info(?) WHERE name IS NULL"
REFERRING = """
SELECT DISTINCT child.name FROM sqlite_master AS child, pragma_foreign_key_list(child.name) AS key
WHERE child.type = 'table' AND child.name <> :table COLLATE NOCASE AND key."table" = :table COLLATE NOCASE
ORDER BY child.name
"""


@contextmanager
def guarded(connection: sa.Connection, begin: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
    """Run migrations in the transaction that `begin` begins. On SQLite, switch foreign keys off, and check the result.

        with guarded(connection, context.begin_transaction):
            context.run_migrations()

    SQLite switches foreign keys between transactions only. Within one, a table that others refer to is not rebuilt.

    Raises:
        UnsafeMigrationError: a row refers to one that is not there, or a trigger or a view does not compile any more.
    """
    if connection.dialect.name != "sqlite":
        with begin():
            yield
        return
    with _foreign_keys_off(connection), warnings.catch_warnings(), begin():
        warnings.filterwarnings("ignore", UNTRUE)
        before = state_of(connection)
        yield
        check(connection, before)


@contextmanager
def _foreign_keys_off(connection: sa.Connection) -> Iterator[None]:
    # Below SQLAlchemy, which would begin a transaction.
    driver: Any = connection.connection.driver_connection
    is_outside = not driver.in_transaction
    (former,) = driver.execute("PRAGMA foreign_keys").fetchone()
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        if is_outside and driver.in_transaction:  # its COMMIT failed, or nobody committed
            driver.rollback()
        driver.execute(f"PRAGMA foreign_keys={former}")


class SafeSQLiteImpl(SQLiteImpl):
    """Alembic's operations on SQLite, with rebuilds that lose nothing."""

    __dialect__ = "sqlite"

    _rebuild: "Rebuild | None" = None

    def _exec(self, construct: Any, *arguments: Any, **options: Any) -> Any:
        """Run or write out a statement, with the one name of a table in a schema."""
        if isinstance(self.dialect, SQLiteWithSchemas):
            construct = with_one_name(construct)
        return super()._exec(construct, *arguments, **options)

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        """Run the SQL that a migration gives to `op.execute`, with the one name of a table in a schema."""
        if isinstance(self.dialect, SQLiteWithSchemas) and isinstance(sql, str | sa.TextClause):
            connection = None if self.as_sql else self.connection
            tables = tables_in_schemas(connection, self.context_opts.get("target_metadata"))
            if isinstance(sql, str):
                sql = in_one_name(sql, tables)
            else:
                sql.text = in_one_name(sql.text, tables)
        super().execute(sql, execution_options)

    def render_ddl_sql_expr(self, expr: sa.ClauseElement, is_server_default: bool = False, **kw: Any) -> str:  # noqa: FBT001, FBT002  Alembic's
        """Write an expression into a file."""
        return written(super().render_ddl_sql_expr(expr, is_server_default=is_server_default, **kw), **kw)

    def requires_recreate_in_batch(self, batch_op: BatchOperationsImpl) -> bool:
        """Return True also for a column that SQLite cannot add to an existing table."""
        if self.as_sql:
            return super().requires_recreate_in_batch(batch_op)
        added = [arguments[1] for name, arguments, _options in batch_op.batch if name == "add_column"]
        if super().requires_recreate_in_batch(batch_op) or any(map(_must_be_given, added)):
            batch_op.batch[:] = [one for one in batch_op.batch if not self._drops_unread(*one)]
            return True
        return False

    def _drops_unread(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
        """Drop an index of expressions now: SQLAlchemy does not read it, so Alembic would not find it."""
        if name != "drop_index" or self.connection is None:
            return False
        found = self.connection.exec_driver_sql(UNREAD, (str(arguments[0].name),)).first()
        if found is not None:
            self.drop_index(*arguments, **options)
        return found is not None

    def correct_for_autogen_constraints(
        self, _uniques: object, indexes: set[sa.Index], _declared_uniques: object, declared_indexes: set[sa.Index]
    ) -> None:
        """Leave the indexes that SQLAlchemy misreads to `compare.expression_indexes`, which reads them."""
        misread = {index for index in declared_indexes if is_misread(index)}
        declared_indexes -= misread
        connection: Any = self.connection  # migrations are never written offline
        names = {str(index.name) for index in misread} | misread_indexes(connection)
        indexes -= {index for index in indexes if index.name in names}

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: sa.Table) -> None:
        """Read everything that belongs to the table. In `--sql` mode there is nothing to read."""
        if self.connection is not None and not self.as_sql:
            self._rebuild = Rebuild(self.connection, batch_impl, table)

    def cast_for_batch_migrate(
        self, existing: sa.Column[Any], existing_transfer: dict[str, Any], new_type: sa.types.TypeEngine[Any]
    ) -> None:
        """Convert the values."""
        existing_transfer["expr"] = convert(existing_transfer["expr"], existing.type, new_type)

    def create_table(self, table: sa.Table, **kw: Any) -> None:
        """Create a table. A rebuilt one is created from its stored statement and the changes."""
        if self._rebuild is not None and table is self._rebuild.new_table and self._rebuild.statement:
            self._rebuild.connection.exec_driver_sql(self._rebuild.statement)
        else:
            super().create_table(table, **kw)

    def rename_table(
        self,
        old_table_name: str,
        new_table_name: str | sa.sql.quoted_name,
        schema: str | sa.sql.quoted_name | None = None,
    ) -> None:
        """Rename a table. After a rebuild, restore its indexes, triggers and counter."""
        rebuild = self._rebuild
        if rebuild is None or old_table_name != rebuild.temporary_name:
            super().rename_table(old_table_name, new_table_name, schema=schema)
            return
        with rebuild.renaming():
            super().rename_table(old_table_name, new_table_name, schema=schema)
        self._rebuild = None
        rebuild.finish()


def rename_constraint(operations: Operations, table: str, old: str, new: str) -> None:
    """Rename a constraint of a table on SQLite by a rebuild. A table without this constraint is left alone."""
    stored = operations.get_bind().exec_driver_sql(TABLE, (table,)).scalar_one()
    if read(stored).has_constraint(old):
        with operations.batch_alter_table(table, recreate="always", table_kwargs={"info": {RENAMED: {old: new}}}):
            pass  # a rebuild that changes nothing else


def _must_be_given(column: sa.Column[Any]) -> bool:
    """Return True if every new row needs a value for the column."""
    return not column.nullable and column.server_default is None


class Rebuild:
    """The rebuild of one table."""

    def __init__(self, connection: sa.Connection, batch: ApplyBatchImpl, table: sa.Table) -> None:
        if batch.new_table is None or table.schema is not None:
            raise UnsafeMigrationError(
                f"{table.fullname} is in an attached database, or `copy_from` has a schema; "
                "only tables of the main one are rebuilt"
            )
        self.connection = connection
        self.new_table = batch.new_table
        self.temporary_name = batch.temp_table_name
        self._name = str(table.name)
        self._quote = connection.dialect.identifier_preparer.quote
        self._refuse_what_would_lose_rows(batch, table)
        self._rename_columns(batch, table)
        self._counts = row_counts(connection)
        self._counter = self._read_counter()
        self._indexes = [*self._kept_indexes(batch, table), *self._new_indexes(batch, table)]
        self._triggers = list(self._objects("trigger").values())
        self._misfits = list(self._conditions(batch, table))
        self.statement = self._create_statement(batch, table) if batch.reflected else ""
        for key, column in batch.columns.items():
            if column.computed is not None:  # SQLite rejects a value for it
                batch.column_transfers[key].pop("expr", None)

    def _refuse_what_would_lose_rows(self, batch: ApplyBatchImpl, table: sa.Table) -> None:
        """Reject a rebuild that would lose rows or columns, before anything is done."""
        referring = self.connection.execute(sa.text(REFERRING), {"table": self._name}).scalars().all()
        if referring and self.connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
            raise UnsafeMigrationError(
                f"{self._name} cannot be rebuilt while foreign keys are on: {', '.join(referring)} would lose rows. "
                "Run the migration within `guarded`, on a connection without a transaction"
            )
        stored = {column["name"] for column in sa.inspect(self.connection).get_columns(self._name)}
        if unknown := sorted(stored - set(table.columns.keys())):
            raise UnsafeMigrationError(f"{self._name} would lose {', '.join(unknown)}: `copy_from` does not name it")
        for key, column in batch.columns.items():
            self._refuse_null(column, table.columns.get(key))

    def _refuse_null(self, column: sa.Column[Any], former: sa.Column[Any] | None) -> None:
        """Reject NOT NULL for a column if a row has no value for it."""
        if column.nullable or column.primary_key or (former is not None and not former.nullable):
            return
        if former is None and not _must_be_given(column):
            return
        is_lacking, then = "TRUE", "give it a server_default"
        if former is not None:
            is_lacking, then = f"{self._quote(str(former.name))} IS NULL", "give them a value first"
        rows = self._count_where(is_lacking)
        if rows:
            raise UnsafeMigrationError(
                f"{self._name}.{column.name} cannot be NOT NULL: {rows} rows have no value; {then}"
            )

    def _rename_columns(self, batch: ApplyBatchImpl, table: sa.Table) -> None:
        """Let SQLite rename columns first: foreign keys, checks, indexes, triggers and views follow.

        Alembic's reading of the table says the new names from then on.
        """
        itself = self.new_table.metadata.tables.get(table.key)  # a foreign key to the table itself
        names = {key: str(column.name) for key, column in batch.columns.items() if key in table.columns}
        moved = {key: name for key, name in names.items() if name != table.columns[key].name}
        for column in table.columns:
            if column.name in moved.values():  # the batch renames or drops it
                self._rename_column(column, f"_alembic_old_{column.name}")
        for key, name in moved.items():
            self._rename_column(table.columns[key], name)
            if itself is not None and key in itself.columns:
                itself.columns[key].name = name

    def _rename_column(self, column: sa.Column[Any], name: str) -> None:
        table, old, new = (self._quote(str(one)) for one in (self._name, column.name, name))
        self.connection.exec_driver_sql(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
        column.name = name

    def _read_counter(self) -> int | None:
        """Return the last key that AUTOINCREMENT assigned."""
        if "sqlite_sequence" not in sa.inspect(self.connection).get_table_names(sqlite_include_internal=True):
            return None
        found = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        counter: int | None = self.connection.execute(found, {"name": self._name}).scalar()
        return counter

    def _objects(self, kind: str) -> dict[str, str]:
        """Return the table's indexes or triggers with their statements."""
        return {row[0]: row[1] for row in self.connection.exec_driver_sql(OBJECTS, (kind, self._name))}

    def _kept_indexes(self, batch: ApplyBatchImpl, table: sa.Table) -> list[str]:
        """Return the statements of the indexes that the batch does not change."""
        stored = self._objects("index")
        dropped = {index.name for index in table.indexes} - set(batch.indexes)
        gone = {str(column.name) for column in table.columns} - {str(column.name) for column in batch.columns.values()}
        for name in stored:
            batch.indexes.pop(name, None)
        changed = dropped | set(batch.new_indexes)
        return [sql for name, sql in stored.items() if name not in changed and not mentions(_indexed(sql), gone)]

    def _new_indexes(self, batch: ApplyBatchImpl, table: sa.Table) -> list[str]:
        """Return the statements of the indexes that the batch creates. Alembic would lose expressions and the order."""
        indexes = list(batch.new_indexes.values())
        batch.new_indexes.clear()
        for column in (column for index in indexes for column in index.columns):
            if column.name in table.columns:  # by the name before the batch, as in Alembic
                column.name = table.columns[column.name].name
        return [self._compiled(sa.schema.CreateIndex(index)) for index in indexes]

    def _conditions(self, batch: ApplyBatchImpl, table: sa.Table) -> Iterator[tuple[str, str]]:
        """Return conditions for the values that do not fit the new type of their column."""
        for key in set(batch.columns) & set(table.columns.keys()):
            column = batch.columns[key]
            if condition := misfit(self._quote(str(column.name)), table.columns[key].type, column.type):
                yield str(column.name), condition

    def _compiled(self, statement: sa.schema.ExecutableDDLElement) -> str:
        return str(statement.compile(dialect=self.connection.dialect))

    def _create_statement(self, batch: ApplyBatchImpl, table: sa.Table) -> str:
        """Return the statement that creates the new table under its temporary name."""
        for key, former in table.columns.items():
            if former.computed is not None:
                _make_alike(former.computed, batch.columns.get(key))
        for reference in table.foreign_keys:
            _make_known(reference.target_fullname, table.metadata)
        (stored,) = self._objects("table").values()
        before, after = (self._compiled(sa.schema.CreateTable(one)) for one in (table, self.new_table))
        stored = unqualified(stored, self._name)
        changed = carry_over(read(stored), read(before), read(after))
        renamed = {old: self._quote(new) for old, new in self.new_table.info.get(RENAMED, {}).items()}
        return changed.with_renamed(renamed).create(self._quote(self.temporary_name))

    @contextmanager
    def renaming(self) -> Iterator[None]:
        """Keep triggers and views unchanged within the block, while their table does not exist."""
        former = self._scalar("PRAGMA legacy_alter_table")
        self.connection.exec_driver_sql("PRAGMA legacy_alter_table=ON")
        try:
            yield
        finally:
            self.connection.exec_driver_sql(f"PRAGMA legacy_alter_table={former}")

    def finish(self) -> None:
        """Restore indexes, triggers and the counter of the old table, and compare the rows."""
        for statement in (*self._indexes, *self._triggers):
            self.connection.exec_driver_sql(statement)
        self._restore_counter()
        for column, condition in self._misfits:
            rows = self._count_where(condition)
            if rows:
                raise UnsafeMigrationError(
                    f"{self._name}.{column}: {rows} rows have a value that does not fit the new type; change it first"
                )
        counts = row_counts(self.connection)
        if changed := [name for name in self._counts if counts.get(name) != self._counts[name]]:
            lines = [f"{name} had {self._counts[name]} rows and has {counts.get(name)}" for name in changed]
            raise UnsafeMigrationError(f"Rebuilding {self._name} loses rows: {'; '.join(lines)}")

    def _restore_counter(self) -> None:
        if self._counter is None or self._read_counter() == self._counter:
            return
        values = {"name": self._name, "counter": self._counter}
        self.connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        self.connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :counter)"), values)

    def _count_where(self, condition: str) -> Any:
        """Return the number of rows of the table for which an SQL condition is true."""
        count = f"SELECT count(*) FROM {self._quote(self._name)} WHERE {condition}"  # noqa: S608  # nosec B608  quoted
        return self._scalar(count)

    def _scalar(self, statement: str) -> Any:
        return self.connection.exec_driver_sql(statement).scalar()


def _make_alike(former: sa.Computed, new: sa.Column[Any] | None) -> None:
    """Make two readings of an unchanged generated column equal: SQLAlchemy may read too much text."""
    nothing = sa.text("NULL")
    if new is not None and new.computed is not None and str(new.computed.sqltext) == str(former.sqltext):
        new.computed.sqltext = nothing
    former.sqltext = nothing


def _make_known(target: str, metadata: sa.MetaData) -> None:
    """Add the target table of a foreign key to the metadata: Alembic omits it with a `naming_convention`."""
    name, _, column = target.rpartition(".")
    referred = sa.Table(name, metadata)
    if column not in referred.columns:
        referred.append_column(sa.Column(column, sa.types.NullType()))


def _indexed(statement: str) -> str:
    """Return the part of CREATE INDEX that names columns."""
    return statement[statement.index("(") :]
