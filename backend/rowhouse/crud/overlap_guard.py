"""The rule of `NoOverlap` asked before the database has to refuse: rivals queue for their resource, and learn which time is taken.

The resource's row is locked first, so that of two rivals the second sees what the first stored; asking without the lock deadlocks
on PostgreSQL's exclusion constraint (decision 0009). On SQLite a write transaction has no rivals. The rows of a batch are judged as if
one were stored after the other, by one question for what is stored and a look at those before each.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from rowhouse.core.errors import InvalidInputError
from rowhouse.crud.batch_errors import FirstError, element_error
from rowhouse.crud.intervals import IntervalSet, Reservation, Window
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.no_overlap import NoOverlap, rules_of
from rowhouse.schemas.columns import RegistrationError
from rowhouse.sql.chunks import pad_to_power_of_two
from rowhouse.sql.statements import CACHED_SHAPES, PAGE_LIMIT, RELATED, Statements, numbered, values_table

POSITION, KEY, RESOURCE, START, END = "_position", "_own_key", "_resource", "_start", "_end"


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

    def queue_for_changes(
        self, unit: UnitOfWork, changes: Sequence[tuple[Any, Mapping[str, Any]]]
    ) -> Mapping[Any, Row]:
        """Wait for one's turn at everything that changes of many rows, each named by its key, need: where they are and go to.

        Gives the rows by their keys, as they were before the wait.
        """
        if not self._guards:
            return {}
        keys = pad_to_power_of_two([key for key, _ in changes])
        bound: Row = {numbered(RELATED, position): key for position, key in enumerate(keys)} | {PAGE_LIMIT: len(keys)}
        rows = unit.run(self._statements.related(self._key, len(keys), EVERYTHING), bound)
        found = {row[self._key]: row for row in rows}
        self.queue(unit, [*found.values(), *({**found.get(key, {}), **values} for key, values in changes)])
        return found

    def resources_changed(self, before: Sequence[Row], after: Sequence[Row]) -> bool:
        """Whether rows queue for something else than they did before."""
        return any(guard.resources(*before) != guard.resources(*after) for guard in self._guards)

    def check(self, unit: UnitOfWork, rows: Sequence[Row], *, stored: Sequence[Row | None], faults: FirstError) -> None:
        """Refuse rows that a declaration does not allow, as `OverlapGuard.check` does."""
        for guard in self._guards:
            with faults.stage():
                guard.check(unit, faults.before(rows), stored=faults.before(stored))


class OverlapGuard:
    """One declaration on one database."""

    def __init__(self, constraint: NoOverlap, key: sa.Column[Any], dialect: sa.Dialect) -> None:
        self._constraint = constraint
        self._key = key
        columns = constraint.parent.columns
        self._resource, self._start, self._end = (
            columns[name] for name in (constraint.resource, constraint.start, constraint.end)
        )
        self._dialect = dialect
        self._target = self._locked_column()
        cache = lru_cache(maxsize=CACHED_SHAPES)
        self._lock_statement = cache(self._locking)
        self._rivals_statement = cache(self._finding_rivals)

    def resources(self, *rows: Row) -> set[Any]:
        """The resources that rows ask for."""
        found = (row.get(self._resource.name) for row in rows)
        return {value for value in found if value is not None}

    def lock(self, unit: UnitOfWork, resources: Iterable[Any]) -> None:
        """Wait for one's turn at each resource, until the transaction ends; always in one order, so that nobody waits in a circle."""
        if ordered := sorted(resources):
            given = pad_to_power_of_two(ordered)
            bound = {numbered(RESOURCE, position): resource for position, resource in enumerate(given)}
            unit.run(self._lock_statement(len(given)), bound)

    def check(self, unit: UnitOfWork, rows: Sequence[Row], *, stored: Sequence[Row | None]) -> None:
        """Refuse a row whose interval is none, and a live one that overlaps another live one.

        What is stored counts, but for these rows themselves: of those before the row that is judged, what they have become, and of those
        behind it what `stored` has, where they are stored already.

        Raises:
            InvalidInputError: 422 when the interval does not end after it starts.
            OverlapError: 409 with the other's interval, and nothing else of it. Both name the element.
        """
        rivals = self._stored_rivals(unit, rows)
        held = IntervalSet([place for before in stored if (place := self._place(before))])
        for position, (row, before) in enumerate(zip(rows, stored, strict=True)):
            with element_error(position):
                if not self._is_interval(row):
                    raise InvalidInputError.at("body", self._end.name, message=f"must come after {self._start.name}")
                held.leave(self._place(before))
                place = self._place(row)
                windows = [w for w in (rivals.get(position), held.rival(place)) if w is not None]
                if place and windows:
                    first = dict(zip((self._start.name, self._end.name), min(windows), strict=True))
                    raise self._constraint.error.with_window(first)
                held.take(place)

    def _stored_rivals(self, unit: UnitOfWork, rows: Sequence[Row]) -> dict[int, Window]:
        """By the positions of rows that would overlap a live row which is none of these: the earliest such interval."""
        if not any(self._place(row) for row in rows):
            return {}
        names = {KEY: self._key.name, RESOURCE: self._resource.name, START: self._start.name, END: self._end.name}
        given = pad_to_power_of_two(
            [{POSITION: n, **{ours: row.get(name) for ours, name in names.items()}} for n, row in enumerate(rows)]
        )
        bound = {numbered(name, n): value for n, one in enumerate(given) for name, value in one.items()}
        found = unit.run(self._rivals_statement(len(given)), bound)
        return {row[POSITION]: (row[self._start.name], row[self._end.name]) for row in found}

    def _place(self, row: Row | None) -> Reservation | None:
        """What a row holds; None for one that does not count."""
        if row is None or row[self._resource.name] is None or not self.is_live(row) or not self._is_interval(row):
            return None
        return Reservation(row[self._resource.name], (row[self._start.name], row[self._end.name]))

    def _is_interval(self, row: Row) -> bool:
        start, end = row[self._start.name], row[self._end.name]
        return start is not None and end is not None and bool(start < end)

    def is_live(self, row: Row) -> bool:
        """Whether the row counts."""
        return all(row[column] in values for column, values in self._constraint.live.items())

    def _locked_column(self) -> sa.Column[Any]:
        """The key of the rows that rivals queue for."""
        if not self._resource.foreign_keys:
            raise RegistrationError(
                f"NoOverlap: {self._resource} must be a foreign key: the row that it leads to is what rivals queue for"
            )
        target: sa.Column[Any] = next(iter(self._resource.foreign_keys)).column
        return target

    def _locking(self, size: int) -> CompiledStatement:
        """Locks the rows in the order of their keys; binds numbered `_resource`s."""
        target = self._target
        given = [sa.bindparam(numbered(RESOURCE, position), type_=target.type) for position in range(size)]
        source = sa.select(target).where(target.in_(given)).order_by(target)
        return CompiledStatement(source.with_for_update(key_share=True), self._dialect, columns=[target])

    def _finding_rivals(self, size: int) -> CompiledStatement:
        """For each of so many intervals the earliest live row that overlaps it; binds what `given` has, numbered."""
        columns = {KEY: self._key, RESOURCE: self._resource, START: self._start, END: self._end}
        kinds = {POSITION: sa.Integer(), **{name: column.type for name, column in columns.items()}}
        given = values_table(kinds, size, self._dialect)
        table = self._constraint.parent
        other = table.alias("other").c
        first = (
            sa.select(other[self._key.name])
            .where(
                other[self._resource.name] == given.c[RESOURCE],
                other[self._start.name] < given.c[END],
                other[self._end.name] > given.c[START],
                other[self._key.name].not_in(sa.select(given.c[KEY]).where(given.c[KEY].is_not(None))),
                *(
                    other[name].in_([sa.literal(value, other[name].type) for value in values])
                    for name, values in self._constraint.live.items()
                ),
            )
            .order_by(other[self._start.name])
            .limit(sa.literal_column("1"))
        )
        told = [given.c[POSITION], self._start, self._end]
        source = sa.select(*told).where(self._key == first.correlate(given).scalar_subquery())
        return CompiledStatement(source, self._dialect, columns=told)
