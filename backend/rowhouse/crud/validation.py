"""What looks at rows before they are stored, one or many: the hooks of the entity, its class's model validators, and its guards."""

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import ValidationError

from rowhouse.core.errors import InvalidInputError
from rowhouse.crud.batch_errors import FirstError, element_error
from rowhouse.crud.overlap_guard import OverlapGuards
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.resource import Resource


class Hooks(Protocol):
    """What `CRUDBase` is to an inspection."""

    def prepare_many(self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Set server-owned values in place."""

    def validate_many(self, rows: Sequence[Any], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Refuse rows that break an invariant."""


class Inspection:
    """The inspection of one entity's rows; each gives the rows before the earliest fault, as they are to be stored."""

    def __init__(self, resource: Resource, guards: OverlapGuards, hooks: Hooks) -> None:
        self._model: Any = resource.model
        self._complete = resource.schemas.complete
        self._guards = guards
        self._hooks = hooks

    def validate_new(self, rows: Sequence[Row], *, unit: UnitOfWork, faults: FirstError) -> Sequence[Row]:
        """New rows."""
        nothing = [None] * len(rows)
        self._hooks.prepare_many(rows, stored=nothing, unit=unit)
        self._guards.queue(unit, rows)
        return self.validate_rows(rows, stored=nothing, unit=unit, faults=faults)

    def validate_changes(
        self, changes: Sequence[Row], *, stored: Sequence[Row], unit: UnitOfWork, faults: FirstError
    ) -> Sequence[Row]:
        """Changes, beside the stored rows, which are locked."""
        self._hooks.prepare_many(changes, stored=stored, unit=unit)
        merged = [{**before, **change} for before, change in zip(stored, changes, strict=True)]
        judged = self.validate_rows(merged, stored=stored, unit=unit, faults=faults)
        return [
            {name: value for name, value in row.items() if name in change or value != before[name]}
            for row, change, before in zip(judged, changes, stored, strict=False)  # the judged ones may be fewer
        ]

    def validate_rows(
        self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork, faults: FirstError
    ) -> Sequence[Row]:
        """Whole rows that are prepared: the class's model validators, the `validate` hook and the guards."""
        whole = list(rows)
        with faults.stage():
            for position, row in enumerate(whole):
                with element_error(position):
                    whole[position] = self._completed(row)
        with faults.stage():
            made = [self._model(**row) for row in faults.before(whole)]
            self._hooks.validate_many(made, stored=faults.before(stored), unit=unit)
        self._guards.check(unit, faults.before(whole), stored=faults.before(stored), faults=faults)
        return faults.before(whole)

    def _completed(self, row: Row) -> Row:
        """The row as the class's model validators leave it."""
        if self._complete is None:
            return row
        try:
            return {**row, **{n: v for n, v in self._complete.model_validate(row).__dict__.items() if n in row}}
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "body") from error
