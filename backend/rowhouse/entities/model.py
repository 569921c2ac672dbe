"""Base classes of entities: keys, timestamps, and the marks that say who may set or see a column.

A class derived from them gets portable columns: PostgreSQL and SQLite store, compare and sort them in the same way.
Text sorts by code point, and an enum is stored as its value. This module does not derive schemas or build queries.
"""

import enum
import re
import uuid
from datetime import UTC, datetime
from typing import Any, get_args

import sqlalchemy as sa
from pydantic import NaiveDatetime
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapper, declared_attr
from sqlmodel import AutoString, Field, SQLModel, UTCDateTime
from typing_extensions import TypeIs

import rowhouse.db.integrity  # noqa: F401  names the constraints of every table made after this line
from rowhouse.core.clock import now
from rowhouse.db.sql_functions import in_code_point_order, portable_text
from rowhouse.entities.sqlalchemy_internals import fill_with, variants_of


class Mark(enum.Enum):
    """A mark in `Annotated[...]`, after the type of the column."""

    READ_ONLY = "set by the server, visible to clients"
    CREATE_ONLY = "set when the row is created, never changed"
    SECRET = "in no schema and no response"  # noqa: S105  # nosec B105  # a description
    CREATED_AT = "the instant of the row's creation, set by the server"
    UPDATED_AT = "the instant of the row's last change, set by the server"


READ_ONLY = Mark.READ_ONLY
"""The server sets the column; clients only see it.

Example:
    status: Annotated[Status, READ_ONLY] = Status.PENDING
"""
CREATE_ONLY = Mark.CREATE_ONLY
"""Clients set the column when they create the row; it never changes.

Example:
    book_id: Annotated[int, CREATE_ONLY] = Field(foreign_key="books.id", index=True)
"""
SECRET = Mark.SECRET
"""The column is in no schema and in no response.

Example:
    hashed_password: Annotated[str, SECRET] = Field(max_length=60)
"""


CREATED_AT = Mark.CREATED_AT
"""The server sets the column to the instant of the row's creation. `created_at` needs no mark.

Example:
    added: Annotated[datetime, CREATED_AT]
"""
UPDATED_AT = Mark.UPDATED_AT
"""The server sets the column to the instant of every change; entity tags follow from it. `updated_at` needs no mark.

Example:
    modified: Annotated[datetime, UPDATED_AT]
"""


class EnumText(sa.types.TypeDecorator[Any]):
    """An enum stored as its value in a text column, sorted by code point on every database."""

    impl = sa.String
    cache_ok = True

    # Whether a check constraint of `sa.Enum(create_constraint=True)` allows the names only.
    checks_names = False

    def __init__(self, enum_class: type[enum.Enum]) -> None:
        self.enum_class = enum_class
        self._members = {str(member.value): member for member in enum_class}
        super().__init__(length=max(32, *map(len, self._members)))

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return text with the collation that sorts by code point."""
        length = self.impl_instance.length if isinstance(self.impl_instance, sa.String) else None
        return dialect.type_descriptor(portable_text(length).dialect_impl(dialect))

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002  SQLAlchemy's signature
        """Return the member's value as text. Plain text stays."""
        return str(value.value) if isinstance(value, enum.Enum) else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002  as above
        """Return the member, or the text if the class has no such member.

        A newer deployment may have stored it. One such row must not make every list fail.
        """
        return None if value is None else self._members.get(value, value)


class InstantWithoutZone(sa.types.TypeDecorator[datetime]):
    """An instant in a column without a zone, which holds it in UTC.

    With `seconds`, SQLite's text of it has no fraction, as `CURRENT_TIMESTAMP` writes it.
    """

    impl = sa.DateTime
    cache_ok = True

    def __init__(self, *, seconds: bool = False) -> None:
        self.seconds = seconds
        super().__init__()

    def __repr__(self) -> str:
        return "sa.DateTime()"  # as a migration writes it

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return SQLite's text without a fraction if it is asked for."""
        if self.seconds and dialect.name == "sqlite":
            return sqlite.DATETIME(truncate_microseconds=True)  # type: ignore[no-untyped-call]  # SQLAlchemy's
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  as above
        """Return the instant in UTC, without a zone.

        Raises:
            ValueError: the value has no zone, so nobody knows which instant it is.
        """
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("an instant needs a zone; use datetime.now(UTC)")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  as above
        """Return the instant in UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


TEMPORAL = (sa.Date, sa.DateTime, UTCDateTime, InstantWithoutZone, sa.Time, sa.Interval)
"""The types of columns whose stored values may be out of the range of Python's."""


