"""The random choices of a step: its schema, free names and numbers."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tests.migrations.chains.classes import Column, Schema, Table
from tests.migrations.chains.kinds import ENUMS, KINDS, MEMBERS, USED_MEMBERS

T = TypeVar("T")
TABLES = ("owners", "pets", "visits", "vets", "rooms", "bills", "tags", "notes")
# A word of SQL and one in capitals among them.
NAMES = ("name", "title", "size", "weight", "seen", "note", "rank", "place", "order", "unitPrice", "label", "level")
ONDELETES = (None, "CASCADE", "RESTRICT")
FOR_NULL = "SET NULL"
FEWEST_TABLES = 3


@dataclass
class Draw:
    """One step: `base` is the schema before it, `schema` the one that its changes make."""

    random: random.Random
    base: Schema
    schema: Schema
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    renamed: tuple[str, str] | None = None

    def rename_table(self) -> str:
        """Begin the step with another name for a table. `base` has it from then on."""
        old = self.random.choice(self.schema.tables).name
        new = self.random.choice([name for name in TABLES if not self.base.has(name)])
        self.renamed = old, new
        self.base = self.schema = self.base.renamed(old, new)
        return f"rename table {old} to {new}"

    def chance(self, percent: int) -> bool:
        """Return True with this probability."""
        return self.random.randrange(100) < percent

    def choose(self, among: Sequence[T]) -> T | None:
        """Return one of them, or None if there are none."""
        return self.random.choice(among) if among else None

    def pairs(self) -> list[tuple[Table, Column]]:
        """Return the columns that this step has not changed, each with its table. So their values are known."""
        return [
            (table, column)
            for table in self.schema.tables
            for column in table.columns
            if self.is_settled(table, column)
        ]

    def is_settled(self, table: Table, column: Column) -> bool:
        """Return True if this step has not changed the column."""
        return self.base.has(table.name) and column in self.base.table(table.name).columns

    def settled_tables(self) -> list[Table]:
        """Return the tables that existed before this step."""
        return [table for table in self.schema.tables if self.base.has(table.name)]

    def put(self, table: Table, *columns: Column) -> None:
        """Change a table and some of its columns."""
        for column in columns:
            table = table.with_column(column)
        self.schema = self.schema.with_table(table)

    def free_name(self, table: Table) -> str:
        """Return a name that no column of the table has, or had before this step."""
        taken = {column.name for column in table.columns}
        if self.base.has(table.name):
            taken |= {column.name for column in self.base.table(table.name).columns}
        free = [name for name in NAMES if name not in taken]
        return self.choose(free) or f"extra_{next(self.numbers)}"

    def column(self, table: Table, kind: str | None = None, *, is_filled: bool) -> Column:
        """Return a new column, nullable or with a default. `is_filled`: the rows of the table must get the default."""
        kind = kind or self.random.choice([*KINDS, *ENUMS])
        uid = next(self.numbers)
        size = self.random.randrange(USED_MEMBERS, 4)
        column = Column(uid, self.free_name(table), kind, members=MEMBERS[:size] if kind in ENUMS else ())
        if self.chance(50) and (not is_filled or can_fill(column)):
            column = replace(column, is_nullable=False, default=0)
        elif self.chance(30):
            column = replace(column, default=0)
        may_be_unique = column.is_nullable or not is_filled
        if kind in KINDS and KINDS[kind].is_distinct and may_be_unique and self.chance(25):
            column = replace(column, is_unique=True, default=None)
        if kind in ENUMS or KINDS[kind].has_index:
            column = replace(column, is_indexed=self.chance(20))
        if not column.is_nullable and not is_filled and self.chance(50):
            column = replace(column, default=None)
        return column

    def reference(self, table: Table, *, is_filled: bool) -> Column:
        """Return a new column that refers to a table. Existing rows cannot have a value."""
        target = self.random.choice(self.schema.tables).name
        is_nullable = is_filled or not self.schema.comes_before(target, table.name) or self.chance(50)
        uid = next(self.numbers)
        column = Column(uid, f"{target[:3]}_{uid}_id", "ref", is_nullable=is_nullable, points=target, is_linked=True)
        return replace(column, ondelete=self.ondelete(column), is_indexed=self.chance(40))

    def ondelete(self, column: Column) -> str | None:
        """Return the ON DELETE of a reference."""
        return self.random.choice((*ONDELETES, FOR_NULL) if column.is_nullable else ONDELETES)


def can_fill(column: Column) -> bool:
    """Return True if existing rows can get the default of the column."""
    return column.kind in ENUMS or (column.kind in KINDS and KINDS[column.kind].can_fill)


def is_full(name: str) -> bool:
    """Return True if SQL needs no quotes for a name."""
    return name.islower() and name != "order"
