"""References to rows that the caller does not see: to them they are references to nothing.

The database's foreign keys know no callers. Without this, `409` or not would tell whether someone else's private row exists, and a
row that refers to it would keep its owner from deleting it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from backend.core.db import UnitOfWork
from backend.core.errors import ReferenceNotFoundError
from backend.core.security import Caller
from backend.core.statement import Predicate
from backend.crud.statements import ROW_KEY, Statements, numbered

Scope = Callable[[Caller | None], sa.ColumnElement[bool] | None]
Values = Mapping[str, Any]
LARGEST_BLOCK = 512


class References:
    """What the members of one entity refer to. `scopes` says by table which rows a caller sees; set once all entities are known."""

    def __init__(self, table: sa.Table, statements: Statements) -> None:
        self.columns = [column for column in table.columns if column.foreign_keys]
        self.scopes: Mapping[str, Scope] = {}
        self._statements = statements

    def check(self, unit: UnitOfWork, values: Values) -> None:
        """Let a row pass whose references all lead to rows that the caller sees, as far as they hold at all.

        Raises:
            ReferenceNotFoundError: 409 naming the member, as for a row that does not exist.
        """
        for _, error in self._hidden(unit, [values]):
            raise error

    def check_many(self, unit: UnitOfWork, rows: Sequence[Values]) -> None:
        """The same for many rows, in a number of statements that does not grow with them; the error names the element."""
        for position, error in self._hidden(unit, rows):
            raise error.at_element(position)

    def _hidden(self, unit: UnitOfWork, rows: Sequence[Values]) -> list[tuple[int, ReferenceNotFoundError]]:
        """The first row, with its error, whose reference leads out of sight."""
        found = []
        for column in self.columns:
            target = next(iter(column.foreign_keys)).column
            asked = {row[column.name] for row in rows if row.get(column.name) is not None}
            hidden = asked and asked - self._visible(unit, target, asked)
            for position, row in enumerate(rows):
                if hidden and row.get(column.name) in hidden:
                    text = f"{column.name}: there is nothing with the {target.name} {row[column.name]}."
                    found.append((position, ReferenceNotFoundError(text)))
                    break
        return sorted(found, key=lambda one: one[0])[:1]

    def _visible(self, unit: UnitOfWork, target: sa.Column[Any], asked: set[Any]) -> set[Any]:
        """Those of the values that name a row in the caller's sight; all of them where every row is."""
        scope = self.scopes.get(target.table.name)
        predicate = Predicate(scope(unit.caller) if scope else None)
        if predicate.clause is None:
            return asked
        seen, values = set(), list(asked)
        while values:
            size = min(LARGEST_BLOCK, 1 << (len(values).bit_length() - 1))
            block, values = values[:size], values[size:]
            bound = {numbered(ROW_KEY, number): value for number, value in enumerate(block)}
            rows = unit.run(self._statements.seen(target, size, predicate), bound, predicate)
            seen |= {row[target.name] for row in rows}
        return seen
