"""Create or change rows by a unique key, in a number of statements that does not grow with the rows.

The stored rows are read and locked, then changed; the others are inserted in the order of the key, so that two requests
never wait for each other. If another request inserts one of them first, the whole request is repeated and finds it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from rowhouse.core.errors import (
    DuplicateError,
    InvalidInputError,
    NotFoundError,
    RowhouseError,
    TransactionRetryError,
)
from rowhouse.crud.batch import BatchVerbs, KeyedValues
from rowhouse.crud.batch_errors import element_error
from rowhouse.crud.hooks import ModelT
from rowhouse.db.compiled import CompiledStatement, Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.resource import Resource, is_unique_key
from rowhouse.sql.chunks import pad_to_power_of_two
from rowhouse.sql.statements import CACHED_SHAPES, ROW_KEY, numbered, values_table

Names = tuple[str, ...]
UniqueValues = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a request: the values of the Create schema, and the names of those that the client sent."""

    values: Mapping[str, Any]
    sent: frozenset[str]


@dataclass(frozen=True, slots=True)
class Upserted:
    """The rows as stored, in order, and whether each was created."""

    rows: Sequence[Row]
    created: Sequence[bool]


def unique_keys(resource: Resource) -> dict[str, Names]:
    """Return the unique keys whose values a new row has from its client, or from its owner, as `book_id,user_id`."""
    known = {*resource.schemas.create.model_fields} | ({resource.owner} if resource.owner else set())
    table = resource.table
    members = {column.column: name for name, column in resource.columns.items()}
    found = [constraint.columns for constraint in sorted_constraints(table)]
    found += [index.columns for index in sorted(table.indexes, key=lambda one: str(one.name)) if is_unique_key(index)]
    names = [tuple(members.get(column, "") for column in columns) for columns in found]
    usable = [key for key in names if key and known.issuperset(key) and key != (resource.owner,)]
    return {",".join(key): key for key in usable}


def sorted_constraints(table: sa.Table) -> list[sa.PrimaryKeyConstraint | sa.UniqueConstraint]:
    """Return the primary key and the unique constraints of a table, in one order for each start."""
    unique = [one for one in table.constraints if isinstance(one, sa.UniqueConstraint)]
    return [table.primary_key, *sorted(unique, key=lambda one: [column.name for column in one.columns])]


