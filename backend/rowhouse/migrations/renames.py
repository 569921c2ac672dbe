"""Distinguishes a rename from a drop and an addition: by the options of the command, or by asking.

A comparison sees only names. A column that is gone and one that is new, of one type in one table, look like a rename,
and so do two tables with the same columns. Only a rename keeps the values, so a developer must decide.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops

from rowhouse.entities.sqlalchemy_internals import general_type
from rowhouse.migrations.losses import flat
from rowhouse.migrations.operations.primary_keys import RenamePrimaryKey


@dataclass(frozen=True, order=True)
class Rename:
    """A column of a table and its new name; `schema` is the table's, where it has one."""

    table: str
    old: str
    new: str
    schema: str | None = None

    @property
    def place(self) -> str:
        """The former name of the column."""
        return ".".join(filter(None, (self.schema, self.table, self.old)))

    @property
    def flag(self) -> str:
        """The option of the command that confirms the rename."""
        return f"--rename {self.place}={self.new}"

    @property
    def refusal(self) -> str:
        """The option of the command that denies the rename."""
        return f"--drop {self.place}"

    @property
    def finding(self) -> str:
        """The finding of the comparison as a sentence."""
        return f"{self.place} is gone and {self.new} is new there, of the same type."

    @property
    def question(self) -> str:
        """The question to the developer."""
        return f"Is {self.table}.{self.new} the former {self.place}, with its values? [y/N] "

    @property
    def ends(self) -> set[tuple[str, str]]:
        """The old and the new name. Each belongs to at most one rename."""
        return {(self.table, self.old), (self.table, self.new)}

    def apply(self, operations: Operations, inspector: sa.Inspector) -> None:
        """Rename the column.

        Raises:
            ValueError: the column does not exist.
        """
        if not inspector.has_table(self.table, schema=self.schema) or self.old not in {
            column["name"] for column in inspector.get_columns(self.table, schema=self.schema)
        }:
            raise ValueError(f"{self.flag}: the database has no column {self.table}.{self.old}")
        operations.alter_column(self.table, self.old, new_column_name=self.new, schema=self.schema)

    @property
    def operations(self) -> list[ops.MigrateOperation]:
        """The operations for the file of the migration."""
        return [ops.AlterColumnOp(self.table, self.old, schema=self.schema, modify_name=self.new)]

    @property
    def reverse(self) -> "Rename":
        """The rename for the downgrade."""
        return Rename(self.table, self.new, self.old, self.schema)


@dataclass(frozen=True, order=True)
class TableRename:
    """A table and its new name. Tables in a schema of PostgreSQL are left out."""

    old: str
    new: str

    @property
    def place(self) -> str:
        """The former name of the table."""
        return self.old

    @property
    def flag(self) -> str:
        """The option of the command that confirms the rename."""
        return f"--rename {self.old}={self.new}"

    @property
    def refusal(self) -> str:
        """The option of the command that denies the rename."""
        return f"--drop {self.old}"

    @property
    def finding(self) -> str:
        """The finding of the comparison as a sentence."""
        return f"The table {self.old} is gone and {self.new} is new, with the same columns."

    @property
    def question(self) -> str:
        """The question to the developer."""
        return f"Is the table {self.new} the former {self.old}, with its rows? [y/N] "

    @property
    def ends(self) -> set[tuple[str, str]]:
        """The old and the new name. Each belongs to at most one rename."""
        return {("", self.old), ("", self.new)}

    def apply(self, operations: Operations, inspector: sa.Inspector) -> None:
        """Rename the table.

        Raises:
            ValueError: the table does not exist, or another table has the new name.
        """
        if not inspector.has_table(self.old):
            raise ValueError(f"{self.flag}: the database has no table {self.old}")
        if inspector.has_table(self.new):
            raise ValueError(f"{self.flag}: the database has a table {self.new} already")
        operations.rename_table(self.old, self.new)  # the name of its key is not compared

    @property
    def operations(self) -> list[ops.MigrateOperation]:
        """The operations for the file of the migration."""
        return [ops.RenameTableOp(self.old, self.new), RenamePrimaryKey(self.old, self.new)]

    @property
    def reverse(self) -> "TableRename":
        """The rename for the downgrade."""
        return TableRename(self.new, self.old)


@renderers.dispatch_for(ops.RenameTableOp)
def _render_rename(_context: AutogenContext, operation: ops.RenameTableOp) -> str:
    return f"op.rename_table({operation.table_name!r}, {operation.new_table_name!r})"


AnyRename = Rename | TableRename