class BlankPadded(sa.types.UserDefinedType[str]):
    """PostgreSQL's `bpchar`: `char(n)` without a length, whose blanks at the end do not count."""

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        """Return its name in SQL."""
        return "BPCHAR"


class PaddedText(sa.types.TypeDecorator[str]):
    """`char(n)` of an adopted table. The blanks that PostgreSQL adds are no part of the value.

    A value is compared as `bpchar`, so that an index of the column is used.
    """

    impl = sa.String
    cache_ok = True

    def bind_expression(self, bindparam: Any) -> Any:
        """Compare and store a value as `bpchar`. A cast to `char(n)` would cut it."""
        return sa.cast(bindparam, BlankPadded())

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Return the text without the blanks."""
        return value.rstrip(" ") if value is not None and dialect.name == "postgresql" else value


# The key in `Table.info` that marks an adopted table.
ADOPTED = "adopted"
PLAIN_INSTANTS = (sa.DateTime, sa.DATETIME, sa.TIMESTAMP, postgresql.TIMESTAMP)


class IntegerKey(SQLModel):
    """`id`: a 32-bit integer that the database counts up.

    Example:
        class Pet(IntegerKey, Record, table=True):
            name: str
    """

    id: int | None = Field(default=None, primary_key=True)


class BigIntegerKey(SQLModel):
    """`id`: a 64-bit integer that the database counts up.

    Example:
        class Reading(BigIntegerKey, Record, table=True):
            kilowatts: float
    """

    id: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    )


class UUIDKey(SQLModel):
    """`id`: a random UUID (RFC 9562, version 4) that the server makes.

    Example:
        class Ticket(UUIDKey, Record, table=True):
            subject: str
    """

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)


class PortableTable(SQLModel):
    """A plural table name and portable columns."""

    @declared_attr.directive
    def __tablename__(cls) -> str:  # noqa: N805  SQLAlchemy calls it with the class
        return plural(cls.__name__).replace("-", "_")


class Record(PortableTable):
    """`created_at` and `updated_at`. Combine it with a key.

    Example:
        class Ticket(UUIDKey, Record, table=True):
            subject: str

    Neither column has an index. An integer key grows as `created_at` does, so `sort=id` replaces `sort=created_at`; an
    index on `updated_at` would slow down every update. To sort by one of them, declare it again with `index=True`.
    """

    created_at: datetime = Field(default_factory=now, index=False)
    updated_at: datetime = Field(default_factory=now, index=False)


class Entity(IntegerKey, Record):
    """The base class of most entities: an integer key and timestamps.

    Example:
        class Publisher(Entity, table=True):
            name: str = Field(max_length=100, unique=True)
    """


class Adopted(SQLModel):
    """The base class of a table that others made: migrations never create, change or drop it.

    `rowhouse adopt` writes such classes. To let the migrations of the project have the table, derive the class from
    `SQLModel` instead.

    Example:
        class Customer(Adopted, table=True):
            __tablename__ = "customers"

            customer_id: str = Field(max_length=5, primary_key=True)
            city: str | None = Field(default=None, max_length=15)

    Other programs write the table, too. So `updated_at` is an ordinary column unless `UPDATED_AT` marks it, and the
    `ETag` of a row follows from its values. The database orders its text by its own collation.
    """


def is_adopted(table: sa.Table) -> bool:
    """Return whether migrations leave the table alone."""
    return bool(table.info.get(ADOPTED))


@event.listens_for(SQLModel, "instrument_class", propagate=True)
def _on_mapping(mapper: Mapper[Any], entity: type[Any]) -> None:
    if isinstance(mapper.local_table, sa.Table):
        make_portable(mapper.local_table, entity)


def make_portable(table: sa.Table, entity: type[Any]) -> None:
    """Give the table of a class portable columns. A second call changes nothing."""
    if "entity" in table.info:
        return
    table.info["entity"], table.info["module"] = entity.__name__, entity.__module__
    table.info[ADOPTED] = issubclass(entity, Adopted)
    key = table.primary_key.columns
    if len(key) == 1 and isinstance(key[0].type, sa.Integer):
        if isinstance(key[0].type, sa.BigInteger | sa.SmallInteger) and "sqlite" not in variants_of(key[0].type):
            # SQLite counts up one type of integer only.
            key[0].type = key[0].type.with_variant(sa.Integer(), "sqlite")
        # Without it SQLite reuses the id of a deleted row, which PostgreSQL never does.
        table.dialect_kwargs["sqlite_autoincrement"] = True
    without_zone = {name for name, info in entity.model_fields.items() if _is_naive(info.annotation)}
    for column in table.columns:
        if column.key not in without_zone:
            column.type = (table.info[ADOPTED] and _adopted_type(column.type)) or _portable_type(column.type)
        _set_options(column)


def _set_options(column: sa.Column[Any]) -> None:
    """Let the server's clock fill instants, and store None as SQL's null in JSON columns."""
    if isinstance(column.type, UTCDateTime | InstantWithoutZone) and not is_adopted(column.table):
        fill_with(now, column)
    if isinstance(column.type, sa.JSON):
        # Otherwise None is stored as JSON's null, which SQL, and so `__isnull`, does not take for null.
        kinds: Any = (column.type, *variants_of(column.type).values())
        for kind in kinds:
            kind.none_as_null = True


def _adopted_type(kind: Any) -> sa.types.TypeEngine[Any] | None:
    """Return the type for padded text and SQLite's instants without a fraction, which only adopted tables have."""
    if isinstance(kind, sa.CHAR | sa.NCHAR):
        return PaddedText(kind.length)
    return InstantWithoutZone(seconds=True) if isinstance(kind, sqlite.DATETIME) else None


