"""Tells a renamed column from one that is dropped and one that is added: asks, or takes what it was told.

A comparison sees only names. One that is gone and one that is new, of one type in one table, look like a rename; the
values are kept only if somebody says that they are.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops

from rowhouse.migrations.losses import flat


@dataclass(frozen=True, order=True)
class Rename:
    """A column of a table and its new name; `schema` is the table's, where it has one."""

    table: str
    old: str
    new: str
    schema: str | None = None

    @property
    def place(self) -> str:
        """The column as it was called."""
        return ".".join(filter(None, (self.schema, self.table, self.old)))

    @property
    def flag(self) -> str:
        """The words that tell it on the command line."""
        return f"--rename {self.place}={self.new}"

    @property
    def refusal(self) -> str:
        """The words that deny it."""
        return f"--drop {self.place}"


class UndecidedError(Exception):
    """Columns that may have been renamed; nobody has said whether they were."""

    def __init__(self, candidates: Sequence[Rename]) -> None:
        lines = [
            f"{one.place} is gone and {one.new} is new there, of the same type. "
            f"If it was renamed, add {one.flag}; if not, add {one.refusal}."
            for one in candidates
        ]
        super().__init__("\n".join(lines))
        self.candidates = candidates


@dataclass(frozen=True)
class Decisions:
    """What was said of the columns: those that were renamed, and those (`table.column`) that are to be dropped."""

    renames: tuple[Rename, ...] = ()
    drops: frozenset[str] = frozenset()


def parse(renames: Iterable[str], drops: Iterable[str]) -> Decisions:
    """Read `prices.name=title` and `prices.name`.

    Raises:
        ValueError: for words of another form.
    """
    read = []
    for word in renames:
        place, _, new = word.partition("=")
        path, _, old = place.rpartition(".")
        schema, _, table = path.rpartition(".")
        if not (table and old and new) or "." in new:
            raise ValueError(f"--rename {word}: write table.old=new, such as prices.name=title")
        read.append(Rename(table, old, new, schema or None))
    listed = frozenset(drops)
    for word in listed:
        if "." not in word.strip("."):
            raise ValueError(f"--drop {word}: write table.column, such as prices.name")
    return Decisions(tuple(read), listed)


def candidates(operations: Iterable[ops.MigrateOperation], drops: frozenset[str]) -> list[Rename]:
    """The pairs of a dropped and an added column that look like a rename, but for those that are to be dropped."""
    listed = list(flat(operations))
    added = [operation for operation in listed if isinstance(operation, ops.AddColumnOp)]
    pairs = [
        Rename(gone.table_name, gone.column_name, new.column.name, gone.schema)
        for gone in listed
        if isinstance(gone, ops.DropColumnOp)
        for new in added
        if (new.table_name, new.schema) == (gone.table_name, gone.schema) and _is_alike(gone, new)
    ]
    return [pair for pair in pairs if pair.place not in drops]


def _is_alike(gone: ops.DropColumnOp, new: ops.AddColumnOp) -> bool:
    """Whether both have one type; a text may have grown or shrunk meanwhile."""
    before, after = _affinity(gone.to_column().type), _affinity(new.column.type)
    return before is after


def _affinity(kind: Any) -> Any:
    plain = kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind
    return plain._type_affinity  # noqa: SLF001  what Alembic compares types by


def ask(found: Sequence[Rename], answer: Callable[[str], str]) -> Decisions:
    """Ask for each pair whether it was a rename; a column has one new name at most."""
    renames: list[Rename] = []
    drops: set[str] = set()
    for one in found:
        if any(
            (one.table, name) in ((r.table, r.old), (r.table, r.new)) for r in renames for name in (one.old, one.new)
        ):
            continue
        said = answer(f"Is {one.table}.{one.new} the former {one.place}, with its values? [y/N] ")
        if said.strip().lower() in ("y", "yes"):
            renames.append(one)
        else:
            drops.add(one.place)
    kept = {one.place for one in renames}
    return Decisions(tuple(renames), frozenset(drops - kept))


def apply(connection: sa.Connection, renames: Iterable[Rename]) -> None:
    """Rename the columns in the open transaction.

    Raises:
        ValueError: for a column that is not there.
    """
    operations = Operations(MigrationContext.configure(connection))
    for one in renames:
        inspector = sa.inspect(connection)
        if not inspector.has_table(one.table, schema=one.schema) or one.old not in {
            column["name"] for column in inspector.get_columns(one.table, schema=one.schema)
        }:
            raise ValueError(f"{one.flag}: the database has no column {one.table}.{one.old}")
        operations.alter_column(one.table, one.old, new_column_name=one.new, schema=one.schema)


def operation(rename: Rename) -> ops.AlterColumnOp:
    """The operation that renames, for the file."""
    return ops.AlterColumnOp(rename.table, rename.old, schema=rename.schema, modify_name=rename.new)


def reverse(rename: Rename) -> ops.AlterColumnOp:
    """The operation that undoes it."""
    return ops.AlterColumnOp(rename.table, rename.new, schema=rename.schema, modify_name=rename.old)
