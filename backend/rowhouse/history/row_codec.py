"""Rows outside their table: written down exactly, read again, and judged by their table's own predicates.

What the archive and the history stand on. Must not know where such rows are kept.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from rowhouse.db.compiled import CompiledStatement, Predicate, Row
from rowhouse.db.sqlite_schemas import joined_name
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.schemas.columns import Column
from rowhouse.sql.statements import CACHED_SHAPES, ROW_KEY

GIVEN = "_given_{}"


class DecodedRow(NamedTuple):
    """A row as it was written down, without the columns `unfit`, whose values do not fit them any more."""

    row: Row
    unfit: Sequence[str]


class RowCodec:
    """Writes rows as JSON text and reads them again without losing a digit, a byte or a null."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._adapters = {name: TypeAdapter(column.archive_annotation) for name, column in columns.items()}
        # pydantic knows how to write all other values.
        self._writers = {n: self._adapters[n].serializer for n, column in columns.items() if column.type.archive}

    def write(self, row: Row) -> str:
        """Return the row as JSON text: bytes as base64, decimals with every digit."""
        written = {name: writer.to_python(row[name], mode="json") for name, writer in self._writers.items()}
        return to_json({**row, **written}, bytes_mode="base64", inf_nan_mode="strings").decode()

    def read(self, content: Mapping[str, Any]) -> DecodedRow:
        """The row that parsed JSON holds.

        A column that is gone is left out; one that came later is not in the row.
        """
        row: Row = {}
        unfit = []
        for name, value in content.items():
            if name in self._adapters:
                try:
                    row[name] = None if value is None else self._adapters[name].validate_python(value)
                except ValidationError:
                    unfit.append(name)
        return DecodedRow(row, unfit)


class RowPredicate:
    """Says whether a predicate would hold of a row that is not in its table, if it were.

    The statement puts a common table expression of the table's own name before it, which holds the table's rows and this one
    beside them; so the predicate's SQL stays as it is, sub-queries too.
    """

    def __init__(self, table: sa.Table, dialect: sa.Dialect) -> None:
        self._table = table
        self._dialect = dialect
        self._name = joined_name(table.name, table.schema) if dialect.name == "sqlite" else table.name
        self._ask = lru_cache(maxsize=CACHED_SHAPES)(self._asking)

    def matches(self, unit: UnitOfWork, predicate: Predicate, row: Row) -> bool:
        """Whether the row, in which any column may be missing and is null then, meets the predicate."""
        if predicate.clause is None:
            return True
        values = {GIVEN.format(column.name): row.get(column.name) for column in self._table.columns}
        return bool(unit.run(self._ask(predicate), {**values, ROW_KEY: row["id"]}, predicate))

    def _asking(self, predicate: Predicate) -> CompiledStatement:
        columns = list(self._table.columns)
        # SQLite would take the bare name for the expression itself.
        stored = sa.table(
            self._name,
            *(sa.column(column.name, column.type) for column in columns),
            schema="main" if self._dialect.name == "sqlite" else self._table.schema,
        )
        given = sa.select(*(self._given(column).label(column.name) for column in columns))
        shadow = sa.union_all(sa.select(*stored.columns), given).cte(self._name)
        key = self._table.columns["id"]
        clause: Any = predicate.clause  # there is one, as `matches` has seen
        source = sa.select(key).where(key == sa.bindparam(ROW_KEY, type_=key.type), clause)
        return CompiledStatement(source.add_cte(shadow), self._without_schema(), columns=[key], predicate=predicate)

    def _without_schema(self) -> sa.Dialect:
        """The dialect; on PostgreSQL one that leaves the schema of the table out, for the expression has none."""
        if self._table.schema is None or self._dialect.name != "postgresql":
            return self._dialect
        dialect = copy(self._dialect)
        names: Any = copy(dialect.identifier_preparer)
        # The table itself is a `TableClause` in the expression, and stays in its schema there.
        names.schema_for_object = lambda one: None if self._is_table(one) else one.schema
        dialect.identifier_preparer = names
        return dialect

    def _is_table(self, one: Any) -> bool:
        return isinstance(one, sa.Table) and one.fullname == self._table.fullname

    def _given(self, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """A value with its column's type, which PostgreSQL would otherwise guess."""
        bound = sa.bindparam(GIVEN.format(column.name), type_=column.type)
        return sa.cast(bound, column.type) if self._dialect.name == "postgresql" else bound
