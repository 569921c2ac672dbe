"""Create, Update and Public, derived from one table class at registration; a table class is never on the wire.

Table classes do not validate (KNOWLEDGE §1), so the wire schemas are models of their own: strict, closed to unknown members,
bounded by what the column can hold. Constraints, field validators and the difference between null and absent survive.
"""

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union
from uuid import UUID

import sqlalchemy as sa
from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import (
    MISSING,
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from sqlmodel import SQLModel
from sqlmodel.main import FieldInfoMetadata
from typing_extensions import TypedDict

from backend.crud.model import Mark

TIMESTAMPS = ("created_at", "updated_at")
SECRET_NAME = re.compile(r"password|secret|token|private_key|api_key|hash(ed)?$|_hash", re.IGNORECASE)
NO_NUL = r"^[^\x00]*$"
MAX_INDEXED_TEXT = 600
MAX_EXACT_DIGITS = 15
INTEGER_BITS = ((sa.SmallInteger, 15), (sa.BigInteger, 63), (sa.Integer, 31))
DECIMAL_WORDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
INSTANT = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6}\d*)?([Zz]|[+-]\d\d:\d\d)$")
DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?\Z")
DATE, TIME = re.compile(r"^\d{4}-\d\d-\d\d$"), re.compile(r"^\d\d:\d\d(:\d\d(\.\d{1,6})?)?$")
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class RegistrationError(TypeError):
    """A registration that would not do what it says; the message names the mend. Stops the start-up."""


