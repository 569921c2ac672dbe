"""The hooks of an entity: the methods that a `CRUDBase` subclass overrides to change a rule.

    class ReviewCRUD(CRUDBase[Review]):
        def validate(self, row, *, stored, unit):
            if row.rating < 3 and not row.comment:
                raise InvalidInputError.at("body", "comment", message="say why the rating is low")

A subclass overrides two or three short methods. Routes, policies and schemas stay as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.core.security import Caller
from rowhouse.crud.batch_errors import each_row
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.resource import Resource

ModelT = TypeVar("ModelT", bound=SQLModel)


class Hooks(Generic[ModelT]):
    """The default rules of an entity. Rows are dicts of column values."""

    # Further names for filters of the list: {"min_price": "price__gte"}.
    filter_aliases: ClassVar[Mapping[str, str]] = {}
    # Columns that are read through an expression: {"status": case(...)}. A bind with a callable is evaluated at every
    # read.
    computed_columns: ClassVar[Mapping[str, sa.ColumnElement[Any]]] = {}
    # The JSON type of columns, if it is known only at registration: {"role": Role}.
    column_types: ClassVar[Mapping[str, Any]] = {}
    # Members of a response that are not columns, with their types: {"lines": list[OrderLinePublic]}.
    # `load_extra_fields` fills them.
    extra_fields: ClassVar[Mapping[str, Any]] = {}
    # True stores the rows of a batch one after the other, each by the verb for one row. Set it if `validate` queries
    # rows that the same batch may add, or if an overridden verb has no version for many rows.
    one_by_one: ClassVar[bool] = False

    def __init__(self, resource: Resource, dialect: sa.Dialect) -> None:
        self.resource = resource
        self.table = resource.table
        self.dialect = dialect

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Return the condition on the rows that `caller` sees in every operation. None means all rows.

        By default an owner sees their own rows and an administrator sees all, unless the registration has `read`.

        Example:
            def scope(self, caller):
                return None if caller else col(Article.is_published)
        """
        return self._owned_by(caller) if self.resource.owner_only else None

    def writable(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Return the condition on the visible rows that `caller` may change.

        None means all. By default the caller's own.
        """
        return self._owned_by(caller) if self.resource.owner else None

    def _owned_by(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        if caller is not None and caller.is_admin:
            return None
        column = self.resource.columns[str(self.resource.owner)].column
        return sa.false() if caller is None else column == caller.id

    def prepare(self, values: Row, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Set server-owned values in place, before a row is created (`stored` is None) or changed.

        This is `prepare_many` for one row. It is called for every row of a batch.
        """

    def validate(self, row: ModelT, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Raise one of `rowhouse.core.errors` if the whole row, as it would be stored, breaks a rule.

        This is `validate_many` for one row. All rows of a batch are validated before the first of them is stored. A
        rule that queries rows which the same batch may add overrides `validate_many`, or sets `one_by_one = True`.
        """

    def prepare_many(self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Set server-owned values in place for all rows of a write. By default, call `prepare` for each.

        Override it to query once for all rows. Process the rows in order, and raise errors inside
        `with element_error(position):`.
        """
        each_row(unit, zip(rows, stored, strict=True), lambda pair: self.prepare(pair[0], stored=pair[1], unit=unit))

    def validate_many(self, rows: Sequence[ModelT], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Validate all rows of a write, before any of them is stored. By default, call `validate` for each.

        Override it to query once for all rows, or to compare the rows of a batch with each other. Process the rows in
        order, and raise inside `with element_error(position):`.
        """
        each_row(unit, zip(rows, stored, strict=True), lambda pair: self.validate(pair[0], stored=pair[1], unit=unit))

    def load_extra_fields(self, rows: Sequence[Row], *, unit: UnitOfWork) -> None:
        """Add the `extra_fields` members to rows of a response. Query once for all rows."""
