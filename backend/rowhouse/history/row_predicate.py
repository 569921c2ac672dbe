"""Evaluate the SQL predicates of a table for rows that are not in it, such as deleted rows."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from rowhouse.db.compiled import CompiledStatement, Predicate, Row
from rowhouse.db.dialects.sqlite_schemas import joined_name
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.sqlalchemy_internals import without_schema
from rowhouse.sql.statements import CACHED_SHAPES

GIVEN = "_given_{}"


class RowPredicate:
    """Evaluates predicates of one table for a row that is not in it.

    The statement begins with a common table expression that has the table's name and contains the table's rows and the
    given row. So the SQL of the predicate stays the same, including its sub-queries.
    """

    def __init__(self, table: sa.Table, dialect: sa.Dialect, *, members: Mapping[str, str]) -> None:
        """`members` are the names of the columns in a row, by their keys in the table."""
        self._table = table
        self._keys = list(table.primary_key.columns)
        # A name of a bind parameter is an identifier, and that of a column may be anything.
        self._binds = {key: GIVEN.format(number) for number, key in enumerate(table.columns.keys())}
        self._members = {key: members.get(key, key) for key in self._binds}
        self._dialect = dialect
        self._name = joined_name(table.name, table.schema) if dialect.name == "sqlite" else table.name
        self._statement = lru_cache(maxsize=CACHED_SHAPES)(self._make_statement)

    def matches(self, unit: UnitOfWork, predicate: Predicate, row: Row) -> bool:
        """Return whether the predicate is true for the row. A column that the row lacks is null."""
        if predicate.clause is None:
            return True
        values = {bind: row.get(self._members[key]) for key, bind in self._binds.items()}
        return bool(unit.run(self._statement(predicate), values, predicate))

    def _make_statement(self, predicate: Predicate) -> CompiledStatement:
        columns = list(self._table.columns)
        # On SQLite the name without a schema would be the expression itself.
        stored = sa.table(
            self._name,
            *(sa.column(column.name, column.type) for column in columns),
            schema="main" if self._dialect.name == "sqlite" else self._table.schema,
        )
        given = sa.select(*(self._given(column).label(column.name) for column in columns))
        shadow = sa.union_all(sa.select(*stored.columns), given).cte(self._name)
        is_given = [key == sa.bindparam(self._binds[str(key.key)], type_=key.type) for key in self._keys]
        clause: Any = predicate.clause  # not None: `matches` has checked it
        source = sa.select(*self._keys).where(*is_given, clause)
        return CompiledStatement(
            source.add_cte(shadow), self._without_schema(), columns=self._keys, predicate=predicate
        )

    def _without_schema(self) -> sa.Dialect:
        """The dialect, without the schema of the table on PostgreSQL, because the expression has none."""
        if self._table.schema is None or self._dialect.name != "postgresql":
            return self._dialect
        return without_schema(self._dialect, self._table)

    def _given(self, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """A bound value with its column's type, which PostgreSQL would otherwise guess."""
        bound = sa.bindparam(self._binds[str(column.key)], type_=column.type)
        return sa.cast(bound, column.type) if self._dialect.name == "postgresql" else bound
