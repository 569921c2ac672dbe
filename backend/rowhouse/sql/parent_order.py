"""Lists in the order of a column of related rows: `sort=category__name`. The related row is called the parent here.

A parent that the caller does not see sorts as if there were none: its value is null (decision 0063).

Two statements give the same rows. One joins the parents and sorts all rows that are selected, which is fast for few
rows. The other reads the parents in order, and the first rows of each by the index of the reference, until the page is
full. It has a part for each range of values, in their order, and each part reads only the rows that the parts before
it leave to be read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from rowhouse.db.compiled import Predicate
from rowhouse.db.sql_functions import SortedText
from rowhouse.entities.model import is_adopted
from rowhouse.query.cursor import SortKey, after, bound_value, in_order
from rowhouse.query.resource import Relation, Resource

PARENT_KEY = "_parent_key"
Columns = Sequence[sa.ColumnElement[Any]]


class SortedScope(Predicate):
    """The condition on the rows of a list, and those on the parents that it is sorted by, by relation."""

    __slots__ = ("_rows", "parents")

    def __init__(self, rows: Predicate, parents: Mapping[str, Predicate]) -> None:
        self._rows = rows
        self.parents = parents
        self.clause = rows.clause
        parts = (rows, *parents.values())
        self.binds = [bind for part in parts for bind in part.binds]
        has_own_text = any(part.key is part for part in parts)
        self.key = self if has_own_text else (*parents, *(part.key for part in parts))

    @property
    def rows(self) -> Predicate:
        """The condition on the rows alone."""
        return self._rows


@dataclass(frozen=True, slots=True)
class Window:
    """How many rows a statement reads: `limit` behind `offset`, which is None behind a cursor."""

    limit: sa.ColumnElement[Any]
    offset: sa.ColumnElement[Any] | None = None

    @property
    def end(self) -> sa.ColumnElement[Any]:
        """The number of rows up to the end of the window."""
        return self.limit if self.offset is None else self.limit + self.offset

    def of(self, source: sa.Select[Any]) -> sa.Select[Any]:
        """Return the rows of a select that are in the window."""
        cut = source.limit(self.limit)
        return cut if self.offset is None else cut.offset(self.offset)


class ParentOrder:
    """Writes the lists of one entity on one database in the order of parents' columns.

    `public` are the columns of a row. A row also has the value of each parent's column, for the next cursor.
    """

    def __init__(self, resource: Resource, dialect: sa.Dialect, *, public: Columns) -> None:
        self._resource = resource
        self._table = resource.table
        self._has_lateral = dialect.name == "postgresql"
        self._public = public
        self._keys = [column.column for column in resource.key.columns]

    def sorted(
        self,
        keys: Sequence[SortKey],
        scope: SortedScope,
        *,
        conditions: Columns,
        nulls: Sequence[bool] | None,
        window: Window,
    ) -> sa.Select[Any]:
        """Return the list that sorts every selected row."""
        source: Any = self._table
        for name in scope.parents:
            parent = self._parent(name, keys, scope)
            source = source.outerjoin(parent, self._local(name) == parent.c[PARENT_KEY])
            keys = _read_from(keys, name, parent)
        rows = sa.select(*self._public, *_values(keys)).select_from(source).where(*conditions, *_clauses(scope))
        if nulls is not None:
            rows = rows.where(after(keys, nulls))
        return window.of(rows.order_by(*in_order(keys)))

    def by_parent(
        self,
        keys: Sequence[SortKey],
        scope: SortedScope,
        *,
        conditions: Columns,
        nulls: Sequence[bool] | None,
        window: Window,
    ) -> sa.Select[Any]:
        """Return the list that reads the parents in order. Only the first key is of a parent."""
        conditions = [*conditions, *_clauses(scope)]
        parts: list[sa.CTE] = []
        for part in self._parts(keys, scope, conditions, nulls, window):
            left = window.end
            if parts:
                read = sa.union_all(*(sa.select(sa.literal_column("1")).select_from(one) for one in parts)).subquery()
                left = sa.select(window.end - sa.func.count()).select_from(read).scalar_subquery()
            parts.append(part.limit(left).cte(f"_part_{len(parts)}"))
        found = sa.union_all(*(sa.select(part) for part in parts)).subquery()
        ordered = in_order([replace(key, value=_sorted(key, found.c[key.name])) for key in keys])
        return window.of(sa.select(*found.c).order_by(*ordered))

    def _parts(
        self,
        keys: Sequence[SortKey],
        scope: SortedScope,
        conditions: Columns,
        nulls: Sequence[bool] | None,
        window: Window,
    ) -> Iterator[sa.Select[Any]]:
        """Yield the parts of the list: in ascending order the rows with a value, then those without."""
        name = str(keys[0].relation)
        parent = self._parent(name, keys, scope)
        first, *rest = _read_from(keys, name, parent)
        rest_after = [] if nulls is None else [after(rest, nulls[1:], start=1)]

        def with_value(of_parent: Columns, of_row: Columns) -> sa.Select[Any]:
            near = sa.select(*self._keys).where(self._local(name) == parent.c[PARENT_KEY], *conditions, *of_row)
            near = near.order_by(*in_order(rest)).limit(window.end).correlate(parent)
            source = self._joined(parent, near)
            rows = sa.select(*self._public, *_values([first])).select_from(source)
            return rows.where(first.expression.is_not(None), *of_parent).order_by(*in_order([first, *rest]))

        def without_value(of_row: Columns) -> sa.Select[Any]:
            source = self._table.outerjoin(parent, self._local(name) == parent.c[PARENT_KEY])
            rows = sa.select(*self._public, *_values([first])).select_from(source)
            return rows.where(first.expression.is_(None), *conditions, *of_row).order_by(*in_order(rest))

        is_null = None if nulls is None else nulls[0]
        if first.descending and (is_null or (nulls is None and self._may_lack(first, scope))):
            yield without_value(rest_after)
        if is_null is False:
            value, bound = first.expression, bound_value(first, 0)
            yield with_value([value == bound], rest_after)
            yield with_value([value < bound if first.descending else value > bound], [])
        elif first.descending or is_null is None:
            yield with_value([], [])
        if not first.descending and (is_null or self._may_lack(first, scope)):
            yield without_value(rest_after if is_null else [])

    def _may_lack(self, key: SortKey, scope: SortedScope) -> bool:
        """Return whether a row may have no value: no parent, one that the caller does not see, or one with null."""
        local = self._local(str(key.relation))
        always = local.foreign_keys and not local.nullable and not is_adopted(self._table)
        return not always or scope.parents[str(key.relation)].clause is not None or key.column.reads_null

    def _joined(self, parent: sa.Subquery, near: sa.Select[Any]) -> Any:
        """Return each parent with the rows whose keys `near` selects for it."""
        if self._has_lateral:
            found = near.lateral()
            same = [key == found.c[key.key] for key in self._keys]
            return parent.join(found, sa.true()).join(self._table, sa.and_(*same))
        key = self._keys[0] if len(self._keys) == 1 else sa.tuple_(*self._keys)
        return parent.join(self._table, key.in_(near))

    def _parent(self, name: str, keys: Sequence[SortKey], scope: SortedScope) -> sa.Subquery:
        """Return the parents that the caller sees: their keys, and the values to sort by."""
        relation = self._relation(name)
        remote = relation.target.columns[relation.remote].column.label(PARENT_KEY)
        values = [key.column.sorted.label(key.name) for key in keys if key.relation == name]
        visible = scope.parents[name].clause
        found = sa.select(remote, *values)
        return (found if visible is None else found.where(visible)).subquery(f"_parent_{[*scope.parents].index(name)}")

    def _relation(self, name: str) -> Relation:
        return self._resource.relations[name]

    def _local(self, name: str) -> sa.Column[Any]:
        return self._resource.columns[self._relation(name).local].column


def _clauses(scope: Predicate) -> Columns:
    return [] if scope.clause is None else [scope.clause]


def _read_from(keys: Sequence[SortKey], name: str, parent: sa.Subquery) -> Sequence[SortKey]:
    """Return the keys, with those of one relation read from its parents."""
    return [replace(key, value=parent.c[key.name]) if key.relation == name else key for key in keys]


def _sorted(key: SortKey, value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the expression to sort by, of a value that was read as that of the key."""
    return SortedText(value) if key.relation is None and key.column.sorts_as_words else value


def _values(keys: Sequence[SortKey]) -> Columns:
    return [key.expression.label(key.name) for key in keys if key.relation is not None]
