"""The column types that an entity may have: one entry for each, with everything the engine knows about it.

A new type is one entry in `FIELD_TYPES`. It decides how a value looks in requests, responses, filters, CSV files, the
archive and the history. Enums and JSON documents depend on the class that declares them, so `field_type` builds their
entries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

import sqlalchemy as sa
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, EmailStr, Field
from sqlmodel import UTCDateTime

from rowhouse.entities.model import EnumText, InstantWithoutZone, PaddedText
from rowhouse.schemas import column_limits, csv_cells
from rowhouse.schemas.json_types import (
    INTEGER_TEXT,
    AddressText,
    Base64,
    CalendarDate,
    DecimalText,
    Duration,
    ExactDecimal,
    FilterText,
    Instant,
    NumberText,
    WallTime,
    as_document,
    member_of,
    member_of_text,
    require_format,
)
from rowhouse.schemas.storage import check_storage, lost_part


class Filtering(IntEnum):
    """Which filters a type has. Each level includes the operators of the levels before it."""

    NULL = 0  # isnull
    BOOLEAN = 1  # eq, ne
    EQUALITY = 2  # in, not_in
    ORDER = 3  # lt, lte, gt, gte
    TEXT = 4  # contains, startswith, endswith


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldType:
    """Everything the engine knows about one type of column."""

    # The annotations in a table class that mean this type, where the column has one of the types `stored`.
    declared: tuple[Any, ...]
    stored: type[Any] | tuple[type[Any], ...] = sa.types.TypeEngine
    # A value in a request body, which is validated strictly.
    annotation: Any
    # A value in a response; None if it is that of a request. Constraints do not apply to stored values.
    answer: Any = None
    # Which filters there are, and the annotation of a value in a query string or a cursor; None if it is that of a
    # request.
    filtering: Filtering = Filtering.ORDER
    filter_annotation: Callable[[sa.Column[Any]], Any] | None = None
    # The limits that the database column adds to the constraints of the class.
    limits: Callable[[sa.Column[Any], Sequence[Any]], list[Any]] = column_limits.no_limits
    # CSV: see `csv_cells`. An empty cell of a text that may not be null is the empty text.
    read_cell: csv_cells.CellReader = csv_cells.quoted
    write_cell: csv_cells.CellWriter | None = None
    is_text: bool = False
    # A value in the archive and the history, as an annotation that writes and reads its JSON; None if the type of the
    # column says it.
    archive: Any = None


def _integer_filter(column: sa.Column[Any]) -> Any:
    # The range comes before the format: in the other order pydantic leaves the range out of OpenAPI.
    return Annotated[(int, *column_limits.integer_range(column), require_format(INTEGER_TEXT, "a whole number"))]


def _text(annotation: Any) -> FieldType:
    return FieldType(
        declared=(annotation,),
        stored=(sa.String, PaddedText),
        annotation=annotation,
        filtering=Filtering.TEXT,
        filter_annotation=lambda _column: FilterText,
        limits=column_limits.text_limits,
        read_cell=csv_cells.read_text,
        write_cell=csv_cells.write_text,
        is_text=True,
    )


# A text of a project's own type is one in a CSV file, and not in the database.
OWN_TEXT: dict[str, Any] = {
    "filtering": Filtering.ORDER,
    "filter_annotation": None,
    "limits": column_limits.own_text_limits,
}
# The first entry that matches both the annotation and the column is used.
FIELD_TYPES: list[FieldType] = [
    FieldType(
        declared=(int,),
        annotation=int,
        filter_annotation=_integer_filter,
        limits=column_limits.integer_limits,
        read_cell=csv_cells.read_integer,
    ),
    FieldType(  # money under `float`: as exact as its column
        declared=(float,),
        stored=sa.Numeric,
        annotation=ExactDecimal,
        filter_annotation=lambda _column: DecimalText,
        limits=column_limits.decimal_limits,
        read_cell=csv_cells.read_decimal,
        write_cell=csv_cells.write_number,
    ),
    FieldType(
        declared=(float,),
        annotation=float,
        filter_annotation=lambda _column: NumberText,
        read_cell=csv_cells.read_number,
        write_cell=csv_cells.write_number,
    ),
    FieldType(
        declared=(Decimal,),
        annotation=ExactDecimal,
        filter_annotation=lambda _column: DecimalText,
        limits=column_limits.decimal_limits,
        read_cell=csv_cells.read_decimal,
        write_cell=csv_cells.write_number,
    ),
    FieldType(
        declared=(bool,),
        annotation=bool,
        filtering=Filtering.BOOLEAN,
        read_cell=csv_cells.read_boolean,
        write_cell=csv_cells.write_boolean,
    ),
    _text(str),
    _text(EmailStr),
    FieldType(declared=(datetime, AwareDatetime), annotation=Instant, answer=datetime),
    FieldType(declared=(date,), annotation=CalendarDate, answer=date),
    FieldType(declared=(time,), annotation=WallTime, answer=time),
    FieldType(declared=(timedelta,), annotation=Duration, answer=timedelta),
    FieldType(declared=(UUID,), stored=sa.Uuid, annotation=UUID, filtering=Filtering.EQUALITY),
    FieldType(
        declared=(bytes,),
        stored=sa.LargeBinary,
        annotation=Base64,
        filtering=Filtering.NULL,
        read_cell=csv_cells.read_text,
        write_cell=csv_cells.write_text,
        is_text=True,  # an empty cell is no bytes
        archive=Base64,
    ),
    # Columns with a type of the project's own, which may sort its values.
    FieldType(declared=(UUID,), annotation=UUID),
    *(replace(_text(kind), stored=sa.types.TypeDecorator, **OWN_TEXT) for kind in (str, EmailStr)),
    *(FieldType(declared=(kind,), annotation=kind, answer=AddressText) for kind in (str, EmailStr)),
]


def field_type(annotation: Any, stored: sa.types.TypeEngine[Any]) -> FieldType:
    """Return the entry of a column of the type `stored` that the class annotates with `annotation`, without None.

    Raises:
        ValueError: there is no such entry, or the annotation is not that of the column's enum.
    """
    check_storage(annotation, stored)
    found = _enum(annotation, stored) or known_type(annotation, stored)
    if isinstance(stored, sa.DateTime):
        other = "" if annotation is datetime else "annotate the field with datetime, and "
        raise ValueError(  # noqa: TRY004  the column is at fault, and the caller names it
            f"{stored!r} gives no instant on both databases; {other}leave the type out, or use "
            "sa.DateTime(timezone=True), or sa.DateTime() for a column that holds UTC without a zone"
        )
    if isinstance(stored, sa.ARRAY):
        return _array(annotation, stored)
    if isinstance(stored, sa.JSON):
        return _document(annotation, found)
    if found is None:
        raise ValueError(
            f"{annotation!r} is not a column type; mark it SECRET, or use {names_of_types()}, or a JSON column"
        )
    return found


def names_of_types() -> str:
    """Return the annotations that have a column, for an error."""
    names = sorted({kind.__name__ for entry in FIELD_TYPES for kind in entry.declared if isinstance(kind, type)})
    return f"one of {', '.join(names)}, an Enum"


def known_type(annotation: Any, stored: sa.types.TypeEngine[Any]) -> FieldType | None:
    """Return the first entry of `FIELD_TYPES` that matches."""
    return next((e for e in FIELD_TYPES if annotation in e.declared and isinstance(stored, e.stored)), None)


def _document(annotation: Any, scalar: FieldType | None) -> FieldType:
    """Return the entry of a JSON column. A scalar document has the limits of the scalar's type."""
    lost = lost_part(annotation)
    if lost is not None:
        raise ValueError(f"a JSON column stores a document as pydantic writes it, {lost}; give it a column of its own")
    return FieldType(
        declared=(annotation,),
        annotation=Annotated[annotation, AfterValidator(as_document)],
        answer=annotation,
        filtering=Filtering.NULL,
        limits=column_limits.document_limits if scalar is None else scalar.limits,
        read_cell=csv_cells.read_document,
        write_cell=csv_cells.write_document,
    )


