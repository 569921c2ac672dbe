"""The SQL of the verbs of one entity on one database. Each statement is compiled once for each shape of request."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.operators import custom_op

from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Predicate, Row, plain_type
from rowhouse.query.cursor import in_order
from rowhouse.query.list_query import QueryShape
from rowhouse.query.resource import Link, Order, Resource
from rowhouse.schemas.columns import Column
from rowhouse.schemas.computed import RowComputer
from rowhouse.schemas.defaults import is_python, value_of
from rowhouse.sql.count_estimate import (
    count_by_key,
    count_exactly,
    count_from_start,
    estimate_from_sample,
    first_blocks,
)
from rowhouse.sql.own_order import OwnOrder
from rowhouse.sql.parent_order import ParentOrder, SortedScope, Window

CACHED_SHAPES = 512
# Names of our own begin with an underscore, with which no column of a SQLModel class can begin.
TOTAL, ROW_KEY, PAGE_LIMIT, PAGE_OFFSET = "_total_rows", "_row_key", "_page_limit", "_page_offset"
TARGET_KEY = "_target_key"
RELATED, LINKED = "_related", "_linked"


def numbered(name: str, row: int) -> str:
    """Return the bind name of a value of one of many rows. SQLAlchemy itself uses names such as `status_1`."""
    return f"_{row}_{name}"


def read_expression(column: Column) -> sa.ColumnElement[Any]:
    """Return the expression that reads a column, labelled with the name of its attribute."""
    if column.computed is not None:
        return column.computed.label(column.name)
    return column.column if column.column.key == column.name else column.column.label(column.name)


def _as_selected(expression: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return a column for a RETURNING of SQLite that returns numbers as a SELECT does."""
    column = expression.element if isinstance(expression, sa.Label) else expression
    if isinstance(plain_type(column.type), sa.Float):
        return sa.cast(column, column.type)
    return sa.UnaryExpression(column, operator=custom_op("+"), type_=expression.type)


