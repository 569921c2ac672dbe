"""Validation of rows before they are stored: hooks, model validators of the class, and `NoOverlap`."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from rowhouse.core.errors import InvalidInputError
from rowhouse.crud.batch_errors import BatchErrors, element_error
from rowhouse.crud.hooks import Hooks
from rowhouse.crud.overlap_guard import OverlapGuards
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.resource import Resource

WRITE_HOOKS = ("prepare", "prepare_many", "validate", "validate_many")


class RowValidator:
    """Validates the rows of one entity.

    Each method returns the rows before the first faulty one, as they are to be stored.

    `is_needed` is False if nothing can change or reject a row: no hook is overridden, and the class has neither a
    model validator nor a `NoOverlap`. A write is then one statement and does not read the stored row first. It is
    computed here once, when the registry builds the entity, because it decides the speed of every create and update.
    Nothing else depends on which methods a subclass overrides.
    """

    def __init__(self, resource: Resource, guards: OverlapGuards, hooks: Hooks[Any]) -> None:
        self._model: Any = resource.model
        self._complete = resource.schemas.whole_row
        self._documents = [c.name for c in resource.columns.values() if isinstance(c.column.type, sa.JSON)]
        self._guards = guards
        self._hooks = hooks
        has_hooks = any(getattr(type(hooks), name) is not getattr(Hooks, name) for name in WRITE_HOOKS)
        self.is_needed = has_hooks or self._complete is not None or bool(guards)

    def validate_new(self, rows: Sequence[Row], *, unit: UnitOfWork, errors: BatchErrors) -> Sequence[Row]:
        """Prepare and validate new rows, and lock the resources that they use."""
        nothing = [None] * len(rows)
        with errors:
            self._hooks.prepare_many(rows, stored=nothing, unit=unit)
        rows = errors.before(rows)
        self._guards.lock_resources(unit, rows)
        return self.validate_rows(rows, stored=nothing, unit=unit, errors=errors)

    def validate_changes(
        self, changes: Sequence[Row], *, stored: Sequence[Row], unit: UnitOfWork, errors: BatchErrors
    ) -> Sequence[Row]:
        """Prepare and validate changes of `stored` rows, which are locked. Return the columns to set in each row."""
        with errors:
            self._hooks.prepare_many(changes, stored=stored, unit=unit)
        changes = errors.before(changes)
        merged = [{**before, **change} for before, change in zip(stored, changes, strict=False)]
        valid = self.validate_rows(merged, stored=stored, unit=unit, errors=errors)
        return [
            {name: value for name, value in row.items() if name in change or value != before[name]}
            for row, change, before in zip(valid, changes, stored, strict=False)  # `valid` may be shorter
        ]

    def validate_rows(
        self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork, errors: BatchErrors
    ) -> Sequence[Row]:
        """Validate whole rows that are prepared: model validators of the class, `validate_many`, then `NoOverlap`."""
        whole = list(rows)
        with errors:
            for position, row in enumerate(whole):
                with element_error(position):
                    whole[position] = self._completed(row)
        with errors:
            models = [self._model(**row) for row in errors.before(whole)]
            self._hooks.validate_many(models, stored=stored[: len(models)], unit=unit)
        self._guards.check(unit, errors.before(whole), stored=stored, errors=errors)
        return errors.before(whole)

    def _completed(self, row: Row) -> Row:
        """Return the row as the validators of the class leave it."""
        if self._complete is None:
            return row
        try:
            valid = self._complete.model_validate(row).__dict__
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "body") from error
        whole = {**row, **{name: value for name, value in valid.items() if name in row}}
        for name in self._documents:
            if name in whole:
                whole[name] = to_jsonable_python(whole[name])
        return whole
