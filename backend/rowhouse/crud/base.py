"""The verbs of an entity and the hooks that move a wall: `scope`, `writable`, `prepare`, `validate`.

A subclass overrides two or three short methods; the router, the policies and the schemas stay as they are. Verbs flush and
never commit. Rows are dicts of column values; with no hook overridden, a verb is one statement. The twins `prepare_many` and
`validate_many` see all rows of a batch at once; by default they ask `prepare` and `validate` for each.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.core.clock import now
from rowhouse.core.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    ReferenceNotFoundError,
    StillReferencedError,
    TransactionRetryError,
)
from rowhouse.core.security import Caller
from rowhouse.crud.batch_errors import FirstError, each_row, element_error, single_row_error
from rowhouse.crud.defaults import later_columns, server_defaults
from rowhouse.crud.overlap_guard import OverlapGuards
from rowhouse.crud.references import References
from rowhouse.crud.validation import Inspection
from rowhouse.db.compiled import EVERYTHING, Predicate, Row
from rowhouse.db.integrity import ForeignKeyError
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.entries import Action
from rowhouse.history.recorder import ChangeRecorder
from rowhouse.history.row_codec import RowPredicate
from rowhouse.query.list_query import ListQuery
from rowhouse.query.resource import Resource
from rowhouse.sql.pages import PageReader, ResultPage
from rowhouse.sql.statements import ROW_KEY, Statements

ModelT = TypeVar("ModelT", bound=SQLModel)
NO_CHANGES: Mapping[str, Any] = MappingProxyType({})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CRUDBase(Generic[ModelT]):
    """List, get, create, update, delete and restore for one entity on one database.

    A subclass overrides the rules that are special:

        class NoteCRUD(CRUDBase[Note]):
            def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
                return None if caller else col(Note.is_public)

        registry.register(Note, owner="author_id", crud=NoteCRUD)
    """

    # These see one row beside those stored before it; overriding them, or a verb, has a batch go row by row.
    hooks: ClassVar[tuple[str, ...]] = ("prepare", "validate")
    # These see all rows of a batch.
    batch_hooks: ClassVar[tuple[str, ...]] = ("prepare_many", "validate_many")
    # Further names for filters of the list: {"min_price": "price__gte"}.
    filter_aliases: ClassVar[Mapping[str, str]] = {}
    # Columns that are read through an expression: {"status": case(...)}. A bind with a callable is asked at every read.
    shown: ClassVar[Mapping[str, sa.ColumnElement[Any]]] = {}
    # The JSON type of columns, where it is known only at registration: {"role": Role}.
    column_types: ClassVar[Mapping[str, Any]] = {}
    # Members of a row's answer beside its columns, with their types, which `compose` fills: {"lines": list[OrderLinePublic]}.
    composed: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, resource: Resource, dialect: sa.Dialect) -> None:
        self.resource = resource
        self.table = resource.table
        self.dialect = dialect
        self.model: Any = resource.model
        self.statements = Statements(resource, dialect)
        overridden = self._overrides(*self.hooks, *self.batch_hooks)
        self.guards = OverlapGuards(self.table, resource.key.column, self.statements, dialect)
        self.has_hooks = overridden or resource.schemas.complete is not None or bool(self.guards)
        self.lists = PageReader(resource, self.statements)
        self.inspection = Inspection(resource, self.guards, self)
        self.references = References(self.table, self.statements)
        self.keeper = ChangeRecorder(resource)
        self._defaults = server_defaults(resource)
        self._judge = RowPredicate(self.table, dialect)

    # -- hooks -------------------------------------------------------------------------------------------------------

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Which rows `caller` sees, in every operation; None for all. By default the owner's, administrators all."""
        return self._owned_by(caller) if self.resource.owner_only else None

    def writable(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Which of the rows that `caller` sees may be changed; None for all. By default the owner's."""
        return self._owned_by(caller) if self.resource.owner else None

    def prepare(self, values: Row, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Set server-owned values in place before a row is made (`stored` is None) or changed."""

    def validate(self, row: ModelT, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Refuse a row, as it would be stored, that breaks an invariant: raise one of `rowhouse.core.errors`."""

    def prepare_many(self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """`prepare` for every row of a batch, or the one of another write; override it so that batches need not go row by row."""
        for position, (values, before) in enumerate(zip(rows, stored, strict=True)):
            with element_error(position):
                self.prepare(values, stored=before, unit=unit)

    def validate_many(self, rows: Sequence[ModelT], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """`validate` for every row of a batch, or the one of another write; override it so that batches need not go row by row.

        The rows are not stored yet: an override judges each beside those before it, and says `with element_error(position):` of which it
        speaks, the first faulty one.
        """
        for position, (row, before) in enumerate(zip(rows, stored, strict=True)):
            with element_error(position):
                self.validate(row, stored=before, unit=unit)

    def compose(self, rows: Sequence[Row], *, unit: UnitOfWork) -> None:
        """Put the `composed` members into rows that are about to be shown, in a bounded number of statements."""

    # -- verbs -------------------------------------------------------------------------------------------------------

    def list(self, unit: UnitOfWork, selection: ListQuery) -> ResultPage:
        """The rows of one page, the number of rows that the filters select, and whether more follow."""
        return self.lists.page(unit, selection, Predicate(self.scope(unit.caller)))

    def get(self, unit: UnitOfWork, key: Any) -> Row:
        """The row.

        Raises:
            NotFoundError: 404 when it does not exist or is out of the caller's scope.
        """
        scope = Predicate(self.scope(unit.caller))
        rows = unit.run(self.statements.get(scope), {ROW_KEY: key}, scope)
        if not rows:
            raise self._missing(key)
        return rows[0]

    def create(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Store a new row and give it as stored; `values` are those of the Create schema.

        Raises:
            ConflictError: 409 for a taken unique value or a reference to nothing.
            InvalidInputError: 422 when the whole row breaks an invariant.
        """
        self.references.check(unit, values)
        row = self.new_row(unit, values)
        if self.has_hooks:
            unit.begin()
            with single_row_error():
                row = self.inspection.validate_new([row], unit=unit, faults=FirstError())[0]
        return self._insert(unit, row, Action.CREATE)

    def create_many(self, unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """What a batch does where `create` is overridden, or a hook of one row: one after the other.

        Override it beside `create` so that it need not; an error says which element is at fault (`element_error`), the first one.
        """
        self.guards.queue(unit, [dict(one) for one in values])
        return each_row(unit, values, lambda one: self.create(unit, one))

    def update(self, unit: UnitOfWork, key: Any, values: Mapping[str, Any]) -> Row:
        """Change the members in `values` and give the row as stored then.

        Raises:
            NotFoundError: 404 when the row is out of the caller's scope.
            PermissionDeniedError: 403 when the caller may read but not change it.
            ConflictError, InvalidInputError: as for `create`.
        """
        self._check_references(unit, key, values)
        changes: Row = {**values, "updated_at": now()}
        stored: Row = {}
        if self.has_hooks or self.keeper.history is not None:
            stored = self.locked(unit, key, changes)
        if self.has_hooks:
            with single_row_error():
                changes = self.inspection.validate_changes([changes], stored=[stored], unit=unit, faults=FirstError())[
                    0
                ]
        predicate = self.write_predicate(unit.caller)
        bound = {f"set_{name}": value for name, value in changes.items()}
        try:
            rows = unit.run(self.statements.update(tuple(changes), predicate), {**bound, ROW_KEY: key}, predicate)
        except ForeignKeyError as error:
            raise self.references.error(unit, error, changes) from error
        if not rows:
            raise self.refusal(unit, key)
        self.keeper.record(unit, Action.UPDATE, [(stored, rows[0])])
        unit.expire_session()
        return rows[0]

    def delete(self, unit: UnitOfWork, key: Any) -> None:
        """Remove the row.

        Raises:
            NotFoundError, PermissionDeniedError: as for `update`.
            StillReferencedError: 409 while other rows refer to it.
        """
        if self.resource.is_kept:
            unit.begin()
        predicate = self.write_predicate(unit.caller)
        try:
            rows = unit.run(self.statements.delete(predicate), {ROW_KEY: key}, predicate)
        except ForeignKeyError as error:
            raise StillReferencedError from error
        if not rows:
            raise self.refusal(unit, key)
        self.keeper.record(unit, Action.DELETE, [(rows[0], None)])
        unit.expire_session()

    def restore(self, unit: UnitOfWork, key: Any) -> Row:
        """Put a deleted row back under its id and give it as stored; `validate` judges it as a new row.

        Raises:
            NotFoundError: 404 when there never was such a row, or it is out of the caller's scope.
            PermissionDeniedError: 403 when the caller could read but not change it.
            NotDeletedError: 409 when the row is there.
            ConflictError, InvalidInputError: as for `create`; what is out of sight is nothing to refer to.
        """
        unit.begin()
        predicate = self.write_predicate(unit.caller)
        found = self.keeper.find_deleted(unit, key, self.statements.get_locked(predicate), predicate)
        if found is None:
            raise self.refusal(unit, key)
        row, unfit = found
        if not self._judge.matches(unit, Predicate(self.scope(unit.caller)), row):
            raise self._missing(key)
        if not self._judge.matches(unit, predicate, row):
            raise self._not_yours()
        self.references.check(unit, row)
        if unfit:
            raise ConflictError(f"The values of {', '.join(unfit)} do not fit {self.resource.name} any more.")
        row = {**later_columns(self.resource), **row, "updated_at": now()}
        if self.has_hooks:
            self.guards.queue(unit, [row])
            with single_row_error():
                row = self.inspection.validate_rows([row], stored=[None], unit=unit, faults=FirstError())[0]
        return self._insert(unit, row, Action.RESTORE)

    def require_seen(self, unit: UnitOfWork, key: Any) -> None:
        """Make sure that the caller sees the row, or saw it as it was last.

        Raises:
            NotFoundError: 404 when not, or when nothing is known of it.
        """
        if not self._is_or_was(unit, key, Predicate(self.scope(unit.caller))):
            raise self._missing(key)

    def may_write(self, unit: UnitOfWork, key: Any) -> bool:
        """Whether the caller may change a row, or could change it as it was last."""
        predicate = self.write_predicate(unit.caller)
        if not self.resource.write.allows(unit.caller):
            return False
        return predicate.clause is None or self._is_or_was(unit, key, predicate)

    def _is_or_was(self, unit: UnitOfWork, key: Any, predicate: Predicate) -> bool:
        """Whether a row meets the predicate, or, where it is gone, met it as it was last."""
        if unit.run(self.statements.get(predicate), {ROW_KEY: key}, predicate):
            return True
        is_there = unit.run(self.statements.get(EVERYTHING), {ROW_KEY: key})
        last = None if is_there else self.keeper.last_known(unit, key)
        return last is not None and self._judge.matches(unit, predicate, last)

    def require_version(self, unit: UnitOfWork, key: Any, tags: Collection[str]) -> None:
        """Lock the row for the rest of the transaction, if one of `tags` is its version (`If-Match`, RFC 9110 §13.1.1).

        Raises:
            PreconditionFailedError: 412 when the row has changed since the client read it.
            NotFoundError, PermissionDeniedError: as for `update`.
        """
        stored = self.locked(unit, key)
        if "*" not in tags and self.version(stored) not in tags:
            raise PreconditionFailedError

    def version(self, row: Row) -> str:
        """The strong entity tag of a row's present version (RFC 9110 §8.8.3): its last change, and what is shown in a column's place."""
        return version_tag(row, shown=self.shown)

    # -- rules -------------------------------------------------------------------------------------------------------

    def _owned_by(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        if caller is not None and caller.is_admin:
            return None
        column = self.table.columns[str(self.resource.owner)]
        return sa.false() if caller is None else column == caller.id

    def write_predicate(self, caller: Caller | None) -> Predicate:
        """The rows that `caller` sees and may change."""
        return Predicate(self.scope(caller), self.writable(caller))

    def new_row(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """A whole row from the values of the Create schema: defaults, timestamps and the owner beside them."""
        row: Row = {name: default() for name, default in self._defaults.items()}
        row.update(values)
        row["created_at"] = row["updated_at"] = now()
        if self.resource.owner and unit.caller is not None:
            row[self.resource.owner] = unit.caller.id
        return row

    def _check_references(self, unit: UnitOfWork, key: Any, values: Mapping[str, Any]) -> None:
        """Refuse a change that refers to what the caller does not see; whose row it is comes first."""
        try:
            self.references.check(unit, values)
        except ReferenceNotFoundError:
            self.locked(unit, key)
            raise

    def takes_many(self, *verbs: str) -> bool:
        """Whether many rows may go through a verb at once, because nothing looks at one of them beside those stored before it."""
        return not self._overrides(*verbs)

    def _overrides(self, *names: str) -> bool:
        return any(getattr(type(self), name) is not getattr(CRUDBase, name) for name in names)

    def _insert(self, unit: UnitOfWork, row: Row, action: Action) -> Row:
        """Store a whole row, and its entry in the same transaction."""
        if self.keeper.history is not None:
            unit.begin()
        try:
            rows = unit.run(self.statements.insert(tuple(row)), row)
        except ForeignKeyError as error:
            raise self.references.error(unit, error, row) from error
        self.keeper.record(unit, action, [(None, rows[0])])
        return rows[0]

    def locked(self, unit: UnitOfWork, key: Any, changes: Mapping[str, Any] = NO_CHANGES) -> Row:
        """Every column of a row that the caller may change; nobody else changes it until this transaction ends.

        It is locked after what it queues for, where it is and where `changes` take it, as those who make new rows do.
        """
        unit.begin()
        predicate = self.write_predicate(unit.caller)
        seen: list[Row] = []
        if self.guards:
            seen = unit.run(self.statements.get(predicate), {ROW_KEY: key}, predicate)
            self.guards.queue(unit, [*seen, *({**row, **changes} for row in seen)])
        rows = unit.run(self.statements.get_locked(predicate), {ROW_KEY: key}, predicate)
        if not rows:
            raise self.refusal(unit, key)
        if self.guards.resources_changed(seen, rows):
            raise TransactionRetryError  # by another, between the two looks: begin anew
        return rows[0]

    def _missing(self, key: Any) -> NotFoundError:
        return NotFoundError(f"There is no {self.resource.name} with the id {key}.")

    def refusal(self, unit: UnitOfWork, key: Any) -> NotFoundError | PermissionDeniedError:
        """Why nothing was changed: out of sight is 404, in sight but another's is 403.

        A row that the caller may change after all was restored in between: when it was asked for, it was missing. What was seen is
        judged, and not looked for once more, for by then it may be deleted again.
        """
        scope = Predicate(self.scope(unit.caller))
        seen = unit.run(self.statements.get(scope), {ROW_KEY: key}, scope)
        is_mine = seen and self.keeper.archive and self._judge.matches(unit, self.write_predicate(unit.caller), seen[0])
        return self._not_yours() if seen and not is_mine else self._missing(key)

    def _not_yours(self) -> PermissionDeniedError:
        return PermissionDeniedError(f"This {self.resource.name} belongs to someone else.")


def version_tag(row: Row, *, shown: Iterable[str] = ()) -> str:
    """The entity tag of a row: the microsecond of its last change, and a digest of the columns that time alone may change."""
    microseconds = (row["updated_at"] - EPOCH) // timedelta(microseconds=1)
    digests = "".join(f"-{zlib.crc32(str(row[name]).encode()):x}" for name in shown)
    return f'"{microseconds:x}{digests}"'
