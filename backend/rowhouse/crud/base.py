"""`CRUDBase`: everything that can be done to the rows of one entity.

`hooks` has the methods to override, `rows` the verbs for one row, `batch` the verbs for many. This module adds
`restore`, and the checks of who may see and change a deleted row.
"""

from typing import Any

from rowhouse.core.clock import now
from rowhouse.core.errors import ConflictError
from rowhouse.crud.batch_errors import SINGLE_ROW
from rowhouse.crud.hooks import ModelT
from rowhouse.crud.upsert import UpsertVerbs
from rowhouse.db.compiled import EVERYTHING, Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.entries import Action
from rowhouse.query.resource import Resource
from rowhouse.sql.statements import ROW_KEY


class CRUDBase(UpsertVerbs[ModelT]):
    """List, get, create, update, delete and restore rows of one entity. Subclass it to change a rule.

    Example:
        class NoteCRUD(CRUDBase[Note]):
            def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
                return None if caller else col(Note.is_public)

        registry.register(Note, owner="author_id", crud=NoteCRUD)
    """

    def restore(self, unit: UnitOfWork, key: Any) -> Row:
        """Put a deleted row back under its id and return it as stored. It is validated like a new row.

        Raises:
            NotFoundError: 404 if there never was such a row, or it is out of the caller's scope.
            PermissionDeniedError: 403 if the caller could read but not change it.
            NotDeletedError: 409 if the row is not deleted.
            ConflictError, InvalidInputError: as for `create`.
        """
        unit.begin()
        predicate = self.write_predicate(unit.caller)
        found = self.recorder.find_deleted(unit, key, self.statements.get_locked(predicate), predicate)
        if found is None:
            raise self.refusal(unit, key)
        row, unfit = found
        if not self.matches(unit, Predicate(self.scope(unit.caller)), row):
            raise self._missing(key)
        if not self.matches(unit, predicate, row):
            raise self._not_yours()
        self.references.check(unit, row)
        if unfit:
            raise ConflictError(f"The values of {', '.join(unfit)} do not fit {self.resource.name} any more.")
        row = {**later_columns(self.resource), **row}
        row = {name: value for name, value in row.items() if not self.resource.columns[name].is_generated}
        if self._updated:
            row[self._updated] = now()
        if self.validator.is_needed:
            self.guards.lock_resources(unit, [row])
            row = self.validator.validate_rows([row], stored=[None], unit=unit, errors=SINGLE_ROW)[0]
        return self._insert(unit, row, Action.RESTORE)

    def require_seen(self, unit: UnitOfWork, key: Any) -> None:
        """Require that the caller sees the row or, if it is deleted, saw its last version.

        Raises:
            NotFoundError: 404 if not, or if the row is unknown.
        """
        if not self._is_or_was(unit, key, Predicate(self.scope(unit.caller))):
            raise self._missing(key)

    def may_write(self, unit: UnitOfWork, key: Any) -> bool:
        """Return True if the caller may change the row or, if it is deleted, could change its last version."""
        predicate = self.write_predicate(unit.caller)
        if not self.resource.write.allows(unit.caller):
            return False
        return predicate.clause is None or self._is_or_was(unit, key, predicate)

    def _is_or_was(self, unit: UnitOfWork, key: Any, predicate: Predicate) -> bool:
        """Return True if the row meets the predicate or, if it is deleted, its last version did."""
        if unit.run(self.statements.get(predicate), {ROW_KEY: key}, predicate):
            return True
        is_there = unit.run(self.statements.get(EVERYTHING), {ROW_KEY: key})
        last = None if is_there else self.recorder.last_known(unit, key)
        return last is not None and self.matches(unit, predicate, last)


def later_columns(resource: Resource) -> Row:
    """Return the defaults of all columns, for a row that was archived before some of them existed."""
    columns = resource.columns.values()
    return {
        c.name: c.info.get_default(call_default_factory=True)
        for c in columns
        if not c.info.is_required() and not c.is_filled
    }
