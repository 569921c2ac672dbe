"""The verbs for one row: list, get, create, update, delete and `take_step`, and what they share with batches."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from rowhouse.core.clock import now
from rowhouse.core.errors import (
    NOT_STORED,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ReferenceNotFoundError,
    StillReferencedError,
    TransactionRetryError,
)
from rowhouse.core.security import Caller
from rowhouse.crud.batch_errors import SINGLE_ROW
from rowhouse.crud.entity_tags import tag_maker
from rowhouse.crud.hooks import Hooks, ModelT
from rowhouse.crud.overlap_guard import MOVED, OverlapGuards
from rowhouse.crud.references import References
from rowhouse.crud.related import RelatedRows
from rowhouse.crud.validation import RowValidator
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Predicate, Row
from rowhouse.db.integrity import ForeignKeyError
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import singular_snake
from rowhouse.entities.transition import Transition
from rowhouse.history.entries import Action
from rowhouse.history.recorder import ChangeRecorder
from rowhouse.history.row_predicate import RowPredicate
from rowhouse.query.list_query import Branch, ListQuery
from rowhouse.query.resource import Resource
from rowhouse.sql.pages import PageReader, ResultPage
from rowhouse.sql.parent_order import SortedScope
from rowhouse.sql.statements import ROW_KEY, Statements

NO_CHANGES: Mapping[str, Any] = MappingProxyType({})


class RowVerbs(Hooks[ModelT]):
    """The verbs for one row of one entity on one database. They flush and never commit."""

    def __init__(self, resource: Resource, dialect: sa.Dialect) -> None:
        super().__init__(resource, dialect)
        self.statements = Statements(resource, dialect)
        self.key_of = resource.key.of
        self.guards = OverlapGuards(self.table, resource.key.columns[0].column, self.statements, dialect)
        self.validator = RowValidator(resource, self.guards, self)
        self.lists = PageReader(resource, self.statements)
        self.references = References(resource.columns, self.statements)
        self.related: Mapping[str, RelatedRows] = {}
        self.recorder = ChangeRecorder(resource)
        self._defaults = server_defaults(resource)
        self._timestamps = tuple(name for name in (resource.created, resource.updated) if name)
        self._updated = resource.updated
        # Whether the database gives keys in the order in which rows are inserted.
        self._keys_grow = self.table.autoincrement_column is not None
        self._tag = tag_maker(resource, computed=self.computed_columns)
        self._row_predicate = RowPredicate(
            self.table, dialect, members={str(c.column.key): c.name for c in resource.columns.values()}
        )
        self._words = singular_snake(resource.name).replace("_", " ")

    def connect(self, related: Mapping[str, RelatedRows]) -> None:
        """Keep the relations that `expand` and filters follow. Called once, when all entities are known."""
        self.related = related

    def list(self, unit: UnitOfWork, selection: ListQuery) -> ResultPage:
        """Return one page of the caller's rows, the total of the filters, and whether another page follows."""
        return self.lists.page(unit, selection, self.selected(unit, selection))

    def selected(self, unit: UnitOfWork, selection: ListQuery) -> Predicate:
        """Return the condition of the caller's rows, and of those whose related rows the filters select.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 and 403 for a filter or a sort over what the caller may
                not read.
        """
        if not selection.related and not selection.parents:
            return Predicate(self.scope(unit.caller))
        conditions = [self._meets_one(unit, branches) for branches in selection.related]
        rows = Predicate(self.scope(unit.caller), *conditions)
        for position, branches in enumerate(selection.related):
            parts = self._parts(unit, branches)
            if parts and self.lists.finds_at_less_cost(unit, selection, rows, [*map(Predicate, parts)]):
                conditions[position] = self._is_found(parts)
                rows = Predicate(self.scope(unit.caller), *conditions)
        if not selection.parents:
            return rows
        return SortedScope(rows, {name: self.related[name].visible(unit.caller) for name in selection.parents})

    def _meets_one(self, unit: UnitOfWork, branches: Sequence[Branch]) -> sa.ColumnElement[bool]:
        """Return the condition of the rows that meet one of these branches. It is checked for each row."""
        is_one_of_several = len(branches) > 1
        return sa.or_(*(self._meets(unit, branch, is_alternative=is_one_of_several) for branch in branches))

    def _parts(self, unit: UnitOfWork, branches: Sequence[Branch]) -> Sequence[sa.ColumnElement[bool]]:
        """Return the condition of each of several branches, if PostgreSQL can find the rows of each by its index."""
        has_one_key = len(self.resource.key.columns) == 1
        if len(branches) == 1 or not has_one_key or unit.database.dialect.name != "postgresql":
            return ()
        return [self._meets(unit, branch) for branch in branches]

    def _is_found(self, parts: Sequence[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
        """Return the condition of the rows that are in one of these parts, whose keys are found first."""
        (key,) = (column.column for column in self.resource.key.columns)
        keys = sa.union_all(*(sa.select(key).where(part).correlate(None) for part in parts))
        is_found: sa.ColumnElement[bool] = key == sa.any_(sa.func.array(keys.scalar_subquery()))
        return is_found

    def _meets(self, unit: UnitOfWork, branch: Branch, *, is_alternative: bool = False) -> sa.ColumnElement[bool]:
        """Return the condition of the rows that meet all of a branch."""
        related = [
            self.related[name].matching(unit, clauses, is_alternative=is_alternative)
            for name, clauses in branch.related.items()
        ]
        return sa.and_(*branch.own, *related)

    def get(self, unit: UnitOfWork, key: Any) -> Row:
        """Return the row.

        Raises:
            NotFoundError: 404 if it does not exist or is out of the caller's scope.
        """
        rows = unit.run_for_caller(self.statements.get, {ROW_KEY: key}, Predicate(self.scope(unit.caller)))
        if not rows:
            raise self._missing(key)
        return rows[0]

    def create(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Insert a row and return it as stored. `values` are those of the Create schema.

        Raises:
            ConflictError: 409 if a unique value is taken or a reference leads to no visible row.
            InvalidInputError: 422 if the whole row breaks a rule.
        """
        self.references.check(unit, values)
        row = self.new_row(unit, values)
        if self.validator.is_needed:
            unit.begin()
            row = self.validator.validate_new([row], unit=unit, errors=SINGLE_ROW)[0]
        return self._insert(unit, row, Action.CREATE)

    def update(self, unit: UnitOfWork, key: Any, values: Mapping[str, Any]) -> Row:
        """Change the members in `values` and return the row as stored.

        Raises:
            NotFoundError: 404 if the row is out of the caller's scope.
            PermissionDeniedError: 403 if the caller may read but not change it.
            ConflictError, InvalidInputError: as for `create`.
        """
        if self.references.has_long and self.references.gaps(values):
            values = self.references.whole(values, self._lock_for_update(unit, key, values))
        self._check_references(unit, key, values)
        changes: Row = {**values, self._updated: now()} if self._updated else {**values}
        stored: Row = {}
        if self.validator.is_needed or self.recorder.history is not None:
            stored = self._lock_for_update(unit, key, changes)
        return self._update(unit, key, changes, stored)

    def update_locked(self, unit: UnitOfWork, stored: Row, values: Mapping[str, Any]) -> Row:
        """Change a row that `lock` returned, and return it as stored. The row is neither locked nor read again.

            stored = crud.lock(unit, key)
            if stored["status"] is not Status.DRAFT:
                raise ConflictError("Only a draft can be published.")
            return crud.update_locked(unit, stored, {"status": Status.PUBLISHED})

        Raises:
            ConflictError, InvalidInputError: as for `create`.
        """
        values = self.references.whole(values, stored) if self.references.has_long else values
        self.references.check(unit, values)
        changes: Row = {**values, self._updated: now()} if self._updated else {**values}
        self.guards.lock_moved(unit, stored, {**stored, **changes})
        return self._update(unit, self.key_of(stored), changes, stored)

    def take_step(self, unit: UnitOfWork, key: Any, transition: Transition[Any]) -> Row:
        """Take a step of a row and return it as stored. The row is locked once.

            orders.take_step(unit, 7, SHIP)

        Override it for what belongs to a step, such as stock to put back: call `super()`, then do the rest in the same
        transaction.

        Raises:
            NotFoundError, PermissionDeniedError: as for `update`; 403 also if the step's policy refuses the caller.
            TransitionError: 409 if the state of the row does not allow the step.
            RowhouseError: any error that the step's check raises.
        """
        is_beginning = self.guards.begin_with(transition)
        stored = self._lock_for_update(unit, key) if is_beginning else self.lock(unit, key)
        transition.check_caller(unit.caller)
        transition.check_source(stored[transition.field], self._words)
        if transition.check is not None:
            transition.check(stored, unit)
        return self.update_locked(unit, stored, {transition.field: transition.target})

    def _update(self, unit: UnitOfWork, key: Any, changes: Row, stored: Row) -> Row:
        """Validate and store changes. `stored` is the locked row, if anything needs it."""
        if self.validator.is_needed:
            changes = self.validator.validate_changes([changes], stored=[stored], unit=unit, errors=SINGLE_ROW)[0]
        if not changes:  # no timestamp either
            return {name: self.lock(unit, key)[name] for name in self.resource.schemas.row_names}
        bound = {f"set_{name}": value for name, value in changes.items()}
        try:
            row = self._write(unit, key, partial(self.statements.update, tuple(changes)), bound)
        except ForeignKeyError as error:
            raise self.references.error(unit, error, changes) from error
        self.recorder.record(unit, Action.UPDATE, [(stored, row)])
        unit.expire_session()
        return row

    def _write(self, unit: UnitOfWork, key: Any, statement: Callable[..., CompiledStatement], bound: Row) -> Row:
        """Run an update or a delete of one row, and return what it returns. It runs again if the row came meanwhile."""
        predicate = self.write_predicate(unit.caller)
        for _ in range(2):
            rows = unit.run_for_caller(statement, {**bound, ROW_KEY: key}, predicate)
            if rows:
                return rows[0]
            if not unit.run(self.statements.get(predicate), {ROW_KEY: key}, predicate):
                raise self.refusal(unit, key)
        raise ConflictError(NOT_STORED)

    def delete(self, unit: UnitOfWork, key: Any) -> None:
        """Delete the row.

        Raises:
            NotFoundError, PermissionDeniedError: as for `update`.
            StillReferencedError: 409 while other rows refer to it.
        """
        try:
            row = self._write(unit, key, self.statements.delete, {})
        except ForeignKeyError as error:
            raise StillReferencedError from error
        self.recorder.record(unit, Action.DELETE, [(row, None)])
        unit.expire_session()

    def lock(self, unit: UnitOfWork, key: Any) -> Row:
        """Lock a row that the caller may change until the transaction ends. Return every column.

        Only the row is locked, not the resource of a `NoOverlap`: use it with `update_locked` for changes that keep
        place and time.

        Raises:
            NotFoundError, PermissionDeniedError: as for `update`.
        """
        unit.begin()
        predicate = self.write_predicate(unit.caller)
        rows = unit.run(self.statements.get_locked(predicate), {ROW_KEY: key}, predicate)
        if not rows:
            raise self.refusal(unit, key)
        return rows[0]

    def _lock_for_update(self, unit: UnitOfWork, key: Any, changes: Mapping[str, Any] = NO_CHANGES) -> Row:
        """Lock the resources that the row uses and moves to, then the row, in the order in which new rows lock them."""
        if not self.guards:
            return self.lock(unit, key)
        unit.begin()
        predicate = self.write_predicate(unit.caller)
        seen = unit.run(self.statements.get(predicate), {ROW_KEY: key}, predicate)
        self.guards.lock_resources(unit, [*seen, *({**row, **changes} for row in seen)])
        stored = self.lock(unit, key)
        if self.guards.resources_changed(seen, [stored]):
            raise TransactionRetryError(reason=MOVED)
        return stored

    def require_version(self, unit: UnitOfWork, key: Any, tags: Collection[str], *, known: bool = True) -> None:
        """Lock the row, and require that its version is one of `tags` (`If-Match`, RFC 9110 §13.1.1).

        With `known=False` it must be none of them (`If-None-Match`).

        Raises:
            PreconditionFailedError: 412 if the row has changed since the client read it.
            NotFoundError, PermissionDeniedError: as for `update`.
        """
        stored = self._lock_for_update(unit, key)
        if ("*" in tags or self.version(stored) in tags) != known:
            raise PreconditionFailedError

    def version(self, row: Row) -> str:
        """Return the strong entity tag of a row (RFC 9110 §8.8.3).

        It follows from the last change and the computed columns, or from the values of a class without `updated_at`.
        """
        return self._tag(row)

    def write_predicate(self, caller: Caller | None) -> Predicate:
        """Return the condition on the rows that `caller` sees and may change."""
        return Predicate(self.scope(caller), self.writable(caller))

    def new_row(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Return a whole row from the values of the Create schema: with defaults, timestamps and the owner."""
        row: Row = {name: default() for name, default in self._defaults.items()}
        row.update(values)
        present = now()
        for name in self._timestamps:
            row[name] = present
        if self.resource.owner and unit.caller is not None:
            row[self.resource.owner] = unit.caller.id
        return row

    def _check_references(self, unit: UnitOfWork, key: Any, values: Mapping[str, Any]) -> None:
        """Reject a change that refers to a row which the caller does not see.

        If the caller may not change the row itself, that error comes first.
        """
        try:
            self.references.check(unit, values)
        except ReferenceNotFoundError:
            self._lock_for_update(unit, key)
            raise

    def _insert(self, unit: UnitOfWork, row: Row, action: Action) -> Row:
        """Insert a whole row, and its history entry in the same transaction."""
        try:
            rows = unit.run_for_caller(partial(self.statements.insert, tuple(row)), row, EVERYTHING)
        except ForeignKeyError as error:
            raise self.references.error(unit, error, row) from error
        if not rows:
            raise ConflictError(NOT_STORED)
        self.recorder.record(unit, action, [(None, rows[0])])
        return rows[0]

    def refusal(self, unit: UnitOfWork, key: Any) -> NotFoundError | PermissionDeniedError:
        """Return the error of a write that found no row: 404 for a row out of scope, 403 for one of someone else.

        If the caller may change the row that is visible now, it was restored after the write. The write did not find
        it, so the error is 404. The permission is tested on the row as it was read, because the row may be deleted
        again.
        """
        scope = Predicate(self.scope(unit.caller))
        seen = unit.run(self.statements.get(scope), {ROW_KEY: key}, scope)
        may_write = (
            seen and self.recorder.deleted_rows and self.matches(unit, self.write_predicate(unit.caller), seen[0])
        )
        return self._not_yours() if seen and not may_write else self._missing(key)

    def matches(self, unit: UnitOfWork, predicate: Predicate, row: Row) -> bool:
        """Return whether a row that may not be in the table meets a condition on it."""
        return self._row_predicate.matches(unit, predicate, row)

    def _missing(self, key: Any) -> NotFoundError:
        named = self.resource.key
        return NotFoundError(f"There is no {self.resource.name} with the {named.label} {named.text(key)}.")

    def _not_yours(self) -> PermissionDeniedError:
        return PermissionDeniedError(f"This {self.resource.name} belongs to someone else.")


def server_defaults(resource: Resource) -> dict[str, Callable[[], Any]]:
    """Return a factory for each column of a new row that the client may not set, without the timestamps.

    The key is among them only if its class has a default, such as a UUID.
    """
    found: dict[str, Callable[[], Any]] = {}
    for column in resource.columns.values():
        is_given = column.is_timestamp or column.name in resource.schemas.create.model_fields
        if is_given or column.is_filled or column.is_generated or column.info.is_required():
            continue
        default = column.info.get_default(call_default_factory=True)
        if default is None and column.column.primary_key:
            continue
        factory: Any = column.info.default_factory
        found[column.name] = factory or partial(_same, default)
    return found


def _same(value: Any) -> Any:
    return value