class UpsertVerbs(BatchVerbs[ModelT]):
    """The verb that creates or changes many rows of one entity."""

    def __init__(self, resource: Resource, dialect: sa.Dialect) -> None:
        super().__init__(resource, dialect)
        self._stored_statement = lru_cache(maxsize=CACHED_SHAPES)(self._selecting_stored)
        update = resource.schemas.update.model_fields
        self._fixed = frozenset(resource.schemas.create.model_fields) - update.keys()

    def upsert_many(self, unit: UnitOfWork, elements: Sequence[Element], *, on: Names) -> Upserted:
        """Change the rows that exist, by the unique key `on`, and create the others.

        A change sets the members that the client sent. Hooks, history and permissions see creates and updates.

        Raises:
            InvalidInputError: 422 if a key is given twice, or a member would change that cannot be changed.
            ConflictError: 409 as for `create`; also if the row belongs to someone whose rows the caller does not see.
            PermissionDeniedError: 403 if the caller sees the row and may not change it. All name the element.
        """
        unit.begin()
        keys = [self._unique_values(unit, element, on) for element in elements]
        _reject_repeated(keys, on)
        self.guards.lock_resources(unit, [dict(element.values) for element in elements])
        stored = self._stored(unit, keys, on, lock=True)
        existing = [position for position, key in enumerate(keys) if key in stored]
        # Rivals insert in one order, and so never deadlock.
        new = sorted((p for p, key in enumerate(keys) if key not in stored), key=lambda p: _order(keys[p]))
        changed = self._change(unit, existing, elements, keys=keys, stored=stored, on=on) if existing else []
        made = self._create(unit, new, elements, keys=keys, on=on) if new else []
        rows = {**dict(zip(existing, changed, strict=True)), **dict(zip(new, made, strict=True))}
        return Upserted([rows[p] for p in range(len(keys))], [key not in stored for key in keys])

    def _unique_values(self, unit: UnitOfWork, element: Element, on: Names) -> UniqueValues:
        owner = unit.caller.id if unit.caller else None
        return tuple(owner if name == self.resource.owner else element.values[name] for name in on)

    def _stored(
        self, unit: UnitOfWork, keys: Sequence[UniqueValues], on: Names, *, lock: bool = False
    ) -> dict[UniqueValues, Row]:
        """Return the stored rows with these values, also rows that the caller does not see.

        One statement locks all of them, in the order of their primary keys. Several would lock them in the order of the
        request, and rivals would deadlock.
        """
        asked = [key for key in keys if None not in key]
        if not asked:
            return {}
        asked = pad_to_power_of_two(asked)
        bound = {numbered(name, n): value for n, key in enumerate(asked) for name, value in zip(on, key, strict=True)}
        # Rows are locked behind the resources of a `NoOverlap`, which only the change knows.
        statement = self._stored_statement(on, len(asked), lock=lock and not self.guards)
        return {tuple(row[name] for name in on): row for row in unit.run(statement, bound)}

    def _selecting_stored(self, on: Names, size: int, *, lock: bool) -> CompiledStatement:
        """The rows with `size` unique keys, in the order of their primary keys. Binds numbered columns."""
        key = self.resource.key.names
        stored = {name: self.resource.columns[name].column for name in (*key, *on, *sorted(self._fixed))}
        given = values_table({name: stored[name].type for name in on}, size, self.dialect)
        columns = [column.label(name) for name, column in stored.items()]
        joined = given.join(self.table, sa.and_(*(stored[name] == given.c[name] for name in on)))
        source = sa.select(*columns).select_from(joined).order_by(*(stored[name] for name in key))
        if lock:
            source = source.with_for_update(of=self.table, key_share=True)
        return CompiledStatement(source, self.dialect, columns=columns)

    def _change(
        self,
        unit: UnitOfWork,
        positions: Sequence[int],
        elements: Sequence[Element],
        *,
        keys: Sequence[UniqueValues],
        stored: Mapping[UniqueValues, Row],
        on: Names,
    ) -> Sequence[Row]:
        try:
            changes = []
            for number, position in enumerate(positions):
                with element_error(number):
                    changes.append(self._keyed_changes(unit, elements[position], stored[keys[position]], on))
            return self.update_many(unit, changes)
        except NotFoundError as error:
            position = positions[error.element or 0]
            row = self._stored(unit, [keys[position]], on).get(keys[position])
            if row is None:
                raise TransactionRetryError from error  # it was deleted between the two reads
            if not self._sees(unit, row):
                raise self._taken(on).element_error(position) from error
            _renumber(error, positions)
            raise  # a rule of the class did not find another row
        except RowhouseError as error:
            _renumber(error, positions)
            raise

    def _keyed_changes(self, unit: UnitOfWork, element: Element, stored: Row, on: Names) -> KeyedValues:
        """Return the key of a stored row and the members to set. Fixed members must have their stored values."""
        key = self.key_of(stored)
        for name in sorted(element.sent & self._fixed - set(on)):
            if element.values[name] != stored[name]:
                self.lock(unit, key)  # only those who may change the row learn what is stored
                message = "the row exists, and this member cannot be changed; leave it out"
                raise InvalidInputError.at("body", name, message=message, kind="create_only")
        changes = {name: element.values[name] for name in element.sent - self._fixed}
        return key, changes or {on[0]: stored[on[0]]}

    def _sees(self, unit: UnitOfWork, row: Row) -> bool:
        """Return whether the row is in the caller's scope."""
        scope = Predicate(self.scope(unit.caller))
        return bool(unit.run(self.statements.get(scope), {ROW_KEY: self.key_of(row)}, scope))

    def _create(
        self,
        unit: UnitOfWork,
        positions: Sequence[int],
        elements: Sequence[Element],
        *,
        keys: Sequence[UniqueValues],
        on: Names,
    ) -> Sequence[Row]:
        try:
            with unit.savepoint():
                return self.create_many(unit, [elements[p].values for p in positions])
        except DuplicateError as error:
            wanted = [keys[p] for p in positions]
            if not self._stored(unit, wanted, on).keys().isdisjoint(wanted):
                raise TransactionRetryError from error  # another request was faster: it is a change now
            _renumber(error, positions)
            raise
        except RowhouseError as error:
            _renumber(error, positions)
            raise

    def _taken(self, on: Names) -> DuplicateError:
        return DuplicateError(f"{self.resource.name} with this {' and '.join(on)} already exists")


def _renumber(error: RowhouseError, positions: Sequence[int]) -> None:
    """Give an error of some elements the position in all of them."""
    if error.element is not None:
        error.element_error(positions[error.element])


def _order(key: UniqueValues) -> list[str]:
    """Return a sort key for keys of any type. Which order it gives does not matter."""
    return [repr(value) for value in key]


def _reject_repeated(keys: Sequence[UniqueValues], on: Names) -> None:
    seen = set()
    for position, key in enumerate(keys):
        if key in seen:
            message = f"an earlier element has the same {' and '.join(on)}; give each once"
            raise InvalidInputError.at("body", on[0], message=message, kind="repeated").element_error(position)
        if None not in key:
            seen.add(key)
