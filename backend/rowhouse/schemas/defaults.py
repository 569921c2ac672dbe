"""Finds the value of a column that a new row leaves out: SQLAlchemy's `default=`, `server_default=` and `Computed`.

`Field(default=…)` and `Field(default_factory=…)` are pydantic's options and come before these.
"""

import inspect
from typing import Any

import sqlalchemy as sa
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def is_filled(column: sa.Column[Any], info: FieldInfo) -> bool:
    """Return whether the statement or the database fills the column of a row that leaves it out."""
    stated = info.default_factory is not None or info.default not in (None, PydanticUndefined)
    return not stated and (column.default is not None or column.server_default is not None)


def is_generated(column: sa.Column[Any]) -> bool:
    """Return whether only the database sets the column: `Computed`, or `Identity(always=True)`."""
    return column.computed is not None or (column.identity is not None and bool(column.identity.always))


def is_python(default: Any) -> bool:
    """Return whether a default is a value or a function of Python. SQLAlchemy writes defaults that are SQL."""
    return default is not None and (default.is_scalar or default.is_callable)


def value_of(default: Any) -> Any:
    """Return the value of a default that `is_python`."""
    return default.arg(None) if default.is_callable else default.arg


def takes_context(default: Any) -> bool:
    """Return whether the function of a default takes SQLAlchemy's context, which statements of the engine lack.

    SQLAlchemy wraps a function without a parameter.
    """
    return default is not None and default.is_callable and inspect.unwrap(default.arg) is default.arg
