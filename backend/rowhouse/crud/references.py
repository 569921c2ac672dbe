"""Checks references: to the caller, a row out of their scope is a row that does not exist.

Foreign keys of the database know no callers. Without this check a 409 would reveal whether someone else's private row
exists, and a new reference to that row would keep its owner from deleting it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rowhouse.core.errors import ConflictError, ReferenceNotFoundError, StillReferencedError
from rowhouse.core.security import Caller
from rowhouse.db.compiled import Predicate
from rowhouse.db.integrity import ForeignKeyError, is_named
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.schemas.columns import Column
from rowhouse.sql.chunks import chunked
from rowhouse.sql.statements import ROW_KEY, TARGET_KEY, Statements, key_names, numbered

Scope = Callable[[Caller | None], sa.ColumnElement[bool] | None]
Values = Mapping[str, Any]


class References:
    """The references of one entity. `scopes` has the scope of each table; it is set once all entities are known."""

    def __init__(self, columns: Mapping[str, Column], statements: Statements) -> None:
        self.columns = {
            name: column.column
            for name, column in columns.items()
            if any(key.constraint is None or len(key.constraint.elements) == 1 for key in column.column.foreign_keys)
        }
        self._members = {column.column: name for name, column in columns.items()}
        self._longer = [_LongReference(one, columns) for one in _long_constraints(columns)]
        self.has_long = bool(self._longer)
        self.scopes: Mapping[str, Scope] = {}
        self._statements = statements

    def gaps(self, change: Values) -> list[str]:
        """Return the missing members of each reference of several columns that a change sets only in part."""
        parts = [one.names for one in self._longer if not change.keys().isdisjoint(one.names)]
        return [name for names in parts for name in names if name not in change]

    def whole(self, change: Values, stored: Values) -> Values:
        """Return a change with the stored values of its `gaps`, so that `check` sees whole references."""
        return {**change, **{name: stored[name] for name in self.gaps(change)}}

    def check(self, unit: UnitOfWork, values: Values) -> None:
        """Require that every reference of a row leads to a row that the caller sees.

        Foreign keys find the missing rows.

        Raises:
            ReferenceNotFoundError: 409 with the name of the member, as for a row that does not exist.
        """
        for _, error in self._hidden(unit, [values]):
            raise error

    def check_many(self, unit: UnitOfWork, rows: Sequence[Values]) -> None:
        """Check many rows, in a number of statements that does not grow with the rows. The error names the element."""
        for position, error in self._hidden(unit, rows):
            raise error.element_error(position)

    def _hidden(self, unit: UnitOfWork, rows: Sequence[Values]) -> list[tuple[int, ReferenceNotFoundError]]:
        """Return the position and the error of the first row that refers to a row which the caller does not see."""
        found = []
        for name, column in self.columns.items():
            asked = {row[name] for row in rows if row.get(name) is not None}
            if not asked:
                continue
            own = next(iter(column.foreign_keys))
            asked -= self._siblings(own.column, rows)
            hidden = asked - self._visible(unit, own.column, asked, is_deferred=_is_deferred(own.constraint))
            for position, row in enumerate(rows):
                if hidden and row.get(name) in hidden:
                    found.append((position, _not_found(name, column, row[name])))
                    break
        for reference in self._longer:
            asked_rows = {key for row in rows if (key := reference.key_of(row)) is not None}
            hidden_rows = asked_rows and asked_rows - self._visible_rows(
                unit, reference, asked_rows, is_deferred=_is_deferred(reference.constraint)
            )
            for position, row in enumerate(rows):
                if hidden_rows and reference.key_of(row) in hidden_rows:
                    found.append((position, reference.error(row)))
                    break
        return sorted(found, key=lambda one: one[0])[:1]

    def _siblings(self, target: sa.Column[Any], rows: Sequence[Values]) -> set[Any]:
        """Return the values of the target in rows of the same write, which may refer to each other."""
        name = self._members.get(target)
        return set() if name is None else {row.get(name) for row in rows}

    def _visible_rows(
        self,
        unit: UnitOfWork,
        reference: "_LongReference",
        asked: set[tuple[Any, ...]],
        *,
        scoped: bool = True,
        is_deferred: bool = False,
    ) -> set[tuple[Any, ...]]:
        """As `_visible`, for a reference of several columns. Without `scoped`, return those that exist."""
        scope = self.scopes.get(reference.targets[0].table.fullname) if scoped else None
        predicate = Predicate(scope(unit.caller) if scope else None)
        if scoped and predicate.clause is None and not is_deferred:
            return asked
        seen = set()
        for _start, chunk in chunked(list(asked), columns=len(reference.targets)):
            bound = {
                numbered(name, number): part
                for number, key in enumerate(chunk)
                for name, part in zip(key_names(len(key)), key, strict=True)
            }
            rows = unit.run(self._statements.visible_rows(reference.targets, len(chunk), predicate), bound, predicate)
            seen |= {tuple(row[str(target.key)] for target in reference.targets) for row in rows}
        return seen

    def _visible(self, unit: UnitOfWork, target: sa.Column[Any], asked: set[Any], *, is_deferred: bool) -> set[Any]:
        """Return the values that name a row in the caller's scope.

        If there is no scope, return all values: the foreign key finds the missing rows. A deferred one finds them at
        the commit, too late to name the member and the element of a batch. Then return those that exist.
        """
        scope = self.scopes.get(target.table.fullname)
        predicate = Predicate(scope(unit.caller) if scope else None)
        if predicate.clause is None and not is_deferred:
            return asked
        seen = set()
        for _start, chunk in chunked(list(asked), columns=1):
            bound = {numbered(ROW_KEY, number): value for number, value in enumerate(chunk)}
            rows = unit.run(self._statements.visible(target, len(chunk), predicate), bound, predicate)
            seen |= {row[target.name] for row in rows}
        return seen

    def error(self, unit: UnitOfWork, error: ForeignKeyError, values: Values) -> ConflictError:
        """Return the error of the member that the database rejected, or of another row's reference to this row.

        PostgreSQL names the constraint. On SQLite each reference is looked up.
        """
        for name, column in self.columns.items():
            target, value = next(iter(column.foreign_keys)).column, values.get(name)
            if value is None:
                continue
            if error.constraint is None:
                is_broken = not unit.run(self._statements.exists(target), {TARGET_KEY: value})
            else:
                is_broken = _is_key_of(column, error.constraint)
            if is_broken:
                return _not_found(name, column, value)
        broken = next((one for one in self._longer if self._is_broken(unit, one, error, values)), None)
        return StillReferencedError() if broken is None else broken.error(values)

    def _is_broken(self, unit: UnitOfWork, reference: "_LongReference", error: ForeignKeyError, values: Values) -> bool:
        """Return whether the database rejected this reference of a row."""
        key = reference.key_of(values)
        if key is None:
            return False
        if error.constraint is None:
            return not self._visible_rows(unit, reference, {key}, scoped=False)
        return is_named(reference.constraint, error.constraint)


class _LongReference:
    """A foreign key of several columns."""

    def __init__(self, constraint: sa.ForeignKeyConstraint, columns: Mapping[str, Column]) -> None:
        self.constraint = constraint
        names = {column.column: name for name, column in columns.items()}
        self.names = tuple(names[element.parent] for element in constraint.elements)
        self.targets = tuple(element.column for element in constraint.elements)

    def key_of(self, row: Values) -> tuple[Any, ...] | None:
        """Return the key that a row refers to, or None if a part of it is null or left out."""
        key = tuple(row.get(name) for name in self.names)
        return None if None in key else key

    def error(self, row: Values) -> ReferenceNotFoundError:
        """Return the error of a row that refers to nothing."""
        values = ", ".join(str(row[name]) for name in self.names)
        targets = ", ".join(target.name for target in self.targets)
        return ReferenceNotFoundError(f"{', '.join(self.names)}: there is nothing with the {targets} {values}.")


def _long_constraints(columns: Mapping[str, Column]) -> list[sa.ForeignKeyConstraint]:
    """Return the foreign keys of several columns, all of which the entity has."""
    own = {column.column for column in columns.values()}
    found = {key.constraint for column in own for key in column.foreign_keys if key.constraint is not None}
    longer = [one for one in found if len(one.elements) > 1 and all(element.parent in own for element in one.elements)]
    return sorted(longer, key=lambda one: str(one.name))


def _is_deferred(constraint: sa.ForeignKeyConstraint | None) -> bool:
    """Return whether the database checks a foreign key at the commit, as those of Django."""
    return constraint is not None and str(constraint.initially).upper() == "DEFERRED"


def _not_found(name: str, column: sa.Column[Any], value: Any) -> ReferenceNotFoundError:
    target = next(iter(column.foreign_keys)).column
    return ReferenceNotFoundError(f"{name}: there is nothing with the {target.name} {value}.")


def _is_key_of(column: sa.Column[Any], constraint: str) -> bool:
    keys = [key.constraint for key in column.foreign_keys]
    return any(key is not None and is_named(key, constraint) for key in keys)
