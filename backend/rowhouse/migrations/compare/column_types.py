"""Compares column types, and writes them with SQLAlchemy's classes, so that a migration runs on both databases.

A type of the application is written as the type that it stores. A type that was read from one database is written as
the SQLAlchemy class that creates it there, and its equivalent on the other. Must not compare anything but types.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AlterColumnOp
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from rowhouse.entities.sqlalchemy_internals import general_type, variants_of
from rowhouse.migrations.alembic_internals import rendered_alteration

POSTGRESQL, SQLITE = (sa.make_url(f"{name}://").get_dialect()() for name in ("postgresql", "sqlite"))
UUID_ON_SQLITE = 32  # characters
# How the view begins by which SQLite lists the members of a native enum; see `operations.native_enums`.
ENUM_VIEW = "enum_"


def write_type(kind: sa.types.TypeEngine[Any], context: AutogenContext) -> str:
    """Return the Python expression of a type."""
    text = _with_variants(kind, context.dialect.name)
    if "postgresql." in text:
        context.imports.add("from sqlalchemy.dialects import postgresql")
    return text


def compare_types(
    context: Any, _stored: sa.Column[Any], _declared: sa.Column[Any], stored: Any, declared: Any
) -> bool | None:
    """Return False if types with different names are the same, True if Alembic would miss a difference.

    None leaves the question to Alembic, which takes a text without a length for one of any length.
    """
    if context.dialect.name == "sqlite" and is_native_enum(declared):
        return _became_enum(context.connection, stored, declared) if isinstance(stored, sa.String) else None
    kind = _plain(declared.dialect_impl(context.dialect))
    if isinstance(stored, sa.String) and isinstance(kind, sa.String) and not is_native_enum(kind):
        return True if (stored.length is None) != (kind.length is None) else None
    return None


def _became_enum(connection: sa.Connection, stored: sa.String, declared: Any) -> bool:
    """Return True for a text of SQLite that becomes an enum which the database does not list yet.

    PostgreSQL has a type for each enum. SQLAlchemy's length, that of the longest member, does not count, except in a
    database that was migrated before there were lists.
    """
    if stored.length == max(map(len, declared.enums)):
        return False
    is_listed = sa.text("SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = :name")
    return connection.execute(is_listed, {"name": f"{ENUM_VIEW}{declared.name}"}).first() is None


def _plain(kind: Any) -> Any:
    return kind.impl_instance if isinstance(kind, sa.types.TypeDecorator) else kind


def is_native_enum(kind: Any) -> bool:
    """Return True for an enum that is a type of its own on PostgreSQL."""
    return isinstance(kind, sa.Enum) and bool(kind.native_enum)


def _with_variants(kind: Any, reading: str) -> str:
    base, variants = _apart(kind, reading)
    text = _write(base, reading)
    for dialect, other in sorted(variants.items()):
        written = _write(other, reading)
        text += f".with_variant({written}, {dialect!r})" if written != text else ""
    return text


def _apart(kind: Any, reading: str) -> tuple[Any, dict[str, Any]]:
    """Return the type for every database, and the variants of single databases."""
    variants: dict[str, Any] = dict(variants_of(kind))
    if isinstance(kind, sa.types.TypeDecorator) and not type(kind).__module__.startswith("sqlalchemy."):
        variants = {"postgresql": kind.load_dialect_impl(POSTGRESQL), **variants}
        kind = kind.load_dialect_impl(SQLITE)
    if isinstance(kind, JSONB):
        return sa.JSON(), {"postgresql": kind, **variants}
    if is_native_enum(kind):
        own = postgresql.ENUM(*kind.enums, name=kind.name, create_type=False)
        return sa.Enum(*kind.enums, name=kind.name), {"postgresql": own, **variants}
    if isinstance(kind, sa.String) and (kind.collation == "C" or _lacks_order(kind, reading)):
        plain, ordered = kind.copy(), kind.copy()
        plain.collation, ordered.collation = None, "C"
        return plain, {"postgresql": ordered, **variants}
    return kind, variants


def _lacks_order(kind: sa.String, reading: str) -> bool:
    """Return True for a text read from SQLite, which sorts by code point without a collation."""
    is_read = type(kind) in (sa.VARCHAR, sa.TEXT)
    return reading == "sqlite" and is_read and kind.collation is None


def _write(kind: Any, reading: str) -> str:
    for base, write in WRITERS:
        if isinstance(kind, base):
            return write if isinstance(write, str) else write(kind, reading)
    module = type(kind).__module__
    prefix = module.split(".")[2] if module.startswith("sqlalchemy.dialects.") else "sa"
    return f"{prefix}.{kind!r}"


def _write_enum(kind: sa.Enum, _reading: str) -> str:
    if not kind.native_enum:
        return f"sa.String(length={kind.length})"
    words = f"{', '.join(map(repr, kind.enums))}, name={kind.name!r}"
    own = isinstance(kind, postgresql.ENUM)  # another operation creates the type
    return f"postgresql.ENUM({words}, create_type=False)" if own else f"sa.Enum({words})"


def _write_text(kind: sa.String, reading: str) -> str:
    if isinstance(kind, sa.CHAR) and reading == "sqlite" and kind.length == UUID_ON_SQLITE:
        return "sa.Uuid()"  # SQLite stores UUIDs in this type
    name = next(name for base, name in TEXTS if isinstance(kind, base))
    words = [f"{word}={value!r}" for word in ("length", "collation") if (value := getattr(kind, word)) is not None]
    return f"sa.{name}({', '.join(words)})"


def _write_date_time(kind: sa.DateTime, reading: str) -> str:
    # SQLite stores no time zone; the engine's instants have one.
    is_read = reading == "sqlite" and type(kind) is not sa.DateTime
    return "sa.DateTime(timezone=True)" if kind.timezone or is_read else "sa.DateTime()"


def _write_time(kind: sa.Time, _reading: str) -> str:
    return "sa.Time(timezone=True)" if kind.timezone else "sa.Time()"


def _write_numeric(kind: sa.Numeric[Any], _reading: str) -> str:
    words = [f"{word}={value}" for word in ("precision", "scale") if (value := getattr(kind, word)) is not None]
    return f"sa.Numeric({', '.join(words)})"


def _write_float(kind: sa.Float[Any], _reading: str) -> str:
    return "sa.Float()" if kind.precision is None else f"sa.Float(precision={kind.precision})"


def _write_uuid(kind: sa.Uuid[Any], _reading: str) -> str:
    return "sa.Uuid()" if kind.native_uuid else "sa.Uuid(native_uuid=False)"


def _write_boolean(kind: sa.Boolean, _reading: str) -> str:
    return f"sa.Boolean(create_constraint=True, name={kind.name!r})" if kind.create_constraint else "sa.Boolean()"


def _write_array(kind: Any, reading: str) -> str:
    return f"postgresql.ARRAY({_with_variants(kind.item_type, reading)})"


TEXTS: tuple[tuple[Any, str], ...] = (
    (sa.UnicodeText, "UnicodeText"), (sa.Text, "Text"), (sa.Unicode, "Unicode"), (sa.CHAR, "CHAR"),
    (sa.String, "String"),
)  # fmt: skip
# The first match is used.
WRITERS: tuple[tuple[Any, str | Callable[[Any, str], str]], ...] = (
    (sa.Enum, _write_enum),
    (sa.String, _write_text),
    (sa.Uuid, _write_uuid),
    (sa.DateTime, _write_date_time),
    (sa.Date, "sa.Date()"),
    (sa.Time, _write_time),
    (sa.Interval | postgresql.INTERVAL, "sa.Interval()"),
    (sa.ARRAY, _write_array),
    (sa.Boolean, _write_boolean),
    (sa.SmallInteger, "sa.SmallInteger()"),
    (sa.BigInteger, "sa.BigInteger()"),
    (sa.Integer, "sa.Integer()"),
    (sa.DOUBLE_PRECISION, "sa.Float()"),  # PostgreSQL's name for it
    (sa.REAL, "sa.REAL()"),
    (sa.Double, "sa.Double()"),
    (sa.Float, _write_float),
    (sa.Numeric, _write_numeric),
    (sa.LargeBinary, "sa.LargeBinary()"),
    (JSONB, "postgresql.JSONB()"),
    (sa.JSON, "sa.JSON()"),
)


@renderers.dispatch_for(AlterColumnOp, replace=True)
def _render_alter_column(context: AutogenContext, operation: AlterColumnOp) -> str:
    """Write the operation as Alembic does. Add a conversion if PostgreSQL needs one."""
    text = rendered_alteration(context, operation)
    old, new = operation.existing_type, operation.modify_type
    if old is None or new is None or is_converted(old, new):
        return text
    column = POSTGRESQL.identifier_preparer.quote(operation.column_name)
    step = "::text" if is_native_enum(old) and is_native_enum(new) else ""
    using = f"{column}{step}::{new.compile(dialect=POSTGRESQL)}"
    return f"{text[:-1]},\n           postgresql_using={using!r})"


def is_converted(old: sa.types.TypeEngine[Any], new: sa.types.TypeEngine[Any]) -> bool:
    """Return True if PostgreSQL converts the values by itself. It does not convert anything to a native enum."""
    if is_native_enum(new):
        return is_native_enum(old) and getattr(old, "name", None) == getattr(new, "name", None)
    return general_type(old) is general_type(new)