class Statements:
    """Returns compiled statements. The arguments of each method are all that decides its SQL text; values are bound."""

    def __init__(self, resource: Resource, dialect: sa.Dialect) -> None:
        self._resource = resource
        self._parameters = resource.parameters
        self._table = resource.table
        self._columns = resource.columns
        self.dialect = dialect
        self._keys = [column.column for column in resource.key.columns]
        self._exact_count_limit = resource.exact_count_limit
        self._public = [read_expression(resource.columns[name]) for name in resource.schemas.public_names]
        self._all_columns = [read_expression(column) for column in resource.columns.values()]
        self._computer = _computer(resource)
        if self._computer is not None:
            self._public = [*self._all_columns]
        self._own_order = OwnOrder(resource, dialect)
        # The columns that a delete returns, and those that locking rows before an update returns.
        keys = [read_expression(column) for column in resource.key.columns]
        self._deleted_columns = self._all_columns if resource.records_changes else keys
        self._locked_columns = self._public if resource.history else keys
        cache = lru_cache(maxsize=CACHED_SHAPES)
        self.list = cache(self._list)
        self.list_after = cache(self._list_after)
        self.count = cache(self._count)
        self.estimate = cache(self._estimate)
        self.related = cache(self._related)
        self.linked = cache(self._linked)
        self.get = cache(self._get)
        self.get_locked = cache(self._get_locked)
        self.insert = cache(self._insert)
        self.update = cache(self._update)
        self.delete = cache(self._delete)
        self.exists = cache(self._exists)
        self.visible = cache(self._visible)
        self.visible_rows = cache(self._visible_rows)
        self.insert_many = cache(self._insert_many)
        self.lock_many = cache(self._lock_many)
        self.update_many = cache(self._update_many)
        self.delete_many = cache(self._delete_many)

    def _list_after(self, shape: QueryShape, scope: Predicate) -> CompiledStatement:
        """A page after a cursor, or the first one, without a total. Binds the cursor's values and `_page_limit`."""
        limit = sa.bindparam(PAGE_LIMIT, type_=sa.BigInteger())
        if isinstance(scope, SortedScope):
            found = self._in_parent_order(shape, scope, Window(limit))
            return self._compile(found, list(found.selected_columns), scope)
        found = self._own_order.page(self._public, shape, scope, window=Window(limit))
        return self._compile(found, self._public, scope)

    def _list(self, shape: QueryShape, scope: Predicate) -> CompiledStatement:
        """A page and the total, which may be NULL: see `count_from_start`. Binds `_page_limit` and `_page_offset`."""
        total = self._quick_total(shape, scope).label(TOTAL)
        limit, offset = (sa.bindparam(name, type_=sa.BigInteger()) for name in (PAGE_LIMIT, PAGE_OFFSET))
        if isinstance(scope, SortedScope):
            found = self._in_parent_order(shape, scope, Window(limit, offset)).add_columns(total)
            return self._compile(found, list(found.selected_columns), scope)
        columns = [*self._public, total]
        found = self._own_order.page(columns, shape, scope, window=Window(limit, offset))
        return self._compile(found, columns, scope)

    def _in_parent_order(self, shape: QueryShape, scope: SortedScope, window: Window) -> sa.Select[Any]:
        order = ParentOrder(self._resource, self.dialect, public=self._public)
        write = order.by_parent if shape.by_parent else order.sorted
        conditions, keys = self._parameters.conditions(shape), self._parameters.sort_keys(shape.sort)
        return write(keys, scope, conditions=conditions, nulls=shape.nulls, window=window)

    def _count(self, shape: QueryShape, scope: Predicate) -> CompiledStatement:
        """The total. It may be NULL with `in_first_blocks`, as that of a list."""
        if shape.in_first_blocks:
            source = sa.select(self._quick_total(shape, scope).label(TOTAL))
        else:
            source = self._counting(shape, scope)
        return self._compile(source, list(source.selected_columns), scope)

    def _quick_total(self, shape: QueryShape, scope: Predicate) -> sa.ColumnElement[Any]:
        where = self._selected(sa.literal_column("1"), shape, scope).whereclause
        is_whole_or_common = where is None or shape.in_first_blocks
        if self._exact_count_limit is None or self.dialect.name != "postgresql" or not is_whole_or_common:
            return self._counting(shape, scope).scalar_subquery()
        return count_from_start(self._table, self._exact_count_limit, where=where, dialect=self.dialect)

    def _counting(self, shape: QueryShape, scope: Predicate) -> sa.Select[Any]:
        shape = replace(shape, by_index=True)  # a count has no order, so the index always helps
        if self._exact_count_limit is None:
            return self._selected(sa.func.count().label(TOTAL), shape, scope)
        bounded = self._selected(sa.literal_column("1"), shape, scope)
        if bounded.whereclause is None and self.dialect.name == "sqlite":
            return sa.select(count_exactly(self._table, self._exact_count_limit).scalar_subquery().label(TOTAL))
        if bounded.whereclause is None:
            return sa.select(count_by_key(self._keys, self._exact_count_limit).label(TOTAL))
        bounded = bounded.limit(sa.literal_column(str(self._exact_count_limit + 1)))
        return sa.select(sa.func.count().label(TOTAL)).select_from(bounded.subquery())

    def _selected(self, value: Any, shape: QueryShape, scope: Predicate) -> sa.Select[Any]:
        """Select `value` from the rows of a shape."""
        source = sa.select(value).select_from(self._table).where(*self._parameters.conditions(shape))
        selected: sa.Select[Any] = _where(source, scope)
        return selected

    def _estimate(self, shape: QueryShape, scope: Predicate) -> CompiledStatement:
        """The statement that `estimated_rows` reads. Binds the values of the shape.

        With `in_first_blocks` it estimates how many of the rows are in the first blocks of the table.
        """
        if self.dialect.name == "postgresql":
            plan: Any = sa.literal_column("plan")
            source = self._selected(self._keys[0], shape, scope)
            if shape.in_first_blocks and self._exact_count_limit is not None:
                source = source.where(*first_blocks(self._exact_count_limit))
            return CompiledStatement(source, self.dialect, columns=[plan], predicate=scope, explain=True)
        sample = estimate_from_sample(self._table, lambda counted: self._selected(counted, shape, scope))
        return self._compile(sample, list(sample.selected_columns), scope)

    def _related(self, column: str, size: int, scope: Predicate, order: Order = ()) -> CompiledStatement:
        """The rows whose `column` has one of `size` values, in the order of these words of `sort` and of their keys.

        Binds numbered `_related` and `_page_limit`.
        """
        kind = self._columns[column].column
        values = [sa.bindparam(numbered(RELATED, position), type_=kind.type) for position in range(size)]
        source = _where(sa.select(*self._public).where(kind.in_(values)), scope).order_by(*self._in_order(order))
        limit = sa.bindparam(PAGE_LIMIT, type_=sa.BigInteger())
        return self._compile(source.limit(limit), self._public, scope)

    def _linked(self, link: Link, column: str, size: int, scope: Predicate, order: Order = ()) -> CompiledStatement:
        """The rows whose `column` a link pairs with one of `size` values, each with the value as `_linked`.

        Binds numbered `_related` and `_page_limit`.
        """
        near, far = link.table.columns[link.near], link.table.columns[link.far]
        values = [sa.bindparam(numbered(RELATED, position), type_=near.type) for position in range(size)]
        columns = [near.label(LINKED), *self._public]
        joined = link.table.join(self._table, far == self._columns[column].column)
        source = sa.select(*columns).select_from(joined).where(near.in_(values))
        limit = sa.bindparam(PAGE_LIMIT, type_=sa.BigInteger())
        return self._compile(_where(source, scope).order_by(*self._in_order(order)).limit(limit), columns, scope)

    def _in_order(self, order: Order) -> list[Any]:
        return in_order(self._parameters.sort_keys(order))

    def _get(self, predicate: Predicate) -> CompiledStatement:
        """The public columns of one row. Binds `_row_key`."""
        source = _where(sa.select(*self._public).where(self._is_row()), predicate)
        return self._compile(source, self._public, predicate)

    def _get_locked(self, predicate: Predicate) -> CompiledStatement:
        """All columns of one row, which stays locked until the transaction ends. Binds `_row_key`."""
        source = _where(sa.select(*self._all_columns).where(self._is_row()), predicate)
        return self._compile(source.with_for_update(key_share=True), self._all_columns, predicate)

    def _insert(self, names: tuple[str, ...], condition: Predicate = EVERYTHING) -> CompiledStatement:
        """Insert one row if the condition is true, which is not about the row. Binds each column by its name."""
        values = {self._stored(name): self._value(name, name) for name in names} | self._defaults(names)
        if condition.clause is None:
            source = self._table.insert().values(values)
        else:
            source = self._table.insert().from_select([*values], sa.select(*values.values()).where(condition.clause))
        return self._compile(source.returning(*self._returned(self._public)), self._public, condition)

    def _update(self, names: tuple[str, ...], predicate: Predicate) -> CompiledStatement:
        """Update one row. Binds `_row_key`, and each new value as `set_` and the column's name."""
        values = {self._stored(name): self._value(name, f"set_{name}") for name in names} | self._touched(names)
        source = _where(self._table.update().where(self._is_row()), predicate)
        return self._compile(source.values(values).returning(*self._returned(self._public)), self._public, predicate)

    def _delete(self, predicate: Predicate) -> CompiledStatement:
        source = _where(self._table.delete().where(self._is_row()), predicate)
        return self._compile(source.returning(*self._returned(self._deleted_columns)), self._deleted_columns, predicate)

    def _exists(self, target: sa.Column[Any]) -> CompiledStatement:
        """The row of another table with a key, if it exists. Binds `_target_key`."""
        found = sa.select(target).where(target == sa.bindparam(TARGET_KEY, type_=target.type))
        return self._compile(found, [target])

    def _visible(self, target: sa.Column[Any], size: int, predicate: Predicate) -> CompiledStatement:
        """Those of `size` values of another table's column whose rows meet `predicate`. Binds numbered `_row_key`s."""
        given = [sa.bindparam(numbered(ROW_KEY, row), type_=target.type) for row in range(size)]
        return self._compile(_where(sa.select(target).where(target.in_(given)), predicate), [target], predicate)

    def _visible_rows(self, targets: tuple[sa.Column[Any], ...], size: int, predicate: Predicate) -> CompiledStatement:
        """The same for values of several columns. Binds numbered parts of `_row_key`s."""
        kinds = {name: target.type for name, target in zip(key_names(len(targets)), targets, strict=True)}
        given = values_table(kinds, size, self.dialect)
        found = sa.select(*targets).where(sa.tuple_(*targets).in_(sa.select(*given.c)))
        return CompiledStatement(_where(found, predicate), self.dialect, columns=targets, predicate=predicate)

    def _insert_many(self, names: tuple[str, ...], size: int) -> CompiledStatement:
        """Insert `size` rows. Binds numbered columns."""
        rows = [
            {self._stored(name): self._value(name, numbered(name, row)) for name in names} | self._defaults(names)
            for row in range(size)
        ]
        return self._compile(self._table.insert().values(rows).returning(*self._returned(self._public)), self._public)

    def _lock_many(self, size: int, predicate: Predicate, *, whole: bool, deleting: bool = False) -> CompiledStatement:
        """The rows that exist, locked in the order of keys; all columns if `whole`. Binds numbered `_row_key`s.

        With `deleting`, other transactions cannot refer to the rows any more.
        """
        columns = self._all_columns if whole else self._locked_columns
        source = _where(sa.select(*columns).where(self._is_one_of(size)), predicate)
        locked = source.order_by(*self._keys).with_for_update(key_share=not deleting)
        return self._compile(locked, columns, predicate)

    def _update_many(self, names: tuple[str, ...], size: int) -> CompiledStatement:
        """Update `size` rows. Binds numbered `_row_key`s and numbered columns."""
        kinds = {**self._key_types(), **{name: self._columns[name].column.type for name in names}}
        given = values_table(kinds, size, self.dialect)
        is_row = [column == given.c[name] for name, column in zip(self._key_types(), self._keys, strict=True)]
        values = {self._stored(name): given.c[name] for name in names} | self._touched(names)
        source = self._table.update().where(*is_row).values(values)
        return self._compile(source.returning(*self._returned(self._public)), self._public)

    def _delete_many(self, size: int) -> CompiledStatement:
        """Delete `size` rows. Binds numbered `_row_key`s."""
        source = self._table.delete().where(self._is_one_of(size))
        return self._compile(source.returning(*self._returned(self._deleted_columns)), self._deleted_columns)

    def _returned(self, columns: Sequence[sa.ColumnElement[Any]]) -> Sequence[sa.ColumnElement[Any]]:
        """Return the columns for a RETURNING.

        SQLite (3.40) returns every number as the first column of the table has it: as a float, in which a large whole
        number loses digits, or a whole float as an integer. The database may have the columns in another order than the
        class.
        """
        if self.dialect.name != "sqlite" or not any(
            isinstance(plain_type(c.type), sa.Float) for c in self._table.columns
        ):
            return columns
        return [_as_selected(one) for one in columns]

    def _is_one_of(self, size: int) -> Any:
        """Return whether a row has one of `size` keys. Binds numbered `_row_key`s."""
        if len(self._keys) == 1:
            kind = self._keys[0].type
            return self._keys[0].in_([sa.bindparam(numbered(ROW_KEY, row), type_=kind) for row in range(size)])
        given = values_table(self._key_types(), size, self.dialect)
        return sa.tuple_(*self._keys).in_(sa.select(*given.c))

    def _key_types(self) -> dict[str, Any]:
        """Return the types of the key's columns by the names of their parameters."""
        return {name: column.type for name, column in zip(key_names(len(self._keys)), self._keys, strict=True)}

    def _value(self, column: str, bind: str) -> sa.BindParameter[Any]:
        return sa.bindparam(bind, type_=self._columns[column].column.type)

    def _stored(self, name: str) -> str:
        """Return the key in the table of the column that the class calls `name`."""
        return str(self._columns[name].column.key)

    def _defaults(self, names: Collection[str]) -> dict[str, Any]:
        """Return `Column(default=…)` of the columns that an insert leaves out. Each run calls a function again."""
        left_out = [c.column for c in self._columns.values() if c.is_filled and c.name not in names]
        return {str(column.key): _called(column.default, column) for column in left_out if is_python(column.default)}

    def _touched(self, names: Collection[str]) -> dict[str, Any]:
        """Return `Column(onupdate=…)` of the columns that an update leaves out, in the same way."""
        left_out = [column.column for column in self._columns.values() if column.name not in names]
        return {str(column.key): _called(column.onupdate, column) for column in left_out if is_python(column.onupdate)}

    def _is_row(self) -> Any:
        return is_row(self._keys)

    def _compile(self, source: Any, columns: Sequence[Any], predicate: Predicate = EVERYTHING) -> CompiledStatement:
        kind = CompiledStatement if len(self._keys) == 1 else CompositeKeyStatement
        if self._computer is not None and {id(one) for one in self._public} <= {id(one) for one in columns}:
            computed = ComputedStatement(source, self.dialect, columns=columns, predicate=predicate)
            computed.computer, computed.keeps_hidden = self._computer, columns is self._all_columns
            return computed
        return kind(source, self.dialect, columns=columns, predicate=predicate)


