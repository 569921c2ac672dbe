"""Enforces `NoOverlap` before the database does, so that the client learns which time is taken.

The row of the resource is locked first. Of two rivals, the second then sees what the first stored. Querying without
that lock deadlocks on PostgreSQL's exclusion constraint (decision 0009). On SQLite a write transaction has no rivals.
Rows of a batch are checked as if they were stored one after the other: one query for the stored rows, and an interval
set for the rows of the batch.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from rowhouse.core.errors import InvalidInputError
from rowhouse.crud.batch_errors import BatchErrors, element_error
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.no_overlap import NoOverlap, rules_of
from rowhouse.entities.transition import Transition, shown
from rowhouse.query.keys import sortable
from rowhouse.schemas.columns import RegistrationError
from rowhouse.sql.chunks import pad_to_power_of_two
from rowhouse.sql.statements import CACHED_SHAPES, PAGE_LIMIT, RELATED, Statements, numbered, values_table

POSITION, KEY, RESOURCE, START, END = "_position", "_own_key", "_resource", "_start", "_end"
Interval = tuple[Any, Any]
END_OF = itemgetter(1)
MOVED = "another transaction moved a row between two reads"


class Reservation(NamedTuple):
    """A half-open interval of a resource."""

    resource: Any
    interval: Interval


class IntervalSet:
    """Intervals of resources that do not overlap, sorted for each resource."""

    def __init__(self, reservations: Iterable[Reservation]) -> None:
        self._intervals: dict[Any, list[Interval]] = {}
        for reservation in reservations:
            self.add(reservation)

    def add(self, reservation: Reservation | None) -> None:
        """Add a reservation that conflicts with none in the set."""
        if reservation is not None:
            insort(self._intervals.setdefault(reservation.resource, []), reservation.interval)

    def remove(self, reservation: Reservation | None) -> None:
        """Remove a reservation that is in the set."""
        if reservation is not None:
            intervals = self._intervals[reservation.resource]
            del intervals[bisect_left(intervals, reservation.interval)]

    def conflict(self, reservation: Reservation) -> Interval | None:
        """Return the earliest interval that overlaps this reservation."""
        intervals = self._intervals.get(reservation.resource, [])
        start, end = reservation.interval
        first = bisect_right(intervals, start, key=END_OF)
        return intervals[first] if first < len(intervals) and intervals[first][0] < end else None


class OverlapGuards:
    """All `NoOverlap` declarations of one table on one database. False if there are none."""

    def __init__(self, table: sa.Table, key: sa.Column[Any], statements: Statements, dialect: sa.Dialect) -> None:
        self._guards = [OverlapGuard(rule, key, dialect) for rule in rules_of(table)]
        self._key = key.name
        self._statements = statements

    def __bool__(self) -> bool:
        return bool(self._guards)

    def lock_resources(self, unit: UnitOfWork, rows: Iterable[Row]) -> None:
        """Lock every resource that these rows use. Give all rows in one call, so that locks are taken in one order."""
        rows = tuple(rows)
        for guard in self._guards:
            guard.lock(unit, guard.resources(*rows))

    def lock_moved(self, unit: UnitOfWork, stored: Row, row: Row) -> None:
        """Lock the resources of a row whose reservation is another than the stored one."""
        for guard in self._guards:
            if guard.reservation(row) not in (None, guard.reservation(stored)):
                guard.lock(unit, guard.resources(stored, row))

    def begin_with(self, step: Transition[Any]) -> bool:
        """Return True if a step can make a row live that was not, so that its resource must be locked before it."""
        return any(guard.begins_with(step) for guard in self._guards)

    def lock_for_changes(self, unit: UnitOfWork, changes: Sequence[tuple[Any, Mapping[str, Any]]]) -> Mapping[Any, Row]:
        """Lock every resource that these updates touch: the one each row uses now and the one it moves to.

        Each change is a key with its values. Returns the rows by their keys, as they were before the lock.
        """
        if not self._guards:
            return {}
        keys = pad_to_power_of_two([key for key, _ in changes])
        bound: Row = {numbered(RELATED, position): key for position, key in enumerate(keys)} | {PAGE_LIMIT: len(keys)}
        rows = unit.run(self._statements.related(self._key, len(keys), EVERYTHING), bound)
        found = {row[self._key]: row for row in rows}
        self.lock_resources(unit, [*found.values(), *({**found.get(key, {}), **values} for key, values in changes)])
        return found

    def resources_changed(self, before: Sequence[Row], after: Sequence[Row]) -> bool:
        """Return True if rows use other resources than before."""
        return any(guard.resources(*before) != guard.resources(*after) for guard in self._guards)

    def check(
        self, unit: UnitOfWork, rows: Sequence[Row], *, stored: Sequence[Row | None], errors: BatchErrors
    ) -> None:
        """Reject rows that a declaration forbids, as `OverlapGuard.check` does. `stored` may be longer than `rows`."""
        for guard in self._guards:
            with errors:
                valid = errors.before(rows)
                guard.check(unit, valid, stored=stored[: len(valid)])


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
        self._conflicts_statement = cache(self._finding_conflicts)

    def resources(self, *rows: Row) -> set[Any]:
        """Return the resources that rows use."""
        found = (row.get(self._resource.name) for row in rows)
        return {value for value in found if value is not None}

    def lock(self, unit: UnitOfWork, resources: Iterable[Any]) -> None:
        """Lock resources until the transaction ends, in the order of their keys so that two writers never deadlock."""
        if ordered := sorted(resources, key=sortable):
            given = pad_to_power_of_two(ordered)
            bound = {numbered(RESOURCE, position): resource for position, resource in enumerate(given)}
            unit.run(self._lock_statement(len(given)), bound)

    def check(self, unit: UnitOfWork, rows: Sequence[Row], *, stored: Sequence[Row | None]) -> None:
        """Reject a row whose interval is empty, and a live row that overlaps another live one.

        The rows are compared with all stored rows and with each other, in order: with rows before them as they will
        be, and with rows after them as `stored` has them. A row that keeps its resource and its interval is not
        queried for.

        Raises:
            InvalidInputError: 422 if the interval does not end after it starts.
            OverlapError: 409 with the interval that is taken, and no other column of that row. Both name the element.
        """
        conflicts = self._stored_conflicts(unit, rows, stored)
        taken = IntervalSet([place for before in stored if (place := self.reservation(before))])
        for position, (row, before) in enumerate(zip(rows, stored, strict=True)):
            with element_error(position):
                self._require_interval(row)
                taken.remove(self.reservation(before))
                if place := self.reservation(row):
                    self._reject(conflicts.get(position), taken.conflict(place))
                    taken.add(place)

    def _require_interval(self, row: Row) -> None:
        """Reject an interval that is empty. A row that is not live may have none."""
        missing = [column.name for column in (self._start, self._end) if row[column.name] is None]
        if missing and self.is_live(row):
            raise InvalidInputError.at("body", missing[0], message=f"is required: {self._live_words(row)}")
        if not missing and not self._is_interval(row):
            raise InvalidInputError.at("body", self._end.name, message=f"must come after {self._start.name}")

    def _live_words(self, row: Row) -> str:
        return " and ".join(f"{name} is {shown(row[name])}" for name in self._constraint.live) or "the row is live"

    def _reject(self, *intervals: Interval | None) -> None:
        """Raise the error of the earliest interval that is taken, if there is one."""
        found = [interval for interval in intervals if interval is not None]
        if found:
            raise self._constraint.error.with_window(
                dict(zip((self._start.name, self._end.name), min(found), strict=True))
            )

    def _stored_conflicts(
        self, unit: UnitOfWork, rows: Sequence[Row], stored: Sequence[Row | None]
    ) -> dict[int, Interval]:
        """Return, by the position of a row, the earliest interval of a stored live row that overlaps it.

        Rows of the batch itself are left out.
        """
        pairs = zip(rows, stored, strict=True)
        if not any((place := self.reservation(row)) and place != self.reservation(before) for row, before in pairs):
            return {}
        names = {KEY: self._key.name, RESOURCE: self._resource.name, START: self._start.name, END: self._end.name}
        given = pad_to_power_of_two(
            [{POSITION: n, **{ours: row.get(name) for ours, name in names.items()}} for n, row in enumerate(rows)]
        )
        bound = {numbered(name, n): value for n, one in enumerate(given) for name, value in one.items()}
        found = unit.run(self._conflicts_statement(len(given)), bound)
        return {row[POSITION]: (row[self._start.name], row[self._end.name]) for row in found}

    def reservation(self, row: Row | None) -> Reservation | None:
        """Return the reservation of a row.

        None for a row that is missing, not live, or without a resource or an interval.
        """
        if row is None or row[self._resource.name] is None or not self.is_live(row) or not self._is_interval(row):
            return None
        return Reservation(row[self._resource.name], (row[self._start.name], row[self._end.name]))

    def _is_interval(self, row: Row) -> bool:
        start, end = row[self._start.name], row[self._end.name]
        return start is not None and end is not None and bool(start < end)

    def is_live(self, row: Row) -> bool:
        """Return True if the declaration applies to the row."""
        return all(row[column] in values for column, values in self._constraint.live.items())

    def begins_with(self, step: Transition[Any]) -> bool:
        """Return True if a step can make a row live that was not."""
        values = self._constraint.live.get(step.field, ())
        return step.target in values and any(source not in values for source in step.sources)

    def _locked_column(self) -> sa.Column[Any]:
        """Return the key of the rows that are locked."""
        if not self._resource.foreign_keys:
            raise RegistrationError(
                f"NoOverlap: {self._resource} must be a foreign key: rows of the table that it refers to are locked"
            )
        target: sa.Column[Any] = next(iter(self._resource.foreign_keys)).column
        return target

    def _locking(self, size: int) -> CompiledStatement:
        """Lock `size` resources in the order of their keys. Binds numbered `_resource`s."""
        target = self._target
        given = [sa.bindparam(numbered(RESOURCE, position), type_=target.type) for position in range(size)]
        source = sa.select(target).where(target.in_(given)).order_by(target)
        return CompiledStatement(source.with_for_update(key_share=True), self._dialect, columns=[target])

    def _finding_conflicts(self, size: int) -> CompiledStatement:
        """Select, for each of `size` intervals, the earliest live row that overlaps it.

        Binds the columns of `given`, numbered.
        """
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
        selected = [given.c[POSITION], self._start, self._end]
        source = sa.select(*selected).where(self._key == first.correlate(given).scalar_subquery())
        return CompiledStatement(source, self._dialect, columns=selected)
