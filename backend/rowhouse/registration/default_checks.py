"""Checks of constant defaults at registration.

Neither pydantic nor SQLAlchemy validates a default, and a new row gets it as it is. So a default of another type would
be stored by one database and refused by the other.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, get_origin

import sqlalchemy as sa
from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined
from sqlmodel import SQLModel

from rowhouse.schemas.columns import Column, RegistrationError, bare_annotation
from rowhouse.schemas.json_types import ExactDecimal


def check_defaults(model: type[SQLModel], columns: Mapping[str, Column]) -> None:
    """Require that each constant default is a value that its column holds.

    Raises:
        RegistrationError: with the class, the column, the default and the fix.
    """
    for column in columns.values():
        for word, stated in _constants(column):
            problem = _problem(column, stated)
            if problem is not None:
                raise RegistrationError(f"{model.__name__}.{column.name}: {word}{stated!r} {problem}")


def _constants(column: Column) -> Iterator[tuple[str, Any]]:
    """Yield the constant values that the server stores by itself, each with its word in the class."""
    if column.info.default not in (None, PydanticUndefined):
        yield "default=", column.info.default
    made: dict[str, Any] = {"Column(default=)": column.column.default, "onupdate=": column.column.onupdate}
    for word, given in made.items():
        if given is not None and given.is_scalar:
            yield f"{word} ", given.arg


def _problem(column: Column, stated: Any) -> str | None:
    """Return why the column does not hold a default, and the fix."""
    try:
        value = TypeAdapter(_annotation(column)).validate_python(stated)
    except PydanticSchemaGenerationError:
        return None  # a type that only this project knows, behind SECRET
    except ValidationError as error:
        return f"does not fit the column: {error.errors()[0]['msg']}"
    if isinstance(column.column.type, sa.JSON) or _is_stored_alike(stated, value):
        return None
    return f"is not validated, so its type must be right: write {value!r}"


def _annotation(column: Column) -> Any:
    """Return the annotation of a stored value, with the limits of the database column."""
    inner, _ = bare_annotation(column.info.annotation)
    if column.base is ExactDecimal:
        inner = Decimal
    if get_origin(column.base) is Literal:
        inner = column.base
    if isinstance(inner, type) and issubclass(inner, Enum):
        return inner
    limits = column.type.limits(column.column, ())
    return Annotated[(inner, *limits)] if limits else inner


def _is_stored_alike(stated: Any, value: Any) -> bool:
    """Return whether both databases store a default as the value that it stands for.

    They do with numbers and texts in another notation, and with the value of an enum's member.
    """
    if isinstance(value, Enum) and value.value == stated:
        return True
    is_plain = isinstance(value, int | float | Decimal | str) and not isinstance(value, bool | Enum)
    return bool(is_plain or stated == value)
