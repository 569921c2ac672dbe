"""The tables, columns and references that `rowhouse adopt` reads from a database, as plain values."""

from dataclasses import dataclass, field
from typing import Any

Columns = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StoredColumn:
    """A column. `kind` is SQLAlchemy's type; `default`, `computed` and `identity` are its SQL, or None."""

    name: str
    kind: Any
    nullable: bool
    default: str | None = None
    computed: str | None = None
    # "always" or "by default".
    identity: str | None = None

    @property
    def is_filled(self) -> bool:
        """Whether the database fills it where a new row leaves it out."""
        return any(sql is not None for sql in (self.default, self.computed, self.identity))

    @property
    def is_required(self) -> bool:
        """Whether a new row must have a value for it."""
        return not self.nullable and not self.is_filled


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A foreign key. `schema` is None for the default schema."""

    name: str | None
    columns: Columns
    schema: str | None
    table: str
    remote: Columns
    ondelete: str | None = None
    # "DEFERRED" or "IMMEDIATE" for a key that may be checked at the commit.
    initially: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoredTable:
    """A table with a key. `makes_key`: the database makes the key of a new row."""

    schema: str | None
    name: str
    comment: str | None
    columns: tuple[StoredColumn, ...]
    key: Columns
    makes_key: bool
    references: tuple[Reference, ...] = ()
    # The name, or None, and the columns of each unique constraint.
    uniques: tuple[tuple[str | None, Columns], ...] = ()
    # The columns that a plain index of their own serves, and unique indexes by their names.
    indexed: frozenset[str] = frozenset()
    unique_indexes: tuple[tuple[str, Columns], ...] = ()
    # Why the database refuses every write, or None.
    write_fault: str | None = None

    @property
    def full_name(self) -> str:
        """The name with its schema, as a foreign key writes it."""
        return self.name if self.schema is None else f"{self.schema}.{self.name}"

    def is_unique(self, columns: Columns) -> bool:
        """Return whether two rows cannot have the same values in these columns."""
        sets = [self.key, *(one for _, one in self.uniques), *(one for _, one in self.unique_indexes)]
        return set(columns) in [set(one) for one in sets]


@dataclass
class Read:
    """The tables of a database, and the reasons for what was left out, by name."""

    tables: list[StoredTable] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
