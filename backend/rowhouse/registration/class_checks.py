"""Checks of a table class at registration: options of pydantic and SQLAlchemy that would have no effect.

Each error names the class, the option and the fix. Nothing that a class says is ignored silently.
"""

import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any, get_args

import sqlalchemy as sa
from pydantic import EncodedStr, PlainSerializer, WrapSerializer
from pydantic.fields import FieldInfo
from sqlalchemy.orm import Mapper
from sqlmodel import SQLModel, UTCDateTime

from rowhouse.entities.model import EnumText, InstantWithoutZone, Mark, is_adopted
from rowhouse.entities.sqlalchemy_internals import flush_events, heard_events, own_init
from rowhouse.schemas.class_config import FIXES, refused_options
from rowhouse.schemas.columns import TIMESTAMPS, RegistrationError
from rowhouse.schemas.computed import computed_faults
from rowhouse.schemas.defaults import is_filled, is_python, takes_context, value_of
from rowhouse.schemas.pydantic_internals import decorators_of
from rowhouse.schemas.sqlmodel_internals import lost_options

LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer names
SINGLE_PRECISION = 24  # bits; up to them PostgreSQL's `float(n)` is `real`
OF_OTHERS = (sa.NVARCHAR, sa.NCHAR, sa.CLOB, sa.BLOB, sa.BINARY, sa.VARBINARY)
USUAL = "sa.String, sa.Text or sa.LargeBinary"
SERIALIZER = "would not be called, because responses are written from rows; show another value with "
LOST_FIXES = {
    "regex": "write schema_extra={'pattern': ...}",
    "unique_items": "write a @field_validator",
    "allow_mutation": "mark the column CREATE_ONLY",
}
# `Base64Str` decodes what a client sends, and encodes it again by a serializer.
SERIALIZERS = (PlainSerializer, WrapSerializer, EncodedStr)
SHOWN_OTHERWISE = "hide it with exclude=True, and show another value with @computed_field"
WITH_OTHERS = "leave its parameter out, or set the value in a model_validator or in prepare of a CRUDBase class"
ON_WRITES = "write a default, a validator of pydantic, or prepare of a CRUDBase class"
ANOTHER_NAME = (
    "name the attribute as the member in JSON, and give the column another name with sa_column_kwargs={'name': ...}"
)


def check_class(model: type[SQLModel]) -> None:
    """Reject what the engine would not honour.

    Raises:
        RegistrationError: with the class, the option and the fix.
    """
    if sa.inspect(model, raiseerr=False) is None:
        parent = next(part.__name__ for part in model.__mro__[1:] if sa.inspect(part, raiseerr=False) is not None)
        raise RegistrationError(
            f"{model.__name__} inherits from the table class {parent}, and SQLModel maps no class below another; "
            "put what they share into a class without table=True"
        )
    for found in (_mapping, _columns, _class_options, _field_options, _values, _constructors):
        for place, problem in found(model):
            raise RegistrationError(f"{model.__name__}{place}: {problem}")


def _mapping(model: type[SQLModel]) -> Iterator[tuple[str, str]]:
    """Yield what SQLAlchemy's mapper would do and the engine does not."""
    mapper: Mapper[Any] = sa.inspect(model)
    if mapper.polymorphic_on is not None:
        yield "", "polymorphic_on has no effect; take it out, and mark the column READ_ONLY with a default"
    if mapper.version_id_col is not None:
        yield "", "version_id_col is not counted up; take it out, because ETag and If-Match detect a stale row"


def _columns(model: type[SQLModel]) -> Iterator[tuple[str, str]]:
    """Yield columns that are no members, members that are no columns, and columns that cannot be stored."""
    mapper: Mapper[Any] = sa.inspect(model)
    for name, column in mapper.columns.items():
        problem = _problem(name, column, model.model_fields.get(name))
        if problem is not None:
            yield f".{name}", problem
    for name in model.model_fields:
        if name not in mapper.columns:
            yield f".{name}", "the field has no column; map it, or take it out"
    table: Any = mapper.local_table
    if len(table.name.encode()) > LONGEST_NAME:
        yield "", f"PostgreSQL cuts the name of the table after {LONGEST_NAME} bytes; give a shorter __tablename__"