def _array(annotation: Any, stored: sa.ARRAY[Any]) -> FieldType:
    """Return the entry of a PostgreSQL array: a list whose elements have the type and the limits of such a column."""
    if get_origin(annotation) is not list or stored.dimensions not in (None, 1):
        raise ValueError(f"an ARRAY column holds a list, and the annotation is {annotation!r}; use list[...]")
    (element,) = get_args(annotation)
    kind = field_type(element, stored.item_type)
    column = sa.Table("elements", sa.MetaData(), sa.Column("element", stored.item_type)).c.element
    limits = kind.limits(column, [])
    one: Any = Annotated[(kind.annotation, *limits)] if limits else kind.annotation
    return FieldType(
        declared=(annotation,),
        annotation=list[one],
        answer=list.__class_getitem__(kind.answer or kind.annotation),
        filtering=Filtering.NULL,
        read_cell=csv_cells.read_document,
        write_cell=csv_cells.write_document,
        archive=list.__class_getitem__(kind.archive or kind.annotation),
    )


def _enum(annotation: Any, stored: sa.types.TypeEngine[Any]) -> FieldType | None:
    """Return the entry of an enum, or of words: a `Literal` or an `sa.Enum` without a class. None for other columns."""
    if isinstance(stored, sa.Enum | EnumText):
        _check_enum(annotation, stored)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return FieldType(
            declared=(annotation,),
            annotation=annotation,
            filtering=Filtering.EQUALITY,
            filter_annotation=None if issubclass(annotation, str) else _member_filter(annotation),
            limits=column_limits.no_limits if issubclass(annotation, str) else _member_limits(annotation),
            read_cell=csv_cells.enum_reader(annotation),
            is_text="" in {member.value for member in annotation},  # its empty cell is that member
        )
    words = annotation if _are_words(annotation, stored) else None
    if isinstance(stored, sa.Enum):
        words = Literal.__getitem__(tuple(stored.enums)) if annotation is str else annotation
    if words is None:
        return None
    return FieldType(
        declared=(annotation,),
        annotation=words,
        filtering=Filtering.EQUALITY,
        read_cell=csv_cells.read_text,
        write_cell=csv_cells.write_text,
        is_text=True,
    )