def _portable_type(kind: Any) -> sa.types.TypeEngine[Any]:
    """Return the type that sorts text by code point, and that stores an enum as its value."""
    if isinstance(kind, AutoString):
        return portable_text(kind.length)
    if isinstance(kind, sa.Enum) and kind.enum_class:
        text = EnumText(kind.enum_class)
        text.checks_names = kind.create_constraint and kind.enums != [str(one.value) for one in kind.enum_class]
        return text
    if isinstance(kind, sa.UUID) or (isinstance(kind, sa.Uuid) and not kind.as_uuid):
        return sa.Uuid(native_uuid=kind.native_uuid)  # the first exists on PostgreSQL only, and rows hold UUIDs
    if isinstance(kind, sa.ARRAY):
        _set_elements(kind)
    if type(kind) in PLAIN_INSTANTS and getattr(kind, "precision", None) is None and not variants_of(kind):
        return UTCDateTime() if kind.timezone else InstantWithoutZone()
    portable: sa.types.TypeEngine[Any] = in_code_point_order(kind) if _has_order_of_database(kind) else kind
    return portable


def _set_elements(kind: sa.ARRAY[Any]) -> None:
    """Make the elements of an array portable. A document that is a list is an element, and no further dimension."""
    if isinstance(kind.item_type, PLAIN_INSTANTS):
        kind.item_type = _portable_type(kind.item_type)
    if isinstance(kind.item_type, sa.JSON) and kind.dimensions is None:
        kind.dimensions = 1


def _is_naive(annotation: Any) -> bool:
    """Return whether the annotation is an instant without a zone."""
    return NaiveDatetime in (annotation, *get_args(annotation))


def _has_order_of_database(kind: Any) -> TypeIs[sa.String]:
    """Return whether text of this type sorts as the database does: without a collation or a type for PostgreSQL."""
    if not isinstance(kind, sa.String) or isinstance(kind, sa.Enum):
        return False
    return kind.collation is None and "postgresql" not in variants_of(kind)


def plural(name: str) -> str:
    """Return the path segment of a class name: `ChargePoint` → `charge-points`, `Category` → `categories`.

    It knows regular plurals. `path=` at registration and `__tablename__` replace it for others.
    """
    words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[^\W_A-Z]+|[A-Z]+", name)
    *first, last = [word.lower() for word in words]
    if re.search(r"[^aeiou]y$", last):
        last = f"{last[:-1]}ies"
    else:
        last += "es" if re.search(r"(s|x|z|ch|sh)$", last) else "s"
    return "-".join([*first, last])


def with_article(words: str) -> str:
    """Return a noun with its article: `a book`, `an appointment`, `a user`, `an hour`."""
    sounds_like_vowel = re.match(r"(?!uni|use|usu|eu|one|once)[aeiou]|hour|honest|honou?r|heir", words, re.IGNORECASE)
    return f"{'an' if sounds_like_vowel else 'a'} {words}"


def singular_snake(name: str) -> str:
    """Return a class name as it stands in operation ids: `ChargePoint` → `charge_point`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