def _problem(name: str, column: Any, info: FieldInfo | None) -> str | None:
    """Return why the engine cannot read or write a column of the mapper."""
    if not isinstance(column, sa.Column):
        return "it is an SQL expression; read it with computed_columns of the CRUDBase class"
    if info is None:
        return f"the column is no field; declare it as {name}: <type> = Field(sa_column=...)"
    if len(column.name.encode()) > LONGEST_NAME:
        return f"PostgreSQL cuts the name of the column after {LONGEST_NAME} bytes; give a shorter one"
    if _takes_context(column, info):
        return "default= and onupdate= call a function without arguments; leave out its context"
    return _stored_otherwise(column) or (None if _is_timestamp(name, info) else _without_zone(column, info))


def _stored_otherwise(column: sa.Column[Any]) -> str | None:
    """Return why the databases would store other values than the class says."""
    kind = column.type
    if isinstance(kind, EnumText) and kind.checks_names:
        words = f"values_callable=lambda kind: [member.value for member in kind] to sa.Enum({kind.enum_class.__name__})"
        return f"create_constraint=True checks the names of the enum, and the column stores its values; give {words}"
    is_single = isinstance(kind, sa.REAL) or (isinstance(kind, sa.Float) and (kind.precision or 53) <= SINGLE_PRECISION)
    if is_single and not is_adopted(column.table):
        return f"{kind!r} keeps 6 digits on PostgreSQL and 15 on SQLite; leave the type out, or use sa.Double"
    return None


def _is_timestamp(name: str, info: FieldInfo) -> bool:
    """Return whether the server sets the instant, whatever its default is."""
    return name in TIMESTAMPS or not {*TIMESTAMPS.values()}.isdisjoint(_marks(info))


def _marks(info: FieldInfo) -> Iterator[Mark]:
    yield from (part for part in _parts_of(info) if isinstance(part, Mark))


def _without_zone(column: sa.Column[Any], info: FieldInfo) -> str | None:
    """Return which default is an instant without a zone, which nobody can place in time."""
    if not isinstance(column.type, UTCDateTime | InstantWithoutZone):
        return None
    made: dict[str, Any] = {"default": info.default, "default_factory": info.default_factory}
    for word, default in (("Column(default=)", column.default), ("onupdate", column.onupdate)):
        made[word] = value_of(default) if is_python(default) and not takes_context(default) else None
    for word, value in made.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of datetime.utcnow
            instant = value() if callable(value) and not info.default_factory_takes_validated_data else value
        if isinstance(instant, datetime) and instant.utcoffset() is None:
            return f"{word} gives an instant without a zone; write rowhouse.now, or datetime.now(UTC)"
    return None


def _takes_context(column: sa.Column[Any], info: FieldInfo) -> bool:
    """Return whether a function that the engine calls takes SQLAlchemy's context."""
    return (is_filled(column, info) and takes_context(column.default)) or takes_context(column.onupdate)


def _class_options(model: type[SQLModel]) -> Iterator[tuple[str, str]]:
    """Yield pydantic's options for the whole class."""
    for option, fix in refused_options(model):
        yield ".model_config", f"{option} would have no effect; {fix}"
    decorators = decorators_of(model)
    for name, serializer in decorators.field_serializers.items():
        fields = ", ".join(serializer.info.fields)
        fix = f"@computed_field, and hide {fields} with exclude=True"
        yield f".{name}", f"@field_serializer({fields!r}) {SERIALIZER}{fix}"
    for name in decorators.model_serializers:
        yield f".{name}", f"@model_serializer {SERIALIZER}@computed_field"
    for name, fault in computed_faults(model):
        yield f".{name}", f"@computed_field cannot be shown: {fault}"
    for name in (*decorators.validators, *decorators.root_validators):
        yield f".{name}", "@validator and @root_validator are not called; write @field_validator or @model_validator"


def _field_options(model: type[SQLModel]) -> Iterator[tuple[str, str]]:
    """Yield pydantic's options for one field."""
    for name, info in model.model_fields.items():
        for option in ("alias", "validation_alias", "serialization_alias"):
            if getattr(info, option) is not None:
                yield f".{name}", f"{option}={getattr(info, option)!r} would have no effect; {ANOTHER_NAME}"
        for option, value in lost_options(info).items():
            yield f".{name}", f"{option}={value!r} would have no effect; {LOST_FIXES.get(option, 'take it out')}"
        if info.frozen:
            yield f".{name}", "frozen=True forbids SQLAlchemy to set it; take it out, and mark the column CREATE_ONLY"
        if info.discriminator is not None:
            yield f".{name}", "discriminator would have no effect; put it into the type with Annotated[..., Field(...)]"


