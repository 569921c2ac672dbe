"""The verbs for many rows, all or none, in a number of statements that does not grow with the rows.

Rows are written in chunks whose sizes are powers of two, so that a few compiled statements serve every batch. An
error names the first faulty element (`batch_errors`). With `one_by_one`, each row goes through the verb for one row
instead.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rowhouse.core.clock import now
from rowhouse.core.errors import (
    NOT_STORED,
    ConflictError,
    InvalidInputError,
    RowhouseError,
    StillReferencedError,
    TransactionRetryError,
)
from rowhouse.crud.batch_errors import BatchErrors, each_row
from rowhouse.crud.hooks import ModelT
from rowhouse.crud.overlap_guard import MOVED
from rowhouse.crud.rows import RowVerbs
from rowhouse.db.compiled import EVERYTHING, Row
from rowhouse.db.integrity import ForeignKeyError
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.entries import Action
from rowhouse.sql.chunks import MAX_PARAMETERS, chunked, pad_to_power_of_two
from rowhouse.sql.statements import ROW_KEY, numbered

KeyedValues = tuple[Any, Mapping[str, Any]]
Numbered = tuple[int, Row]


class BatchVerbs(RowVerbs[ModelT]):
    """The verbs for many rows of one entity."""

    def create_many(self, unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Insert rows and return them as stored, in order.

        Raises:
            ConflictError, InvalidInputError: as for `create`, naming the element.
        """
        unit.begin()
        if self.one_by_one:
            self.guards.lock_resources(unit, [dict(one) for one in values])
            return each_row(unit, values, lambda one: self.create(unit, one))
        errors = BatchErrors()
        with errors:
            self.references.check_many(unit, values)
        rows: Sequence[Row] = [self.new_row(unit, one) for one in errors.before(values)]
        if self.validator.is_needed:
            rows = self.validator.validate_new(rows, unit=unit, errors=errors)
        stored: list[Row] = []
        with errors:
            for members in _grouped(rows, in_order=True):
                is_alone = not self._keys_grow and not self._has_key(members[0][1])
                width = MAX_PARAMETERS if is_alone else len(members[0][1])
                for start, chunk in chunked(members, columns=width):
                    stored += self._insert_chunk(unit, [row for _, row in chunk], members[start][0])
        errors.raise_if_any()
        self.recorder.record(unit, Action.CREATE, [(None, row) for row in stored])
        return stored

    def create_valid(
        self, unit: UnitOfWork, values: Sequence[Mapping[str, Any]], *, max_errors: int
    ) -> list[RowhouseError]:
        """Insert every row that can be inserted. Return the error of each rejected row, with its position.

        Stop after `max_errors` errors. This is for a complete list of errors: if there is one, the caller rolls back.
        """
        rejected: list[RowhouseError] = []
        start = 0
        while start < len(values) and len(rejected) < max_errors:
            error = self._first_rejection(unit, values[start:])
            if error is None:
                break
            position = error.element or 0
            if position:
                self.create_many(unit, values[start : start + position])
            rejected.append(error.element_error(start + position))
            start += position + 1
        return rejected

    def _first_rejection(self, unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> RowhouseError | None:
        """Insert all rows and return None, or insert none and return the error of the first rejected row."""
        try:
            with unit.savepoint():
                self.create_many(unit, values)
        except RowhouseError as error:
            if error.element is None or error.status >= RowhouseError.status:  # the server failed; no row is at fault
                raise
            return error
        return None

    def _insert_chunk(self, unit: UnitOfWork, rows: Sequence[Row], start: int) -> list[Row]:
        """Insert rows with one statement. If it fails, halve them until the faulty element is found."""
        names = tuple(rows[0])
        bound = {numbered(name, position): row[name] for position, row in enumerate(rows) for name in names}
        try:
            with unit.savepoint():
                stored = _all_of(rows, unit.run(self.statements.insert_many(names, len(rows)), bound))
                return self._in_order(stored, rows)
        except (ConflictError, InvalidInputError) as error:
            if len(rows) > 1:
                half = len(rows) // 2
                first = self._insert_chunk(unit, rows[:half], start)
                return first + self._insert_chunk(unit, rows[half:], start + half)
            raise self._named(unit, error, rows[0]).element_error(start) from None

    def _in_order(self, stored: list[Row], given: Sequence[Row]) -> list[Row]:
        """Sort stored rows as they were given: RETURNING promises no order. Keys of a sequence grow with the rows.

        Raises:
            ConflictError: a trigger has changed the key of one of several rows.
        """
        if len(given) == 1:
            return stored
        if not self._has_key(given[0]):
            return sorted(stored, key=self.key_of)
        by_key = {self.key_of(row): row for row in stored}
        keys = [self.key_of(row) for row in given]
        if not by_key.keys() >= set(keys):
            raise ConflictError(NOT_STORED)
        return [by_key[key] for key in keys]

    def _has_key(self, row: Row) -> bool:
        """Return whether a new row has its key already."""
        return all(row.get(name) is not None for name in self.resource.key.names)

    def update_many(self, unit: UnitOfWork, changes: Sequence[KeyedValues]) -> list[Row]:
        """Change rows, each given as its key and values, and return them as stored, in order.

        Raises:
            NotFoundError, PermissionDeniedError, ConflictError, InvalidInputError: as for `update`, naming the element.
        """
        unit.begin()
        keys = [key for key, _ in changes]
        _reject_repeated(keys, self.resource.key.names[0])
        seen = self.guards.lock_for_changes(unit, changes)
        if self.one_by_one:
            return each_row(unit, changes, lambda change: self.update(unit, *change))
        errors = BatchErrors()
        found = self._lock_rows(unit, keys)
        if self.guards.resources_changed([seen.get(key, {}) for key in found], list(found.values())):
            raise TransactionRetryError(reason=MOVED)
        with errors:
            self._require_all(unit, keys, found)
        if self.references.has_long:
            known = errors.before(changes)
            changes = [(key, self.references.whole(values, found[key])) for key, values in known]
        with errors:
            self.references.check_many(unit, [values for _, values in errors.before(changes)])
        given: Sequence[Row] = [
            {**values, self._updated: now()} if self._updated else {**values} for _, values in errors.before(changes)
        ]
        if self.validator.is_needed:
            before = [found[key] for key in keys[: len(given)]]
            given = self.validator.validate_changes(given, stored=before, unit=unit, errors=errors)
        stored: dict[Any, Row] = {}
        with errors:
            for members in _grouped(given, in_order=bool(self.guards)):
                for _start, chunk in chunked(members, columns=len(members[0][1]) + 1):
                    stored.update(self._update_chunk(unit, keys, chunk))
        errors.raise_if_any()
        self.recorder.record(unit, Action.UPDATE, [(found[key], stored[key]) for key in keys])
        unit.expire_session()
        return [stored[key] for key in keys]

    def _update_chunk(self, unit: UnitOfWork, keys: Sequence[Any], chunk: Sequence[Numbered]) -> dict[Any, Row]:
        """Update rows that set the same columns. If it fails, halve them until the faulty element is found."""
        if not chunk[0][1]:  # only rows that are related to them change, and they have no timestamp
            return self._unchanged(unit, [keys[position] for position, _ in chunk])
        bound: Row = {}
        for row, (position, values) in enumerate(chunk):
            bound[numbered(ROW_KEY, row)] = keys[position]
            bound.update({numbered(name, row): value for name, value in values.items()})
        try:
            with unit.savepoint():
                statement = self.statements.update_many(tuple(sorted(chunk[0][1])), len(chunk))
                rows = _all_of(chunk, unit.run(statement, bound))
        except (ConflictError, InvalidInputError) as error:
            if len(chunk) > 1:
                half = len(chunk) // 2
                first = self._update_chunk(unit, keys, chunk[:half])
                return first | self._update_chunk(unit, keys, chunk[half:])
            position, values = chunk[0]
            raise self._named(unit, error, values).element_error(position) from None
        return {self.key_of(row): row for row in rows}

    def _unchanged(self, unit: UnitOfWork, keys: Sequence[Any]) -> dict[Any, Row]:
        """Return the public columns of rows."""
        rows = unit.run(self.statements.lock_many(len(keys), EVERYTHING, whole=True), _numbered_keys(keys))
        names = self.resource.schemas.row_names
        return {self.key_of(row): {name: row[name] for name in names} for row in rows}

    def delete_many(self, unit: UnitOfWork, keys: Sequence[Any]) -> None:
        """Delete rows.

        Raises:
            NotFoundError, PermissionDeniedError, StillReferencedError: as for `delete`, naming the element.
        """
        unit.begin()
        _reject_repeated(keys, self.resource.key.names[0])
        if self.one_by_one:
            each_row(unit, keys, lambda key: self.delete(unit, key))
            return
        self._lock_to_delete(unit, keys)
        try:
            deleted = self._delete_rows(unit, keys)
        except ConflictError as error:
            raise self._undeletable(unit, keys, error) from error
        if deleted is None:
            # Greater keys first: a row that refers to another is mostly younger, and no longer holds it once it is
            # deleted.
            referenced = set(self._referenced(unit, sorted(keys, key=self.resource.key.order, reverse=True)))
            position = next((n for n, key in enumerate(keys) if key in referenced), None)
            if position is not None:
                raise StillReferencedError().element_error(position)
        if (deleted or 0) < len(keys):
            self._require_gone(unit, keys)
        unit.expire_session()

    def _undeletable(self, unit: UnitOfWork, keys: Sequence[Any], error: ConflictError) -> ConflictError:
        """Return the error of the first row that a trigger does not let go, naming the element."""
        for position, key in enumerate(keys):
            try:
                self._delete_rows(unit, [key])
            except ConflictError as refused:
                return refused.element_error(position)
        return error

    def _require_gone(self, unit: UnitOfWork, keys: Sequence[Any]) -> None:
        """Reject the first row that is still there. SQLite does not return rows that went with others."""
        left = self._lock_rows(unit, keys, deleting=True)
        if left:
            raise ConflictError(NOT_STORED).element_error(next(n for n, key in enumerate(keys) if key in left))

    def _delete_rows(self, unit: UnitOfWork, keys: Sequence[Any]) -> int | None:
        """Delete rows with one statement, because they may refer to each other. Return how many it deleted.

        Return None if other rows refer to them.
        """
        padded = pad_to_power_of_two(keys)
        try:
            with unit.savepoint():
                deleted = unit.run(self.statements.delete_many(len(padded)), _numbered_keys(padded))
                self.recorder.record(unit, Action.DELETE, [(row, None) for row in deleted])
        except ForeignKeyError:
            return None
        return len(deleted)

    def _referenced(self, unit: UnitOfWork, keys: Sequence[Any]) -> list[Any]:
        """Delete what can be deleted, and return the keys of the rows to which others still refer."""
        if self._delete_rows(unit, keys) is not None:
            return []
        half = len(keys) // 2
        return [*self._referenced(unit, keys[:half]), *self._referenced(unit, keys[half:])] if half else list(keys)

    def _named(self, unit: UnitOfWork, error: RowhouseError, row: Row) -> RowhouseError:
        return self.references.error(unit, error, row) if isinstance(error, ForeignKeyError) else error

    def _lock_rows(self, unit: UnitOfWork, keys: Sequence[Any], *, deleting: bool = False) -> dict[Any, Row]:
        """Lock the rows that the caller may change, in the order of their keys, so that two batches never deadlock.

        With `deleting`, no other transaction can refer to the rows from now on.
        """
        predicate = self.write_predicate(unit.caller)
        found = {}
        for _start, chunk in chunked(sorted(keys, key=self.resource.key.order), columns=1):
            whole = self.validator.is_needed or self.references.has_long
            statement = self.statements.lock_many(len(chunk), predicate, whole=whole, deleting=deleting)
            rows = unit.run(statement, _numbered_keys(chunk), predicate)
            found.update({self.key_of(row): row for row in rows})
        return found

    def _lock_to_delete(self, unit: UnitOfWork, keys: Sequence[Any]) -> None:
        """Lock rows that are about to be deleted. From now on no other transaction can refer to them.

        Raises:
            NotFoundError, PermissionDeniedError: as for `delete`, naming the element.
        """
        unit.begin()
        self._require_all(unit, keys, self._lock_rows(unit, keys, deleting=True))

    def _require_all(self, unit: UnitOfWork, keys: Sequence[Any], found: Mapping[Any, Row]) -> None:
        """Reject the first key that names no row which the caller may change."""
        for position, key in enumerate(keys):
            if key not in found:
                raise self.refusal(unit, key).element_error(position)


def _grouped(rows: Sequence[Row], *, in_order: bool) -> Collection[Sequence[Numbered]]:
    """Group rows, each with its position, by the columns that they set.

    With `in_order`, only neighbours share a group.
    """
    groups: dict[tuple[int, frozenset[str]], list[Numbered]] = {}
    run, before = 0, frozenset[str]()
    for position, row in enumerate(rows):
        names = frozenset(row)
        run += in_order and names != before
        before = names
        groups.setdefault((run, names), []).append((position, row))
    return groups.values()


def _all_of(given: Sequence[Any], stored: list[Row]) -> list[Row]:
    """Return the stored rows, one for each that was given.

    Raises:
        ConflictError: 409; the database has left one out.
    """
    if len(stored) < len(given):
        raise ConflictError(NOT_STORED)
    return stored


def _numbered_keys(keys: Sequence[Any]) -> Row:
    return {numbered(ROW_KEY, position): key for position, key in enumerate(keys)}


def _reject_repeated(keys: Sequence[Any], name: str) -> None:
    seen = set()
    for position, key in enumerate(keys):
        if key in seen:
            error = InvalidInputError.at("body", name, message="name each row once", kind="repeated")
            raise error.element_error(position)
        seen.add(key)