def _computer(resource: Resource) -> RowComputer | None:
    """Return the object that adds the computed members of a class to its rows. None without such members."""
    computed, names = resource.schemas.computed, resource.schemas.public_names
    if not computed:
        return None
    return RowComputer(resource.model, computed, [name for name in resource.columns if name not in names])


def key_names(count: int) -> list[str]:
    """Return the names of the parameters of a key with this number of columns."""
    return [ROW_KEY] if count == 1 else [f"{ROW_KEY}_{position}" for position in range(count)]


def is_row(keys: Sequence[Any]) -> Any:
    """Return the condition that the row has the key that is bound as `_row_key`."""
    bound = [sa.bindparam(name, type_=key.type) for name, key in zip(key_names(len(keys)), keys, strict=True)]
    return (
        sa.and_(*(key == one for key, one in zip(keys, bound, strict=True))) if len(keys) > 1 else keys[0] == bound[0]
    )


class CompositeKeyStatement(CompiledStatement):
    """A statement whose parameter `_row_key`, numbered or not, is a tuple: one value for each column of the key."""

    def execute(self, driver: Any, parameters: Mapping[str, Any], predicate: Predicate = EVERYTHING) -> list[Row]:
        """Run the statement with each value of a key as a parameter of its own."""
        return super().execute(driver, in_parts(parameters), predicate)


