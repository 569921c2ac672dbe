"""Parts of pydantic that are not documented: the decorators of a class. No other module uses such parts of pydantic.

`tests/crud/test_pydantic_internals.py` fails first when an upgrade changes one.
"""

import inspect
from collections.abc import Collection
from typing import Any

from pydantic import MISSING, BaseModel, field_validator, model_validator
from pydantic._internal._decorators import DecoratorInfos, inspect_validator
from pydantic_core import CoreSchema


def core_schema_of(model: type[BaseModel]) -> CoreSchema:
    """Return the core schema of a model, which a model with `defer_build` makes at its first use."""
    model.model_rebuild()
    return model.__pydantic_core_schema__


def decorators_of(model: type[BaseModel]) -> DecoratorInfos:
    """Return the validators, serializers and computed fields of a class, by pydantic's names of their kinds."""
    return model.__pydantic_decorators__


def field_validators(model: type[BaseModel], names: Collection[str]) -> dict[str, Any]:
    """Return the field validators of a class for `create_model(__validators__=…)`, limited to the fields `names`.

    Those of `comparing_validators` are not among them. The others that take `info` see no member that is left out.
    """
    return _field_validators(model, names, comparing=False)


def comparing_validators(model: type[BaseModel], names: Collection[str]) -> dict[str, Any]:
    """Return the field validators that may compare a member with others, in the same form.

    They run after the type is validated, and take `info`, whose `data` has the other members. They need a whole row.
    """
    return _field_validators(model, names, comparing=True)


def _field_validators(model: type[BaseModel], names: Collection[str], *, comparing: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, decorator in decorators_of(model).field_validators.items():
        mode = decorator.info.mode
        fields = [field for field in decorator.info.fields if field in names or field == "*"]
        takes_info = inspect_validator(decorator.func, mode=mode, type="field")
        if fields and (takes_info and mode == "after") is comparing:
            function = _unbound(decorator.func)
            found[name] = field_validator(*fields, mode=mode)(
                _without_missing(decorator.func) if takes_info and not comparing else function
            )
    return found


def _without_missing(function: Any) -> Any:
    """Return the validator, with an `info` whose data lacks the members that the client left out."""

    def validate(value: Any, *rest: Any) -> Any:
        *handler, info = rest
        data = {name: given for name, given in info.data.items() if given is not MISSING}
        return function(value, *handler, _Info(info, data))

    def validate_wrapped(value: Any, handler: Any, info: Any) -> Any:
        return validate(value, handler, info)

    def validate_value(value: Any, info: Any) -> Any:
        return validate(value, info)

    return validate_wrapped if len(inspect.signature(function).parameters) == 3 else validate_value  # noqa: PLR2004  as pydantic counts


class _Info:
    """pydantic's `ValidationInfo` with other data."""

    def __init__(self, info: Any, data: dict[str, Any]) -> None:
        self._info, self.data = info, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._info, name)


def model_validators(model: type[BaseModel]) -> dict[str, Any]:
    """Return the model validators of a class for `create_model(__validators__=…)`."""
    found: dict[str, Any] = {}
    for name, decorator in decorators_of(model).model_validators.items():
        decorate: Any = model_validator(mode=decorator.info.mode)
        found[name] = decorate(_unbound(decorator.func))
    return found


def computed_properties(model: type[BaseModel]) -> dict[str, tuple[Any, Any]]:
    """Return pydantic's description of each `@computed_field` of a class, and the function of its property."""
    found = {}
    for name, decorator in model.__pydantic_decorators__.computed_fields.items():
        wrapped: Any = decorator.info.wrapped_property
        found[name] = decorator.info, getattr(wrapped, "fget", None) or wrapped.func
    return found


def _unbound(function: Any) -> Any:
    return classmethod(function.__func__) if inspect.ismethod(function) else function
