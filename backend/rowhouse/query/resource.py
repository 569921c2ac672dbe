"""One registered entity: the options of its registration line, and everything derived from its class. Data only."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.core.policy import Policy
from rowhouse.entities.model import Mark
from rowhouse.entities.transition import Transition
from rowhouse.query.keys import Key, key_columns
from rowhouse.query.list_parameters import ListParameters
from rowhouse.schemas.columns import Column
from rowhouse.schemas.derivation import Schemas

# The first part of an index in SQLAlchemy's form. It may have been a column or text, in either direction.
LEADING_COLUMN = re.compile(r'(?:\w+\.)?"?(\w+)"?(?: ASC| DESC)?(?: NULLS (?:FIRST|LAST))?', re.IGNORECASE)

# Words of `sort`, such as `-price`; the key breaks ties.
Order = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """The table of a many-to-many relation. `near` is its column for the row, and `far` that for the related row."""

    table: sa.Table
    near: str
    far: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that `expand` follows: the rows of `target` whose column `remote` equals the row's column `local`.

    With a `link`, its rows hold the pairs of the two values. Writes replace them by `member`, such as `tag_ids`.
    If the row `owns` the related rows, its own requests write them, and they are deleted with it.
    """

    name: str
    local: str
    target: "Resource"
    remote: str
    many: bool
    link: Link | None = None
    member: str | None = None
    owns: bool = False
    # The `order_by` of the `Relationship`.
    order: Order = ()

    @property
    def is_parent(self) -> bool:
        """Whether the database ensures that at most one row is related, so that lists can be sorted by its columns."""
        return not self.many and self.link is None and is_unique(self.target.columns[self.remote].column)


def is_unique(column: sa.Column[Any]) -> bool:
    """Return whether no two rows of its table have the same value."""
    keys = (sa.PrimaryKeyConstraint, sa.UniqueConstraint)
    found = [list(one.columns) for one in column.table.constraints if isinstance(one, keys)]
    found += [list(one.columns) for one in column.table.indexes if is_unique_key(one)]
    return any(len(columns) == 1 and columns[0] is column for columns in found)


def is_unique_key(index: sa.Index) -> bool:
    """Return whether an index makes all rows unique, by columns alone."""
    is_partial = any(index.dialect_options[name]["where"] is not None for name in ("postgresql", "sqlite"))
    return bool(index.unique) and not is_partial and all(isinstance(one, sa.Column) for one in index.expressions)


def leading_columns(table: sa.Table) -> Iterator[str]:
    """Yield the columns by which a table can be read in order: each begins an index, or a constraint with one."""
    for constraint in table.constraints:
        if isinstance(constraint, (sa.PrimaryKeyConstraint, sa.UniqueConstraint)):
            yield from [column.name for column in constraint.columns][:1]
    for index in table.indexes:
        first = LEADING_COLUMN.fullmatch(str(index.expressions[0]))
        if first and _is_ordered_and_whole(index):
            yield first[1]


def _is_ordered_and_whole(index: sa.Index) -> bool:
    """Return True if the index has every row, in the order of its columns, on both databases."""
    is_partial = any(index.dialect_options[name]["where"] is not None for name in ("postgresql", "sqlite"))
    return not is_partial and index.dialect_options["postgresql"]["using"] in (False, "btree")


@dataclass(frozen=True, slots=True)
class Resource:
    """Everything the engine knows about one registered entity."""

    model: type[SQLModel]
    path: str
    columns: Mapping[str, Column]
    schemas: Schemas
    parameters: ListParameters
    read: Policy
    write: Policy
    owner: str | None
    owner_only: bool
    # Totals above this many rows are estimated; None counts every row.
    exact_count_limit: int | None = None
    # Set when the registry is built, because relations need all of its entities.
    relations: Mapping[str, Relation] = field(default_factory=dict)
    soft_delete: bool = False
    history: bool = False
    # The owner's column, whose account is stored with deleted rows: that of any registry which has the table.
    recorded_owner: str | None = None
    # None: the setting SLO_MS.
    slo_ms: int | None = None
    steps: tuple[Transition[Any], ...] = ()
    # These follow from the columns.
    key: Key = field(init=False, compare=False)
    created: str | None = field(init=False, compare=False)
    updated: str | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        columns = self.columns.values()
        object.__setattr__(self, "key", Key(key_columns(columns)))
        for name, mark in (("created", Mark.CREATED_AT), ("updated", Mark.UPDATED_AT)):
            object.__setattr__(self, name, next((c.name for c in columns if mark in c.marks), None))

    @property
    def name(self) -> str:
        """The name of the class, such as `Book`."""
        return self.model.__name__

    @property
    def names_of_expand(self) -> tuple[str, ...]:
        """The names of `expand`: the relations, and as `pet.owner` those of the related entities."""
        own = self.relations.items()
        return (*self.relations, *(f"{name}.{second}" for name, one in own for second in one.target.relations))

    @property
    def link_members(self) -> Mapping[str, str]:
        """The relation of each member that writes links, such as `tag_ids`."""
        return {one.member: name for name, one in self.relations.items() if one.member is not None}

    @property
    def owned_members(self) -> tuple[str, ...]:
        """The relations to rows that a row owns. Each is a member of what creates and changes a row."""
        return tuple(name for name, one in self.relations.items() if one.owns)

    @property
    def records_changes(self) -> bool:
        """Whether its deleted rows or its history are stored, for which a delete returns the complete row."""
        return self.soft_delete or self.history

    @property
    def table(self) -> sa.Table:
        """The table behind the class."""
        table: sa.Table = self.model.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        return table

    def column_of(self, stored: sa.Column[Any]) -> Column | None:
        """Return what the engine knows about a column of the table."""
        return next((column for column in self.columns.values() if column.column is stored), None)
