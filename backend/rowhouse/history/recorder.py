"""What is kept of one entity beside its table, where its registration asks for it: deleted rows and the changes of rows."""

from collections.abc import Sequence
from typing import Any

from rowhouse.db.compiled import CompiledStatement, Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.deleted_rows import Archive, NotDeletedError
from rowhouse.history.entries import Action, Change, History
from rowhouse.history.row_codec import DecodedRow
from rowhouse.query.resource import Resource
from rowhouse.sql.statements import ROW_KEY


class ChangeRecorder:
    """The archive of one entity (`soft_delete=True`) and its history (`history=True`), each None where nobody asked for it."""

    def __init__(self, resource: Resource) -> None:
        self.archive = Archive(resource) if resource.soft_delete else None
        self.history = History(resource) if resource.history else None
        self._name = resource.name

    def record(self, unit: UnitOfWork, action: Action, changes: Sequence[Change]) -> None:
        """Keep what this transaction has done to rows, each given whole before and after; None where there is none."""
        if self.archive is not None:
            if action is Action.DELETE:
                self.archive.put(unit, [before for before, _ in changes if before])
            elif action is Action.RESTORE:
                for _, after in changes:
                    self.archive.remove(unit, after and after["id"])
        if self.history is not None:
            self.history.record(unit, action, changes)

    def find_deleted(
        self, unit: UnitOfWork, key: Any, present: CompiledStatement, predicate: Predicate
    ) -> DecodedRow | None:
        """The deleted row, locked; None where there never was one. `present` looks for the row in its table.

        Looked for twice: when another transaction has just deleted or restored the row, it is where the first look was too early.

        Raises:
            NotDeletedError: 409 when the row is there.
        """
        if self.archive is None:
            raise TypeError(f"{self._name} has no deleted rows: register it with soft_delete=True")
        for _ in range(2):
            found = self.archive.find(unit, key)
            if found is not None:
                return found
            if unit.run(present, {ROW_KEY: key}, predicate):
                raise NotDeletedError
        return None

    def last_known(self, unit: UnitOfWork, key: Any) -> Row | None:
        """The public columns of a row as its last change left them; None where nothing is known of it."""
        return None if self.history is None else self.history.last_known(unit, key)
