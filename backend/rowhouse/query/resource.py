"""One registered entity: what its registration line says and what follows from its class. Data, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.core.policy import Policy
from rowhouse.query.list_parameters import ListParameters
from rowhouse.schemas.columns import Column
from rowhouse.schemas.derivation import Schemas


@dataclass(frozen=True, slots=True)
class Relation:
    """A way from one entity to another, which `expand` goes: its `local` column equals the `remote` one of `target`'s rows."""

    name: str
    local: str
    target: "Resource"
    remote: str
    many: bool


@dataclass(frozen=True, slots=True)
class Resource:
    """The plan of one house in the row."""

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
    # Filled when the registry is built, for it takes the whole table of contents to know them.
    relations: Mapping[str, Relation] = field(default_factory=dict)
    soft_delete: bool = False
    history: bool = False
    # None is the setting's.
    slo_ms: int | None = None

    @property
    def name(self) -> str:
        """The class name, as in `BookPublic`."""
        return self.model.__name__

    @property
    def is_kept(self) -> bool:
        """Whether a row must be seen whole when it goes."""
        return self.soft_delete or self.history

    @property
    def table(self) -> sa.Table:
        """The table behind the class."""
        table: sa.Table = self.model.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        return table

    @property
    def key(self) -> Column:
        """The primary key."""
        return next(column for column in self.columns.values() if column.column.primary_key)
