"""Record what happens to the rows of one entity: deleted rows (`soft_delete`) and changes (`history`)."""

from collections.abc import Sequence
from typing import Any

from rowhouse.db.compiled import CompiledStatement, Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.deleted_rows import DeletedRows, NotDeletedError
from rowhouse.history.entries import Action, Change, History
from rowhouse.history.row_codec import DecodedRow
from rowhouse.query.resource import Resource
from rowhouse.sql.statements import ROW_KEY


class ChangeRecorder:
    """Stores the deleted rows and the history of one entity; each is None without its option."""

    def __init__(self, resource: Resource) -> None:
        self.deleted_rows = DeletedRows(resource) if resource.soft_delete else None
        self.history = History(resource) if resource.history else None
        self._name = resource.name
        self._key_of = resource.key.of

    def record(self, unit: UnitOfWork, action: Action, changes: Sequence[Change]) -> None:
        """Record what this transaction has done to rows.

        A change is the complete row before and after; None before a create and after a delete.
        """
        if self.deleted_rows is not None:
            if action is Action.DELETE:
                self.deleted_rows.put(unit, [before for before, _ in changes if before])
            elif action is Action.RESTORE:
                for _, after in changes:
                    self.deleted_rows.remove(unit, after and self._key_of(after))
        if self.history is not None:
            self.history.record(unit, action, changes)

    def find_deleted(
        self, unit: UnitOfWork, key: Any, present: CompiledStatement, predicate: Predicate
    ) -> DecodedRow | None:
        """Return the deleted row, locked, or None if there never was one. `present` selects the row from its table.

        It looks twice, because another transaction may delete or restore the row between the two queries.

        Raises:
            NotDeletedError: 409, the row is in its table.
        """
        if self.deleted_rows is None:
            raise TypeError(f"{self._name} has no deleted rows: register it with soft_delete=True")
        for _ in range(2):
            found = self.deleted_rows.find(unit, key)
            if found is not None:
                return found
            if unit.run(present, {ROW_KEY: key}, predicate):
                raise NotDeletedError
        return None

    def last_known(self, unit: UnitOfWork, key: Any) -> Row | None:
        """Return the public columns of a row after its last change, or None if its history is not recorded."""
        return None if self.history is None else self.history.last_known(unit, key)
