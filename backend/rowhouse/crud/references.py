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
from rowhouse.sql.statements import ROW_KEY, TARGET_KEY, Statements, numbered

Scope = Callable[[Caller | None], sa.ColumnElement[bool] | None]
Values = Mapping[str, Any]


class References:
    """The references of one entity. `scopes` has the scope of each table; it is set once all entities are known."""

    def __init__(self, columns: Mapping[str, Column], statements: Statements) -> None:
        self.columns = {name: column.column for name, column in columns.items() if column.column.foreign_keys}
        self.scopes: Mapping[str, Scope] = {}
        self._statements = statements

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
        """Return the position and the error of the first row whose reference leads out of sight."""
        found = []
        for name, column in self.columns.items():
            target = next(iter(column.foreign_keys)).column
            asked = {row[name] for row in rows if row.get(name) is not None}
            hidden = asked and asked - self._visible(unit, target, asked)
            for position, row in enumerate(rows):
                if hidden and row.get(name) in hidden:
                    found.append((position, _not_found(name, column, row[name])))
                    break
        return sorted(found, key=lambda one: one[0])[:1]

    def _visible(self, unit: UnitOfWork, target: sa.Column[Any], asked: set[Any]) -> set[Any]:
        """Return those of the values that name a row in the caller's scope; all of them if there is no scope."""
        scope = self.scopes.get(target.table.fullname)
        predicate = Predicate(scope(unit.caller) if scope else None)
        if predicate.clause is None:
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
        return StillReferencedError()


def _not_found(name: str, column: sa.Column[Any], value: Any) -> ReferenceNotFoundError:
    target = next(iter(column.foreign_keys)).column
    return ReferenceNotFoundError(f"{name}: there is nothing with the {target.name} {value}.")


def _is_key_of(column: sa.Column[Any], constraint: str) -> bool:
    keys = [key.constraint for key in column.foreign_keys]
    return any(key is not None and is_named(key, constraint) for key in keys)