def _parsing(kind: Any, pattern: re.Pattern[str], what: str) -> Callable[[Any], Any]:
    """Read text of exactly this form; pydantic alone would also take a number of seconds, and a number is no instant."""
    adapter = TypeAdapter(kind)

    def parse(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if not pattern.match(value):
            raise PydanticCustomError("format", f"Input should be {what}")
        return adapter.validate_python(value)

    return parse


def _parse_decimal(value: Any) -> Any:
    """Read a JSON number or plain digits; Python alone would also take `1_0`, ` 1 ` and the digits of other scripts."""
    if isinstance(value, str):
        if not DECIMAL.match(value):
            raise PydanticCustomError("format", "Input should be a decimal number, as 12.50")
        return Decimal(value)
    return Decimal(str(value)) if type(value) in (int, float) else value


def _in_utc(value: datetime) -> datetime:
    """The same instant in UTC, within the years that both databases can hold."""
    if not EARLIEST < value.replace(tzinfo=UTC) < LATEST:
        raise ValueError("the year must lie between 1 and 9999")
    return value.astimezone(UTC)


def _refuse_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("text must not contain the NUL character")
    return value


def _check_json(value: Any) -> Any:
    """Refuse what PostgreSQL's JSON cannot hold: NUL, NaN and numbers past 64 bits."""
    match value:
        case str():
            _refuse_nul(value)
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  NaN
            raise ValueError("NaN and Infinity are not JSON")
        case int() if abs(value) >= 2**63:
            raise ValueError("integers must fit in 64 bits")
        case dict() | list():
            for part in [*value, *value.values()] if isinstance(value, dict) else value:
                _check_json(part)
    return value


def _member_of(kind: type[Enum]) -> Callable[[Any], Any]:
    """Find a member by a value of exactly its type; pydantic alone would take `true` for 1."""
    members = {(type(member.value), member.value): member for member in kind}
    return lambda value: members.get((type(value), value)) if isinstance(value, (str, int, float)) else None


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_parsing(datetime, INSTANT, "an RFC 3339 instant with its offset, as 2030-01-31T12:00:00Z")),
    AfterValidator(_in_utc),
]
CalendarDate = Annotated[date, BeforeValidator(_parsing(date, DATE, "a date, as 2030-01-31"))]
WallTime = Annotated[time, BeforeValidator(_parsing(time, TIME, "a time of day without offset, as 12:00:00"))]
Duration = Annotated[timedelta, Field(ge=timedelta(days=-36500), le=timedelta(days=36500))]
WireDecimal = Annotated[Decimal, BeforeValidator(_parse_decimal), PlainSerializer(float, return_type=float)]
# The scalar types that an entity may have, each with what the wire takes for it. Enums and JSON come beside them.
WIRE_TYPES: dict[Any, Any] = {
    datetime: Instant,
    AwareDatetime: Instant,
    date: CalendarDate,
    time: WallTime,
    timedelta: Duration,
    Decimal: WireDecimal,
    int: int,
    float: float,
    bool: bool,
    str: str,
    UUID: UUID,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an entity: what the class says of it, and what the database makes of it."""

    name: str
    info: FieldInfo
    column: sa.Column[Any]
    marks: frozenset[Mark]
    base: Any
    constraints: tuple[Any, ...]

    @property
    def nullable(self) -> bool:
        """Whether null may be stored."""
        return bool(self.column.nullable)

    @property
    def is_json(self) -> bool:
        """Whether it holds a JSON document, which is neither filtered nor sorted."""
        return isinstance(self.column.type, sa.JSON)

    @property
    def wire(self) -> Any:
        """The annotation of a value that is not null, with every constraint."""
        return Annotated[(self.base, *self.constraints)] if self.constraints else self.base

    @property
    def wire_or_null(self) -> Any:
        """The annotation with null where the column takes it."""
        return Union[self.wire, None] if self.nullable else self.wire  # noqa: UP007  self.wire is a runtime value


@dataclass(frozen=True, slots=True)
class Schemas:
    """The derived wire schemas of one entity."""

    create: type[BaseModel]
    update: type[BaseModel]
    public: type[BaseModel]
    complete: type[BaseModel] | None
    public_names: tuple[str, ...]
    row_adapter: TypeAdapter[Any]


def columns_of(model: type[SQLModel]) -> dict[str, Column]:
    """The columns of a table class by name, the key first and the timestamps last.

    Raises:
        RegistrationError: a column of a type that has no form on the wire.
    """
    table: sa.Table = model.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    names = [name for name in model.model_fields if name in table.columns]
    names.sort(key=lambda name: (not table.columns[name].primary_key, name in TIMESTAMPS))
    return {name: _column(model, name, table.columns[name]) for name in names}


def _column(model: type[SQLModel], name: str, column: sa.Column[Any]) -> Column:
    info = model.model_fields[name]
    marks = {m for m in info.metadata if isinstance(m, Mark)}
    given = [m for m in info.metadata if not isinstance(m, (FieldInfoMetadata, Mark))]
    inner = _without_none(info.annotation)
    if typing.get_origin(inner) is Annotated:
        inner, *nested = typing.get_args(inner)
        marks |= {m for m in nested if isinstance(m, Mark)}
        given += [m for m in nested if not isinstance(m, (FieldInfoMetadata, Mark, FieldInfo))]
    if Mark.SECRET in marks:  # never on the wire, so any type will do
        return Column(name, info, column, frozenset(marks), inner, tuple(given))
    base = _wire_base(model, name, inner, column)
    given += _bounds(model, name, inner, column, given)
    return Column(name, info, column, frozenset(marks), base, tuple(given))


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        arms = [arm for arm in typing.get_args(annotation) if arm is not type(None)]
        return arms[0] if len(arms) == 1 else Union[tuple(arms)]  # noqa: UP007  built from a tuple
    return annotation


def _wire_base(model: type[SQLModel], name: str, inner: Any, column: sa.Column[Any]) -> Any:
    if isinstance(column.type, sa.JSON):
        return Annotated[inner, AfterValidator(_check_json)]
    if isinstance(inner, type) and issubclass(inner, Enum):
        return inner
    if inner in WIRE_TYPES:
        return WIRE_TYPES[inner]
    if isinstance(column.type, sa.String):
        return inner
    raise RegistrationError(
        f"{model.__name__}.{name}: {inner!r} has no form on the wire; mark it SECRET, or use one of "
        f"{', '.join(sorted(t.__name__ for t in WIRE_TYPES if isinstance(t, type)))}, an Enum, or a JSON column"
    )


def _bounds(model: type[SQLModel], name: str, inner: Any, column: sa.Column[Any], given: list[Any]) -> list[Any]:
    """The limits that the column has and the class does not state."""
    if inner is int:
        return _integer_bounds(column, given)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return [] if issubclass(inner, str) else [BeforeValidator(_member_of(inner))]
    if inner is Decimal:
        _check_digits(model, name, column)
        return [WithJsonSchema(_decimal_schema(column, given), mode="validation")]
    if isinstance(column.type, sa.String):
        return _text_bounds(column, given)
    return []


def integer_range(column: sa.Column[Any]) -> tuple[Ge, Le]:
    """The least and the greatest number that an integer column can hold."""
    bits = next((bits for kind, bits in INTEGER_BITS if isinstance(column.type, kind)), 31)
    return Ge(-(2**bits)), Le(2**bits - 1)


def _integer_bounds(column: sa.Column[Any], given: list[Any]) -> list[Any]:
    least, greatest = integer_range(column)
    bounds: list[Any] = []
    if not any(isinstance(m, (Ge, Gt)) for m in given):
        bounds.append(least)
    if not any(isinstance(m, (Le, Lt)) for m in given):
        bounds.append(greatest)
    return bounds


def _check_digits(model: type[SQLModel], name: str, column: sa.Column[Any]) -> None:
    precision = getattr(column.type, "precision", None)
    if precision is None or getattr(column.type, "scale", None) is None or precision > MAX_EXACT_DIGITS:
        raise RegistrationError(
            f"{model.__name__}.{name}: give the Decimal Field(max_digits=…, decimal_places=…) with at most "
            f"{MAX_EXACT_DIGITS} digits; more are not exact on SQLite nor as a JSON number"
        )


def _decimal_schema(column: sa.Column[Any], given: list[Any]) -> dict[str, Any]:
    """A decimal as the wire takes it: a number, or a string for clients whose numbers are not exact."""
    precision, scale = int(getattr(column.type, "precision", 0)), int(getattr(column.type, "scale", 0))
    largest = 10 ** (precision - scale) - 10**-scale
    number: dict[str, Any] = {"type": "number", "minimum": -largest, "maximum": largest, "multipleOf": 10**-scale}
    for mark in given:
        for attribute, word in DECIMAL_WORDS.items():
            if getattr(mark, attribute, None) is not None:
                number[word] = float(getattr(mark, attribute))
    sign = "-?" if number.get("exclusiveMinimum", number["minimum"]) < 0 else ""
    more_than_zero = "(?=.*[1-9])" if number.get("exclusiveMinimum") == 0 else ""
    fraction = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
    digits = rf"[0-9]{{1,{precision - scale}}}{fraction}"
    return {"anyOf": [number, {"type": "string", "pattern": f"^{more_than_zero}{sign}{digits}$"}]}


def _text_bounds(column: sa.Column[Any], given: list[Any]) -> list[Any]:
    bounds: list[Any] = []
    if not any(isinstance(m, MaxLen) or getattr(m, "max_length", None) for m in given):
        length = getattr(column.type, "length", None) or (MAX_INDEXED_TEXT if is_indexed(column) else None)
        bounds += [MaxLen(length)] if length else []
    if any(getattr(m, "pattern", None) for m in given):
        bounds.append(AfterValidator(_refuse_nul))
    else:
        bounds.append(Field(pattern=NO_NUL))
    return bounds


def is_indexed(column: sa.Column[Any]) -> bool:
    """Whether an index or a unique constraint holds this column, so that its values must stay short."""
    table = column.table
    if column.unique or column.index or any(column.name in index.columns for index in table.indexes):
        return True
    return any(isinstance(c, sa.UniqueConstraint) and column.name in c.columns for c in table.constraints)


def server_owned(column: Column, owner: str | None) -> bool:
    """Whether no client may ever set it."""
    fixed = column.column.primary_key or column.name in TIMESTAMPS or column.name == owner
    return fixed or bool(column.marks & {Mark.READ_ONLY, Mark.SECRET})


def derive(model: type[SQLModel], columns: dict[str, Column], *, owner: str | None) -> Schemas:
    """The wire schemas of `model`.

    Raises:
        RegistrationError: a column that looks like a secret is not marked as one.
    """
    _refuse_exposed_secrets(model, columns)
    settable = [c for c in columns.values() if not server_owned(c, owner)]
    updatable = [c for c in settable if Mark.CREATE_ONLY not in c.marks]
    public = [c for c in columns.values() if Mark.SECRET not in c.marks]
    name = model.__name__
    create = build_model(
        f"{name}Create",
        {c.name: (c.wire_or_null, _create_field(c)) for c in settable},
        __config__=STRICT,
        __validators__=_validators(model, settable),
    )
    update = build_model(
        f"{name}Update",
        {c.name: (Union[c.wire_or_null, MISSING], _described(c, MISSING)) for c in updatable},  # noqa: UP007  runtime
        __config__=ConfigDict(**STRICT, json_schema_extra={"minProperties": 1}),
        __validators__=_validators(model, updatable),
    )
    answer = build_model(f"{name}Public", {c.name: (_answered(c), _described(c, ...)) for c in public})
    row: Any = TypedDict(f"{name}Row", {c.name: _answered(c) for c in public})  # type: ignore[misc]  # built at run time
    rows: TypeAdapter[Any] = TypeAdapter(row)
    names = tuple(c.name for c in public)
    return Schemas(create, update, answer, _complete(model, columns), names, rows)


def build_model(name: str, members: Mapping[str, Any], **options: Any) -> type[BaseModel]:
    """Pydantic's `create_model` for members whose names are data."""
    create: Any = create_model
    built: type[BaseModel] = create(name, **options, **members)
    return built


def _answered(column: Column) -> Any:
    """A public value's type: constraints belong to input, what is stored is shown."""
    base = column.base
    if isinstance(column.column.type, sa.JSON) or base in (Instant, CalendarDate, WallTime, Duration):
        base = typing.get_args(base)[0] if base is not Instant else datetime
    return Union[base, None] if column.nullable else base  # noqa: UP007  base is a runtime value


def _described(column: Column, default: Any) -> Any:
    info = column.info
    return Field(default, title=info.title, description=info.description, examples=info.examples)


def _create_field(column: Column) -> Any:
    info = column.info
    if info.default_factory is not None:
        factory: Any = info.default_factory
        return Field(default_factory=factory, title=info.title, description=info.description, examples=info.examples)
    return _described(column, ... if info.is_required() else info.default)


def _validators(model: type[SQLModel], columns: list[Column]) -> dict[str, Any]:
    """The class's own field validators, bound to the members that the schema has."""
    present = {column.name for column in columns}
    found: dict[str, Any] = {}
    for name, decorator in model.__pydantic_decorators__.field_validators.items():
        fields = [f for f in decorator.info.fields if f in present or f == "*"]
        if fields:
            found[name] = field_validator(*fields, mode=decorator.info.mode)(_unbound(decorator.func))
    return found


def _unbound(function: Any) -> Any:
    return classmethod(function.__func__) if inspect.ismethod(function) else function


def _complete(model: type[SQLModel], columns: dict[str, Column]) -> type[BaseModel] | None:
    """A model of the whole row that runs the class's model validators; None where there are none."""
    decorators = model.__pydantic_decorators__.model_validators
    if not decorators:
        return None
    members = {c.name: (c.info.annotation, None) for c in columns.values()}
    bodies = {name: _model_validator(decorator) for name, decorator in decorators.items()}
    return build_model(f"{model.__name__}Complete", members, __validators__=bodies)


def _model_validator(decorator: Any) -> Any:
    decorate: Any = model_validator(mode=decorator.info.mode)
    return decorate(_unbound(decorator.func))


def _refuse_exposed_secrets(model: type[SQLModel], columns: dict[str, Column]) -> None:
    for column in columns.values():
        if SECRET_NAME.search(column.name) and not column.marks:
            raise RegistrationError(
                f"{model.__name__}.{column.name} looks like a secret and would be in every answer: declare it "
                f"Annotated[..., SECRET], or Annotated[..., READ_ONLY] / CREATE_ONLY if it is none"
            )