class UndecidedError(Exception):
    """Columns or tables may have been renamed, and no word says whether they were."""

    def __init__(self, candidates: Sequence[AnyRename]) -> None:
        lines = [f"{one.finding} If it was renamed, add {one.flag}; if not, add {one.refusal}." for one in candidates]
        super().__init__("\n".join(lines))
        self.candidates = candidates


@dataclass(frozen=True)
class Decisions:
    """The stated renames and drops of columns (`table.column`) and tables."""

    renames: tuple[AnyRename, ...] = ()
    drops: frozenset[str] = frozenset()


def parse(renames: Iterable[str], drops: Iterable[str]) -> Decisions:
    """Read `prices.name=title` and `prices.name`, or `prices=rates` and `prices`; tables are renamed before columns.

    Raises:
        ValueError: for words of another form.
    """
    tables: list[AnyRename] = []
    read: list[AnyRename] = []
    for word in renames:
        place, _, new = word.partition("=")
        path, _, old = place.rpartition(".")
        schema, _, table = path.rpartition(".")
        if not (old and new) or "." in new or ("." in place and not table):
            raise ValueError(
                f"--rename {word}: write table.old=new or old=new, such as prices.name=title, prices=rates"
            )
        if not table:
            tables.append(TableRename(old, new))
            continue
        read.append(Rename(table, old, new, schema or None))
    listed = frozenset(drops)
    for word in listed:
        if not all(word.split(".")):
            raise ValueError(f"--drop {word}: write table.column or table, such as prices.name")
    return Decisions((*tables, *read), listed)


def candidates(operations: Iterable[ops.MigrateOperation], drops: frozenset[str]) -> list[AnyRename]:
    """Return the pairs of a drop and an addition that look like a rename, except stated drops."""
    listed = list(flat(operations))
    pairs: list[AnyRename] = [*_tables(listed), *_columns(listed)]
    return [pair for pair in pairs if pair.place not in drops]


def _tables(listed: Sequence[ops.MigrateOperation]) -> list[TableRename]:
    return [
        TableRename(gone.table_name, new.table_name)
        for gone in listed
        if isinstance(gone, ops.DropTableOp) and gone.schema is None
        for new in listed
        if isinstance(new, ops.CreateTableOp) and new.schema is None and _have_same_columns(gone, new)
    ]


def _have_same_columns(gone: ops.DropTableOp, new: ops.CreateTableOp) -> bool:
    before = {column.name: _affinity(column.type) for column in gone.to_table().columns}
    after = {part.name: _affinity(part.type) for part in new.columns if isinstance(part, sa.Column)}
    # SQLite has no UUIDs: it stores them as text.
    return before.keys() == after.keys() and all(
        before[name] is kind or (before[name], kind) == (sa.String, sa.Uuid) for name, kind in after.items()
    )


def _columns(listed: Sequence[ops.MigrateOperation]) -> list[Rename]:
    added = [operation for operation in listed if isinstance(operation, ops.AddColumnOp)]
    return [
        Rename(gone.table_name, gone.column_name, new.column.name, gone.schema)
        for gone in listed
        if isinstance(gone, ops.DropColumnOp)
        for new in added
        if (new.table_name, new.schema) == (gone.table_name, gone.schema) and _is_alike(gone, new)
    ]


def _is_alike(gone: ops.DropColumnOp, new: ops.AddColumnOp) -> bool:
    """Return True if both have the same type. The length of a text may differ."""
    before, after = _affinity(gone.to_column().type), _affinity(new.column.type)
    return before is after


def _affinity(kind: Any) -> Any:
    plain = kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind
    return general_type(plain)


def ask(found: Sequence[AnyRename], answer: Callable[[str], str]) -> Decisions:
    """Ask for each pair whether it is a rename. A column or table has at most one new name."""
    renames: list[AnyRename] = []
    drops: set[str] = set()
    for one in found:
        if any(one.ends & other.ends for other in renames):
            continue
        said = answer(one.question)
        if said.strip().lower() in ("y", "yes"):
            renames.append(one)
        else:
            drops.add(one.place)
    kept = {one.place for one in renames}
    return Decisions(tuple(renames), frozenset(drops - kept))


def apply(connection: sa.Connection, renames: Iterable[AnyRename]) -> None:
    """Rename the tables and columns in the open transaction.

    Raises:
        ValueError: a table or column does not exist.
    """
    operations = Operations(MigrationContext.configure(connection))
    for one in renames:
        one.apply(operations, sa.inspect(connection))
