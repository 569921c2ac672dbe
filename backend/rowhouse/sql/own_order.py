"""Lists in the order of the rows' own columns. `parent_order` has those in the order of related rows.

Without an index for an order, the database sorts every selected row. PostgreSQL copies the columns of each row for
that. So there the keys are sorted alone, and then the rows of the page are read by their keys: this takes half the
time for 4,000 books and for a million.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rowhouse.db.compiled import Predicate
from rowhouse.query.cursor import SortKey, after, in_order
from rowhouse.query.list_query import QueryShape
from rowhouse.query.resource import Resource, leading_columns
from rowhouse.sql.parent_order import Window


class OwnOrder:
    """Writes the lists of one entity on one database in the order of its columns."""

    def __init__(self, resource: Resource, dialect: sa.Dialect) -> None:
        self._parameters = resource.parameters
        self._keys = [column.column for column in resource.key.columns]
        self._indexed = frozenset(leading_columns(resource.table))
        self._sorts_keys = dialect.name == "postgresql" and len(self._keys) == 1

    def page(
        self, columns: Sequence[sa.ColumnElement[Any]], shape: QueryShape, scope: Predicate, *, window: Window
    ) -> sa.Select[Any]:
        """Return the list of a shape with these columns, behind the position of its cursor if it has one."""
        keys = self._parameters.sort_keys(shape.sort)
        order = in_order(keys)
        conditions = self._parameters.conditions(shape)
        if shape.nulls is not None:
            conditions.append(after(keys, shape.nulls))
        if scope.clause is not None:
            conditions.append(scope.clause)
        if not self._sorts_keys or self._has_index(keys[0]):
            return window.of(sa.select(*columns).where(*conditions).order_by(*order))
        (key,) = self._keys
        picked = window.of(sa.select(key).where(*conditions).order_by(*order))
        found = sa.func.array(picked.correlate(None).scalar_subquery())
        return sa.select(*columns).where(key == sa.any_(found)).order_by(*order)

    def _has_index(self, first: SortKey) -> bool:
        """Return whether an index begins with the column that a list is sorted by first."""
        return first.expression is first.column.column and first.column.column.name in self._indexed