class ComputedStatement(CompositeKeyStatement):
    """A statement that reads whole rows of a class with computed members, and adds these to them."""

    computer: RowComputer
    keeps_hidden: bool

    def execute(self, driver: Any, parameters: Mapping[str, Any], predicate: Predicate = EVERYTHING) -> list[Row]:
        """Run the statement, and complete its rows."""
        rows = super().execute(driver, parameters, predicate)
        self.computer.add(rows, keeps_hidden=self.keeps_hidden)
        return rows


def in_parts(parameters: Mapping[str, Any]) -> Row:
    """Return parameters with each value of a key as a parameter of its own."""
    found: Row = {}
    for name, value in parameters.items():
        if name.endswith(ROW_KEY) and isinstance(value, tuple):
            found.update({f"{name}_{position}": part for position, part in enumerate(value)})
        else:
            found[name] = value
    return found


def _called(default: Any, column: sa.Column[Any]) -> sa.BindParameter[Any]:
    """Return a parameter with the value of a default, which is the same in all rows of a statement."""
    return sa.bindparam(None, callable_=partial(value_of, default), type_=column.type, unique=True)


def values_table(kinds: Mapping[str, Any], size: int, dialect: sa.Dialect) -> sa.CTE:
    """Return `size` rows of bound values as the table `given`. `kinds` are its column types. Binds numbered columns."""

    def value(name: str, row: int) -> sa.ColumnElement[Any]:
        """Return a bound value with its type, which PostgreSQL would otherwise guess."""
        bound = sa.bindparam(numbered(name, row), type_=kinds[name])
        return sa.cast(bound, kinds[name]) if dialect.name == "postgresql" else bound

    columns = [sa.column(name, kind) for name, kind in kinds.items()]
    rows = [tuple(value(name, row) for name in kinds) for row in range(size)]
    return sa.values(*columns, name="given").data(rows).cte("given")


def _where(source: Any, predicate: Predicate) -> Any:
    return source if predicate.clause is None else source.where(predicate.clause)