def _values(model: type[SQLModel]) -> Iterator[tuple[str, str]]:
    """Yield options of one field that need an object of the class. The engine makes and shows values without one."""
    for name, info in model.model_fields.items():
        if info.default_factory_takes_validated_data:
            yield f".{name}", f"default_factory takes the other members, which not every write has; {WITH_OTHERS}"
        if info.exclude_if is not None:
            yield f".{name}", f"exclude_if would have no effect; {SHOWN_OTHERWISE}"
        if any(getattr(part, "coerce_numbers_to_str", None) for part in _parts_of(info)):
            yield f".{name}", f"coerce_numbers_to_str has no effect: {FIXES['coerce_numbers_to_str']}"
        if any(isinstance(part, SERIALIZERS) for part in _parts_of(info)):
            yield f".{name}", f"the serializer in Annotated would not be called; {SHOWN_OTHERWISE}"


def _parts_of(info: FieldInfo) -> Iterator[Any]:
    """Yield what `Annotated` says of a field, also within `| None`."""
    yield from info.metadata
    for arm in (info.annotation, *get_args(info.annotation)):
        yield from getattr(arm, "__metadata__", ())


def _constructors(model: type[SQLModel]) -> Iterator[tuple[str, str]]:
    """Yield the methods that run when Python makes an object. The engine writes and reads rows without objects."""
    if not model.model_post_init.__module__.startswith("pydantic"):
        yield "", f"model_post_init would not be called; {ON_WRITES}"
    if own_init(sa.inspect(model)) is not SQLModel.__init__:
        yield "", f"__init__ would not be called; {ON_WRITES}"


def check_events(model: type[SQLModel]) -> None:
    """Reject events that SQLAlchemy fires for objects of a session: the engine writes rows without one.

    Raises:
        RegistrationError: with the class, the event and the fix; also for a `composite()`, which is one.
    """
    mapper: Mapper[Any] = sa.inspect(model)
    for composite in mapper.composites:
        raise RegistrationError(
            f"{model.__name__}.{composite.key}: composite() would not be shown; show its columns, or a @computed_field"
        )
    for event in flush_events(mapper):
        raise RegistrationError(
            f"{model.__name__}: a listener waits for {event}, which writes of the API do not fire; "
            "override prepare, validate or a verb of a CRUDBase subclass, and register it with crud=..."
        )
    for name, event in heard_events(mapper):
        place = f"{model.__name__}.{name}" if name else model.__name__
        raise RegistrationError(f"{place}: a listener waits for {event}, which the API does not fire; {ON_WRITES}")
    for name in mapper.validators:
        raise RegistrationError(
            f"{model.__name__}.{name}: @validates of SQLAlchemy is not called; write @field_validator of pydantic"
        )


def check_database(model: type[SQLModel], dialect: sa.Dialect) -> None:
    """Reject columns that this database cannot store.

    Raises:
        RegistrationError: with the class, the column and the fix.
    """
    for name, column in sa.inspect(model).columns.items():
        place = f"{model.__name__}.{name}"
        if not isinstance(column, sa.Column):
            continue  # an SQL expression, which a registration refuses
        if dialect.name != "sqlite":
            if type(column.type) in OF_OTHERS:
                raise RegistrationError(f"{place} is {column.type!r}, which PostgreSQL lacks; use {USUAL}")
            continue
        if isinstance(column.type, sa.ARRAY):
            raise RegistrationError(
                f"{model.__name__}.{name} is an ARRAY, which SQLite lacks; use sa_type=sa.JSON, or PostgreSQL alone"
            )
        if column.identity is not None and not column.primary_key:
            raise RegistrationError(
                f"{model.__name__}.{name} is an Identity, which SQLite has for a key only; use PostgreSQL alone"
            )
        _check_counted(place, column)
        try:
            dialect.type_compiler_instance.process(column.type, type_expression=column)
        except sa.exc.CompileError:
            raise RegistrationError(
                f"{place} is {column.type!r}, which SQLite lacks; use a type that both databases have, or PostgreSQL "
                "alone"
            ) from None


def _check_counted(place: str, column: sa.Column[Any]) -> None:
    """Reject what SQLite does not count as the class says: beside the key, or from another number than 1."""
    sequence = column.default if column.default is not None and column.default.is_sequence else None
    if sequence is not None and not column.primary_key:
        raise RegistrationError(f"{place} has a Sequence, which SQLite lacks; use PostgreSQL alone")
    for options in (column.identity, sequence):
        for word in ("start", "increment"):
            if getattr(options, word, None) not in (None, 1):
                raise RegistrationError(
                    f"{place}: {word}={getattr(options, word)} has no effect on SQLite, which counts 1, 2, 3; take it "
                    "out, or use PostgreSQL alone"
                )
