"""The columns of a table class: their types on the wire, their limits and who may set them."""

import types
import typing
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union

import sqlalchemy as sa
from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from sqlmodel import SQLModel
from sqlmodel.main import FieldInfoMetadata

from rowhouse.entities.model import EnumText, Mark
from rowhouse.schemas.field_types import FIELD_TYPES, MAX_EXACT_DIGITS, NO_NUL, check_json, member_of, refuse_nul

TIMESTAMPS = ("created_at", "updated_at")
MAX_INDEXED_TEXT = 600
INTEGER_BITS = ((sa.SmallInteger, 15), (sa.BigInteger, 63), (sa.Integer, 31))
DECIMAL_WORDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


class RegistrationError(TypeError):
    """A registration cannot do what it says. Stops the start; the message says how to fix it.

    Example:
        Registry().register(Book, write=ADMIN, search=("titel",))
        # RegistrationError: Book: search names 'titel', which is no text column; those are: title, author
    """


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an entity: what the class says of it, and what the database makes of it."""

    name: str
    info: FieldInfo
    column: sa.Column[Any]
    marks: frozenset[Mark]
    base: Any
    constraints: tuple[Any, ...]
    # What is shown, filtered and sorted in the place of the column, such as a state that time alone has changed.
    shown: sa.ColumnElement[Any] | None = None

    @property
    def expression(self) -> sa.ColumnElement[Any]:
        """What stands for the column wherever it is read."""
        return self.column if self.shown is None else self.shown

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
    def nullable_annotation(self) -> Any:
        """The annotation with null where the column takes it."""
        return Union[self.wire, None] if self.nullable else self.wire  # noqa: UP007  self.wire is a runtime value


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
        return Annotated[inner, AfterValidator(check_json)]
    if isinstance(column.type, sa.Enum | EnumText):
        return _enumerated(model, name, inner, column.type)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return inner
    if inner in FIELD_TYPES:
        return FIELD_TYPES[inner]
    raise RegistrationError(
        f"{model.__name__}.{name}: {inner!r} has no form on the wire; mark it SECRET, or use one of "
        f"{', '.join(sorted(t.__name__ for t in FIELD_TYPES if isinstance(t, type)))}, an Enum, or a JSON column"
    )


def _enumerated(model: type[SQLModel], name: str, inner: Any, kind: sa.Enum | EnumText) -> Any:
    """The members of an enum, or the words of a column that has no class for them."""
    if isinstance(kind, EnumText) and inner is kind.enum_class:
        return inner
    if isinstance(kind, sa.Enum) and (inner is str or (isinstance(inner, type) and issubclass(inner, str))):
        return Literal.__getitem__(tuple(kind.enums)) if inner is str else inner
    stored = kind.enum_class.__name__ if isinstance(kind, EnumText) else "texts"
    raise RegistrationError(
        f"{model.__name__}.{name}: the column holds {stored}, and the annotation is {inner!r}; make them one"
    )


def _bounds(model: type[SQLModel], name: str, inner: Any, column: sa.Column[Any], given: list[Any]) -> list[Any]:
    """The limits that the column has and the class does not state."""
    if inner is int:
        return _integer_bounds(column, given)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return [] if issubclass(inner, str) else [BeforeValidator(member_of(inner))]
    if isinstance(column.type, sa.Enum):
        return []
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
        bounds.append(AfterValidator(refuse_nul))
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
