"""Parts of pydantic that are not documented: the validators of a class. No other module uses such parts of pydantic.

`tests/crud/test_pydantic_internals.py` fails first when an upgrade changes one.
"""

import inspect
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, field_validator, model_validator


def field_validators(model: type[BaseModel], names: Collection[str]) -> dict[str, Any]:
    """Return the field validators of a class for `create_model(__validators__=…)`, limited to the fields `names`."""
    found: dict[str, Any] = {}
    for name, decorator in model.__pydantic_decorators__.field_validators.items():
        fields = [field for field in decorator.info.fields if field in names or field == "*"]
        if fields:
            found[name] = field_validator(*fields, mode=decorator.info.mode)(_unbound(decorator.func))
    return found


def model_validators(model: type[BaseModel]) -> dict[str, Any]:
    """Return the model validators of a class for `create_model(__validators__=…)`."""
    found: dict[str, Any] = {}
    for name, decorator in model.__pydantic_decorators__.model_validators.items():
        decorate: Any = model_validator(mode=decorator.info.mode)
        found[name] = decorate(_unbound(decorator.func))
    return found


def _unbound(function: Any) -> Any:
    return classmethod(function.__func__) if inspect.ismethod(function) else function
