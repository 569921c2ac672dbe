"""The columns of a table class: the type of each, its limits, and who may set it."""

import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any, NewType, Union

import sqlalchemy as sa
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sqlmodel import SQLModel, UTCDateTime

from rowhouse.db.integrity import MEMBERS
from rowhouse.db.sql_functions import SortedText
from rowhouse.entities.model import Mark, is_adopted
from rowhouse.schemas.defaults import is_filled, is_generated, is_python, value_of
from rowhouse.schemas.field_types import FieldType, Filtering, field_type, known_type, stored_annotation
from rowhouse.schemas.sqlmodel_internals import constraints_in

# Instants of these names are the timestamps of a row, as if they were marked.
TIMESTAMPS = {"created_at": Mark.CREATED_AT, "updated_at": Mark.UPDATED_AT}
INSTANTS = (UTCDateTime, sa.DateTime)
OF_THE_SERVER = frozenset({Mark.READ_ONLY, Mark.SECRET, Mark.CREATED_AT, Mark.UPDATED_AT})


class RegistrationError(TypeError):
    """A registration cannot do what it says. Stops the start; the message says how to fix it.

    Example:
        Registry().register(Book, write=ADMIN, search=("titel",))
        # RegistrationError: Book: search names 'titel', which is no text column; those are: title, author
    """


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an entity: what the class states, and what follows from the database column."""

    name: str
    info: FieldInfo
    column: sa.Column[Any]
    marks: frozenset[Mark]
    type: FieldType
    constraints: tuple[Any, ...]
    # The expression that is read instead of the column, such as a status that expires with time.
    computed: sa.ColumnElement[Any] | None = None

    @property
    def expression(self) -> sa.ColumnElement[Any]:
        """The SQL expression that every statement reads."""
        return self.column if self.computed is None else self.computed

    @property
    def sorts_as_words(self) -> bool:
        """Whether it is an `sa.Enum` without a class. Its words sort as text, and in an adopted table as declared."""
        return isinstance(self.column.type, sa.Enum) and not is_adopted(self.column.table)

    @property
    def sorted(self) -> sa.ColumnElement[Any]:
        """The SQL expression that lists sort by."""
        return SortedText(self.expression) if self.sorts_as_words else self.expression

    @property
    def sorted_type(self) -> sa.types.TypeEngine[Any]:
        """The type of the values of `sorted`."""
        return sa.String() if self.sorts_as_words else self.column.type

    @property
    def nullable(self) -> bool:
        """Whether null may be stored."""
        return bool(self.column.nullable)

    @property
    def reads_null(self) -> bool:
        """Whether null may be read."""
        return self.nullable or self.computed is not None

    @property
    def is_timestamp(self) -> bool:
        """Whether the server sets it to the instant of the row's creation or last change."""
        return bool(self.marks & {Mark.CREATED_AT, Mark.UPDATED_AT})

    @property
    def is_public(self) -> bool:
        """Whether responses show it. `Field(exclude=True)` hides it, and lets clients set it."""
        return Mark.SECRET not in self.marks and not self.info.exclude

    @property
    def is_comparable(self) -> bool:
        """Whether lists can be filtered by its values and sorted by them. A JSON document is not."""
        return self.type.filtering > Filtering.NULL

    @property
    def is_filled(self) -> bool:
        """Whether the statement or the database fills it where a new row leaves it out."""
        return is_filled(self.column, self.info)

    @property
    def is_generated(self) -> bool:
        """Whether only the database sets it."""
        return is_generated(self.column)

    @property
    def base(self) -> Any:
        """The annotation of a value that is not null, without constraints."""
        return self.type.annotation

    @property
    def annotation(self) -> Any:
        """The annotation of a value that is not null, with every constraint."""
        return Annotated[(self.base, *self.constraints)] if self.constraints else self.base

    @property
    def nullable_annotation(self) -> Any:
        """The annotation of a value in a request body."""
        return self._or_null(self.annotation)

    @property
    def answer_annotation(self) -> Any:
        """The annotation of a value in a response. Constraints do not apply to stored values."""
        return self._or_null(self.base if self.type.answer is None else self.type.answer)

    @property
    def filter_annotation(self) -> Any:
        """The annotation of a value in a query string or a cursor: the type and range of the column, nothing else."""
        return self.base if self.type.filter_annotation is None else self.type.filter_annotation(self.column)

    @property
    def row_annotation(self) -> Any:
        """The annotation of a value in a complete row, for the validators of the class."""
        is_exact = isinstance(self.column.type, sa.Numeric) and not isinstance(self.column.type, sa.Float)
        return self._or_null(Decimal) if is_exact else self.info.annotation

    @property
    def archive_annotation(self) -> Any:
        """The annotation of a value in the archive and the history.

        Raises:
            RegistrationError: a column type of the project's own does not say which Python type it returns.
        """
        if self.type.archive is not None:
            return self.type.archive
        try:
            return stored_annotation(self.column.type)
        except ValueError as error:
            raise RegistrationError(f"{self.column.table.info['entity']}.{self.name}: {error}") from error

    @property
    def empty_cell(self) -> str | None:
        """The JSON of an empty CSV cell; None if the member is left out, so that its default applies."""
        if self.nullable:
            return "null"
        return '""' if self.type.is_text else None

    def with_type(self, annotation: Any) -> "Column":
        """Return the column as if the class annotated it with `annotation` and stated no constraint."""
        return replace(self, type=field_type(annotation, self.column.type), constraints=())

    def _or_null(self, annotation: Any) -> Any:
        return Union[annotation, None] if self.nullable else annotation  # noqa: UP007  a runtime value