def _are_words(annotation: Any, stored: sa.types.TypeEngine[Any]) -> bool:
    """Return whether the annotation is a `Literal` of texts, and the column is a text.

    Raises:
        ValueError: a word is longer than the column.
    """
    words = get_args(annotation) if get_origin(annotation) is Literal else ()
    if not isinstance(stored, sa.String) or not words or not all(isinstance(word, str) for word in words):
        return False
    longest = max(words, key=len)
    if stored.length is not None and len(longest) > stored.length:
        raise ValueError(f"{stored!r} is too short for {longest!r}")
    return True


def _member_limits(kind: type[Enum]) -> Callable[[sa.Column[Any], Sequence[Any]], list[Any]]:
    return lambda _column, _stated: [BeforeValidator(member_of(kind))]


def _member_filter(kind: type[Enum]) -> Callable[[sa.Column[Any]], Any]:
    """Return the annotation of a member in a query string, where each value is a text."""
    read: Any = Annotated[kind, BeforeValidator(member_of_text(kind))]
    return lambda _column: read


def _check_enum(annotation: Any, stored: sa.Enum | EnumText) -> None:
    if isinstance(stored, EnumText):
        is_same, values = annotation is stored.enum_class, stored.enum_class.__name__
    else:
        is_text = isinstance(annotation, type) and issubclass(annotation, str)
        is_same, values = is_text or {*get_args(annotation)} == {*stored.enums}, f"the texts {stored.enums}"
    if not is_same:
        raise ValueError(f"the column stores {values} and the annotation is {annotation!r}; use one type for both")


ARCHIVED = (str, int, float, bool, bytes, Decimal, date, datetime, time, timedelta, UUID)


def stored_annotation(stored: sa.types.TypeEngine[Any]) -> Any:
    """Return the annotation of a value as the database column returns it.

    Raises:
        ValueError: a column type of the project's own does not say which Python type it returns.
    """
    if isinstance(stored, sa.JSON):
        return Any
    if isinstance(stored, UTCDateTime | InstantWithoutZone):
        return datetime
    if isinstance(stored, EnumText):
        return stored.enum_class
    if isinstance(stored, PaddedText):
        return str
    kind: Any = stored.python_type
    if kind not in ARCHIVED:
        raise ValueError(
            f"the values of {type(stored).__name__} cannot be stored as JSON and read again; register the entity "
            "without soft_delete and history, or give the column a type of SQLAlchemy's own"
        )
    if kind is Decimal:  # others may store NaN
        return Annotated[Decimal, Field(allow_inf_nan=True)]
    return Base64 if kind is bytes else kind
