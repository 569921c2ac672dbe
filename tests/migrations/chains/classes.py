"""A schema as plain data, and the table classes that a developer would write for it.

A column has a number that it keeps when it is renamed. Everything is immutable: a change makes another schema.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field

from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import fold_with
from rowhouse.entities.model import BigIntegerKey, IntegerKey, PortableTable, UUIDKey
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.entities.search_index import SearchIndex
from tests.migrations.chains.kinds import ENUMS, KEYS, KINDS, TEXTS, Kind, enum_kind

KEY_CLASSES: Mapping[str, type[Any]] = {"whole": IntegerKey, "big": BigIntegerKey, "uuid": UUIDKey}


@dataclass(frozen=True)
class Column:
    """A column. `default` numbers its default value; `points` names the table that a reference leads to."""

    uid: int
    name: str
    kind: str
    is_nullable: bool = True
    default: int | None = None
    has_server_default: bool = False
    is_unique: bool = False
    is_indexed: bool = False
    points: str | None = None
    is_linked: bool = False
    ondelete: str | None = None
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """A minimum of a number, or a maximum length of a text."""

    name: str
    column: int
    bound: int


@dataclass(frozen=True)
class Overlap:
    """A `NoOverlap`. `live` is an enum column, of which one member counts."""

    resource: int
    start: int
    end: int
    live: int | None = None


@dataclass(frozen=True)
class Index:
    """An index of some columns. A partial one has all rows with an id, which are all rows."""

    columns: tuple[int, ...]
    is_partial: bool = False


@dataclass(frozen=True)
class Table:
    """A table."""

    name: str
    key: str
    columns: tuple[Column, ...] = ()
    uniques: tuple[tuple[int, ...], ...] = ()
    indexes: tuple[Index, ...] = ()
    checks: tuple[Check, ...] = ()
    overlap: Overlap | None = None
    search: tuple[int, ...] = ()

    @property
    def ruled(self) -> set[int | None]:
        """The columns that a check or a `NoOverlap` names."""
        overlap = self.overlap
        of_overlap = {overlap.resource, overlap.start, overlap.end, overlap.live} if overlap else set()
        return {check.column for check in self.checks} | of_overlap

    def column(self, uid: int) -> Column:
        """Return a column by its number."""
        return next(column for column in self.columns if column.uid == uid)

    def name_of(self, uid: int) -> str:
        """Return the name of a column."""
        return self.column(uid).name

    def has(self, uid: int) -> bool:
        """Whether it has the column."""
        return any(column.uid == uid for column in self.columns)

    def with_column(self, new: Column) -> "Table":
        """Return the table with one column changed or added."""
        if not self.has(new.uid):
            return replace(self, columns=(*self.columns, new))
        return replace(self, columns=tuple(new if column.uid == new.uid else column for column in self.columns))

    def without(self, uid: int) -> "Table":
        """The table without a column and what needs it."""
        overlap = self.overlap
        needs_it = overlap and uid in (overlap.resource, overlap.start, overlap.end, overlap.live)
        return replace(
            self,
            columns=tuple(column for column in self.columns if column.uid != uid),
            uniques=tuple(unique for unique in self.uniques if uid not in unique),
            indexes=tuple(index for index in self.indexes if uid not in index.columns),
            checks=tuple(check for check in self.checks if check.column != uid),
            overlap=None if needs_it else overlap,
            search=tuple(column for column in self.search if column != uid),
        )


@dataclass(frozen=True)
class Schema:
    """Tables, each after those that its rows need."""

    tables: tuple[Table, ...] = ()

    def table(self, name: str) -> Table:
        """Return a table by its name."""
        return next(table for table in self.tables if table.name == name)

    def has(self, name: str) -> bool:
        """Whether it has the table."""
        return any(table.name == name for table in self.tables)

    def with_table(self, new: Table) -> "Schema":
        """Return the schema with one table changed or added."""
        if not self.has(new.name):
            return Schema((*self.tables, new))
        return Schema(tuple(new if table.name == new.name else table for table in self.tables))

    def renamed(self, old: str, new: str) -> "Schema":
        """The schema with another name of a table, which the references to it follow."""

        def follow(column: Column) -> Column:
            return replace(column, points=new) if column.points == old else column

        return Schema(
            tuple(
                replace(table, name=new if table.name == old else table.name, columns=tuple(map(follow, table.columns)))
                for table in self.tables
            )
        )

    def without(self, name: str) -> "Schema":
        """The schema without a table and the references to it."""
        left = Schema(tuple(table for table in self.tables if table.name != name))
        for table in left.tables:
            for column in table.columns:
                if column.points == name:
                    left = left.with_table(left.table(table.name).without(column.uid))
        return left

    def comes_before(self, first: str, second: str) -> bool:
        """Return True if a table is filled before another."""
        names = [table.name for table in self.tables]
        return first in names and names.index(first) < names.index(second)

    def kind(self, column: Column) -> Kind:
        """Return the kind of a column; for a reference, that of the key."""
        if column.points:
            return KEYS[self.table(column.points).key]
        if column.kind in ENUMS:
            return enum_kind(f"state_{column.uid}", column.members, is_native=column.kind == "state")
        return KINDS[column.kind]


def build(schema: Schema) -> sa.MetaData:
    """Return the metadata of the classes."""
    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    fold_with(metadata)
    shared = registry(metadata=metadata)
    bases = {key: _base(kind, shared) for key, kind in KEY_CLASSES.items()}
    for table in schema.tables:
        _define(schema, table, bases[table.key])
    return metadata


def _base(key: type[Any], shared: registry) -> type[Any]:
    class Base(key, PortableTable, registry=shared):  # type: ignore[misc]  # mypy wants a class that is known beforehand
        """A table of this schema."""

    return Base


def _define(schema: Schema, table: Table, base: type[Any]) -> None:
    """Define the class."""
    fields = {column.name: _field(schema, column) for column in table.columns}
    annotations = {
        column.name: schema.kind(column).annotation | None if column.is_nullable or column.has_server_default
        else schema.kind(column).annotation
        for column in table.columns
    }  # fmt: skip
    words: dict[str, Any] = {"__module__": __name__, "__doc__": "A class.", "__annotations__": annotations, **fields}
    rules = tuple(_rules(table))
    words |= {"__tablename__": table.name, "__table_args__": rules}
    make: Any = type(base)
    make(table.name.title(), (base,), words, table=True)


def _field(schema: Schema, column: Column) -> Any:
    kind = schema.kind(column)
    options: dict[str, Any] = {**kind.options, "unique": column.is_unique, "index": column.is_indexed}
    if column.has_server_default:
        options |= {"sa_column_kwargs": {"server_default": str(default_of(schema, column))}, "default": None}
    elif column.default is not None:
        options["default"] = default_of(schema, column)
    elif column.is_nullable:
        options["default"] = None
    if column.has_server_default:
        options["nullable"] = column.is_nullable
    if column.is_linked:
        options |= {"foreign_key": f"{column.points}.id", "ondelete": column.ondelete}
    return Field(**options)


def default_of(schema: Schema, column: Column) -> Any:
    """Return the default of a column that has one."""
    return None if column.default is None else schema.kind(column).make(column.default)


def _rules(table: Table) -> Iterator[Any]:
    """Return the content of `__table_args__`."""
    for unique in table.uniques:
        yield sa.UniqueConstraint(*map(table.name_of, unique))
    for index in table.indexes:
        where = sa.text("id IS NOT NULL") if index.is_partial else None
        yield sa.Index(None, *map(table.name_of, index.columns), sqlite_where=where, postgresql_where=where)
    for check in table.checks:
        column = table.column(check.column)
        rule = (
            f"length({column.name}) < {100 + check.bound}"
            if column.kind in TEXTS
            else f"{column.name} >= {-check.bound}"
        )
        yield sa.CheckConstraint(rule, name=check.name)
    if table.overlap:
        overlap = table.overlap
        live = {} if overlap.live is None else {table.name_of(overlap.live): table.column(overlap.live).members[:1]}
        yield NoOverlap(*(table.name_of(uid) for uid in (overlap.resource, overlap.start, overlap.end)), live=live)
    if table.search:
        yield SearchIndex(*map(table.name_of, table.search))