def columns_of(model: type[SQLModel]) -> dict[str, Column]:
    """Return the columns of a table class by name, the key first and the timestamps last.

    Raises:
        RegistrationError: a column has a type that is not supported.
    """
    mapped = sa.inspect(model).columns
    names = [name for name in model.model_fields if name in mapped]
    table: sa.Table = model.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    table.info[MEMBERS] = {mapped[name].name: name for name in names}
    found = [_column(model, name, mapped[name]) for name in names]
    found.sort(key=lambda column: (not column.column.primary_key, column.is_timestamp))
    return {column.name: column for column in found}


def _column(model: type[SQLModel], name: str, column: sa.Column[Any]) -> Column:
    info = model.model_fields[name]
    marks = {m for m in info.metadata if isinstance(m, Mark)}
    if name in TIMESTAMPS and isinstance(column.type, INSTANTS) and not is_adopted(column.table):
        marks.add(TIMESTAMPS[name])
    stated = [m for m in constraints_in(info.metadata) if not isinstance(m, Mark)]
    inner, nested = bare_annotation(info.annotation)
    marks |= {m for m in nested if isinstance(m, Mark)}
    stated += [m for m in constraints_in(_parts(nested)) if not isinstance(m, Mark)]
    if Mark.SECRET in marks:  # in no request and no response, so any type will do
        kind = known_type(inner, column.type) or FieldType(declared=(inner,), annotation=inner)
        return Column(name, info, column, frozenset(marks), kind, tuple(stated))
    try:
        kind = field_type(inner, column.type)
        stated += kind.limits(column, stated)
    except ValueError as error:
        raise RegistrationError(f"{model.__name__}.{name}: {error}") from None
    return Column(name, info, column, frozenset(marks), kind, tuple(stated))


def _parts(metadata: Iterable[Any]) -> Iterator[Any]:
    """Yield what `Annotated` says, and the constraints of a `Field(...)` in it."""
    for part in metadata:
        if isinstance(part, FieldInfo):
            yield from part.metadata
        else:
            yield part


def bare_annotation(annotation: Any) -> tuple[Any, list[Any]]:
    """Return an annotation without `| None` and `Annotated`, and what `Annotated` says."""
    inner = without_none(annotation)
    while isinstance(inner, NewType):
        inner = inner.__supertype__
    if typing.get_origin(inner) is not Annotated:
        return inner, []
    inner, *nested = typing.get_args(inner)
    return inner, nested


def without_none(annotation: Any) -> Any:
    """Return an annotation without `| None`."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        arms = [arm for arm in typing.get_args(annotation) if arm is not type(None)]
        return arms[0] if len(arms) == 1 else Union[tuple(arms)]  # noqa: UP007  built from a tuple
    return annotation


def server_owned(column: Column, owner: str | None) -> bool:
    """Return whether no client may ever set the column."""
    if column.name == owner or column.is_generated or column.marks & OF_THE_SERVER:
        return True
    return bool(column.column.primary_key) and server_makes_key(column)


def server_makes_key(column: Column) -> bool:
    """Return whether the server or the database makes this part of the key of a new row.

    If not, the client names it when it creates the row. So it does where `CREATE_ONLY` marks the key, or where each row
    would get the same one.
    """
    info, stored = column.info, column.column
    if Mark.CREATE_ONLY in column.marks or constant_of(column) is not None:
        return False
    if info.default_factory is not None:
        return True
    if any(one is not None for one in (stored.default, stored.server_default, stored.identity, stored.computed)):
        return True
    return stored.autoincrement is True or (not info.is_required() and stored is stored.table.autoincrement_column)


def constant_of(column: Column) -> Any:
    """Return the value that every row gets which leaves the column out. None if rows differ, or get none."""
    info, by_database = column.info, column.column.server_default
    by_python: Any = column.column.default
    if info.default_factory is not None:
        return None
    if info.default not in (None, PydanticUndefined):
        return info.default
    if is_python(by_python) and not by_python.is_callable:
        return value_of(by_python)
    literal = getattr(by_database, "arg", None)  # a text stands for itself
    return literal if isinstance(literal, str) and column.type.is_text else None
