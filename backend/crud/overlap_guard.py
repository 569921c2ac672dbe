"""The rule of `NoOverlap` asked before the database has to refuse: rivals queue for their resource, and learn which time is taken.

The resource's row is locked first, so that of two rivals the second sees what the first stored; asking without the lock deadlocks
on PostgreSQL's exclusion constraint (KNOWLEDGE §3). On SQLite a write transaction has no rivals.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from backend.core.db import UnitOfWork
from backend.core.errors import InvalidInputError
from backend.core.statement import EVERYTHING, Row, Statement
from backend.crud.blocks import padded
from backend.crud.columns import RegistrationError
from backend.crud.no_overlap import NoOverlap, rules_of
from backend.crud.statements import PAGE_LIMIT, RELATED, Statements, numbered

KEY, RESOURCE, START, END = "_own_key", "_resource", "_start", "_end"


class OverlapGuards:
    """All declarations of one table on one database; false where there are none."""

    def __init__(self, table: sa.Table, key: sa.Column[Any], statements: Statements, dialect: sa.Dialect) -> None:
        self._guards = [OverlapGuard(rule, key, dialect) for rule in rules_of(table)]
        self._key = key.name
        self._statements = statements

    def __bool__(self) -> bool:
        return bool(self._guards)

    def queue(self, unit: UnitOfWork, rows: Iterable[Row]) -> None:
        """Wait for one's turn at everything that rivals of these rows queue for; several rows at once, so that none waits twice."""
        rows = tuple(rows)
        for guard in self._guards:
            guard.lock(unit, guard.resources(*rows))

    def queue_for_changes(self, unit: UnitOfWork, changes: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
        """Wait for one's turn at everything that changes of many rows, each named by its key, need: where they are and go to."""
        if not self._guards:
            return
        keys = padded([key for key, _ in changes])
        bound: Row = {numbered(RELATED, position): key for position, key in enumerate(keys)} | {PAGE_LIMIT: len(keys)}
        rows = unit.run(self._statements.related(self._key, len(keys), EVERYTHING), bound)
        found = {row[self._key]: row for row in rows}
        self.queue(unit, [*found.values(), *({**found.get(key, {}), **values} for key, values in changes)])

    def have_moved(self, before: Sequence[Row], after: Sequence[Row]) -> bool:
        """Whether rows queue for something else than they did before."""
        return any(guard.resources(*before) != guard.resources(*after) for guard in self._guards)

    def check(self, unit: UnitOfWork, row: Row) -> None:
        """Refuse a row that a declaration does not allow, as `OverlapGuard.check` does."""
        for guard in self._guards:
            guard.check(unit, row)


class OverlapGuard:
    """One declaration on one database."""

    def __init__(self, constraint: NoOverlap, key: sa.Column[Any], dialect: sa.Dialect) -> None:
        self._constraint = constraint
        self._key = key
        columns = constraint.parent.columns
        self._resource, self._start, self._end = (
            columns[name] for name in (constraint.resource, constraint.start, constraint.end)
        )
        self._lock = self._lock_statement(dialect)
        self._rival = self._rival_statement(dialect)

    def resources(self, *rows: Row) -> set[Any]:
        """The resources that rows ask for."""
        found = (row.get(self._resource.name) for row in rows)
        return {value for value in found if value is not None}

    def lock(self, unit: UnitOfWork, resources: Iterable[Any]) -> None:
        """Wait for one's turn at each resource, until the transaction ends; always in one order, so that nobody waits in a circle."""
        for resource in sorted(resources):
            unit.run(self._lock, {RESOURCE: resource})

    def check(self, unit: UnitOfWork, row: Row) -> None:
        """Refuse a row whose interval is none, and a live one that overlaps another live one.

        Raises:
            InvalidInputError: 422 when the interval does not end after it starts.
            OverlapError: 409 with the other's interval, and nothing else of it.
        """
        if not row[self._start.name] < row[self._end.name]:
            raise InvalidInputError.at("body", self._end.name, message=f"must come after {self._start.name}")
        if not self.is_live(row) or row[self._resource.name] is None:
            return
        values = {RESOURCE: row[self._resource.name], START: row[self._start.name], END: row[self._end.name]}
        found = unit.run(self._rival, {**values, KEY: row.get(self._key.name)})
        if found:
            raise self._constraint.error.with_window(found[0])

    def is_live(self, row: Row) -> bool:
        """Whether the row counts."""
        return all(row[column] in values for column, values in self._constraint.live.items())

    def _lock_statement(self, dialect: sa.Dialect) -> Statement:
        if not self._resource.foreign_keys:
            raise RegistrationError(
                f"NoOverlap: {self._resource} must be a foreign key: the row that it leads to is what rivals queue for"
            )
        target = next(iter(self._resource.foreign_keys)).column
        source = sa.select(target).where(target == sa.bindparam(RESOURCE, type_=target.type))
        return Statement(source.with_for_update(key_share=True), dialect, columns=[target])

    def _rival_statement(self, dialect: sa.Dialect) -> Statement:
        columns = self._constraint.parent.columns
        source = sa.select(self._start, self._end).where(
            self._resource == sa.bindparam(RESOURCE, type_=self._resource.type),
            self._start < sa.bindparam(END, type_=self._end.type),
            self._end > sa.bindparam(START, type_=self._start.type),
            self._key.is_distinct_from(sa.bindparam(KEY, type_=self._key.type)),
            *(columns[name].in_(values) for name, values in self._constraint.live.items()),
        )
        return Statement(
            source.order_by(self._start).limit(sa.literal_column("1")), dialect, columns=[self._start, self._end]
        )
