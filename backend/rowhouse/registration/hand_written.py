"""Prepares hand-written routes at start-up: their policies, and parameters as strict as those of generated routes.

A route reaches an entity by `crud_of`, or by a session or a unit if its path begins with that of the entity. The
policies of these entities apply to the route, unless it has `policy=`. Except for the readers of parameters, nothing
here runs during a request.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain, pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from fastapi.params import Path
from fastapi.routing import APIRoute
from pydantic import AliasChoices, AwareDatetime, BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from sqlmodel import SQLModel

from rowhouse.core.errors import InvalidInputError
from rowhouse.core.policy import SIGNED_IN, Policy
from rowhouse.entities.model import Mark
from rowhouse.http.authorization import UNRESTRICTED, RouteAuthorization
from rowhouse.http.dependencies import get_caller, get_session, get_unit
from rowhouse.http.dependency_tree import calls_of
from rowhouse.http.fastapi_internals import ModelField, tree_of, validated_by
from rowhouse.http.routing import OneHopRoute
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import RegistrationError
from rowhouse.schemas.json_types import (
    INTEGER_TEXT,
    NUMBER_TEXT,
    CalendarDate,
    Duration,
    Instant,
    WallTime,
    require_format,
)

LISTS = (list, set, frozenset, tuple, Sequence)
UNITS = frozenset({get_session, get_unit})
BOUNDS = (Ge(-(2**63)), Le(2**63 - 1))
# Readers of text in paths and queries, for types of which pydantic accepts more forms. The route validates the result.
READERS: Mapping[Any, TypeAdapter[Any]] = {
    int: TypeAdapter(Annotated[(int, *BOUNDS, require_format(INTEGER_TEXT, "a whole number"))]),
    float: TypeAdapter(Annotated[float, require_format(NUMBER_TEXT, "a number")]),
    Decimal: TypeAdapter(Annotated[Decimal, require_format(NUMBER_TEXT, "a number")]),
    datetime: TypeAdapter(Instant),
    AwareDatetime: TypeAdapter(Instant),
    date: TypeAdapter(CalendarDate),
    time: TypeAdapter(WallTime),
    timedelta: TypeAdapter(Duration),
}


def model_of(call: Any) -> type[SQLModel] | None:
    """Return the table class of a `crud_of` dependency. None for any other dependency."""
    found: type[SQLModel] | None = getattr(call, "entity", None)
    return found


def bind(route: APIRoute, resources: Mapping[str, Resource]) -> APIRoute:
    """Return a copy of a hand-written route for an application with these resources, given by their paths.

    Raises:
        RegistrationError: at start-up, for a route whose policies are unknown or would not apply.
    """
    _reject_secrets(route)
    if not isinstance(route, OneHopRoute):
        _require_no_unit(route)
        return route
    return route.for_application(_authorization(route, resources), partial(_strict, keys=_keys(route, resources)))


def _reject_secrets(route: APIRoute) -> None:
    """Reject a response model with secret columns: a table class would show all of its columns."""
    for model in _models_in(route.response_model, set()):
        hidden = [name for name, info in model.model_fields.items() if _is_secret(info)]
        if hidden:
            raise RegistrationError(
                f"{getattr(route.endpoint, '__qualname__', route.name)} answers with {model.__name__}, "
                f"whose {', '.join(hidden)} is SECRET: answer with public_schema({model.__name__})"
            )


def _models_in(annotation: Any, seen: set[Any]) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation contains, each once."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for info in annotation.model_fields.values():
            yield from _models_in(info.annotation, seen)
    for argument in get_args(annotation):
        yield from _models_in(argument, seen)


def _is_secret(info: FieldInfo) -> bool:
    return Mark.SECRET in info.metadata or Mark.SECRET in get_args(info.annotation)


def one_method_each(route: APIRoute) -> Iterator[APIRoute]:
    """Yield a route for each method of a route, because an operation id names one operation.

    HEAD is not documented if there is GET.
    """
    methods = route.methods or set()
    documented = methods - {"HEAD"} if "GET" in methods else methods
    if not (len(methods) > 1 and route.include_in_schema):
        yield route
        return
    for method in sorted(methods):
        made = copy(route)
        made.methods, made.include_in_schema = {method}, method in documented
        if len(documented) > 1:
            made.operation_id = made.unique_id = f"{route.unique_id}_{method.lower()}"
        yield made


def _require_no_unit(route: APIRoute) -> None:
    """Reject FastAPI's own routes that need a unit of work or a policy, because these have neither."""
    for call in calls_of(tree_of(route)):
        if call in UNITS or call is get_caller or model_of(call) is not None:
            name = getattr(route.endpoint, "__qualname__", route.name)
            raise RegistrationError(
                f"{name} takes a session, a unit, a caller or crud_of: declare it on rowhouse.http.routing.Router"
            )


def _authorization(route: OneHopRoute, resources: Mapping[str, Resource]) -> RouteAuthorization:
    signed_in = (SIGNED_IN,) if get_caller in route.calls else ()
    if route.policy is not None:
        if route.policy.anyone and signed_in:
            raise RegistrationError(
                f"{route.endpoint.__qualname__}: policy=ANYONE beside CallerDep, "
                "which asks for an account; leave one of them out"
            )
        said = (route.policy,)
        return UNRESTRICTED if route.policy.anyone else RouteAuthorization(read=said, write=said)
    entities = list(_entities(route, resources))
    if entities:
        return RouteAuthorization(
            read=_each(*(entity.read for entity in entities), *signed_in),
            write=_each(*(entity.write for entity in entities), *signed_in),
        )
    if signed_in or UNITS.intersection(route.calls):
        return RouteAuthorization(read=(SIGNED_IN,), write=(SIGNED_IN,))
    return UNRESTRICTED


def _each(*policies: Policy) -> tuple[Policy, ...]:
    return tuple(dict.fromkeys(policies))


def _entities(route: OneHopRoute, resources: Mapping[str, Resource]) -> Iterator[Resource]:
    """Yield the entities that a route reaches."""
    registered = {resource.model: resource for resource in resources.values()}
    for call in route.calls:
        model = model_of(call)
        if model is not None:
            if model not in registered:
                raise RegistrationError(
                    f"{route.endpoint.__qualname__}: crud_of({model.__name__}), "
                    "which is not registered; register it first"
                )
            yield registered[model]
    first = route.path.strip("/").partition("/")[0]
    if first in resources and UNITS.intersection(route.calls):
        yield resources[first]


def _keys(route: APIRoute, resources: Mapping[str, Resource]) -> dict[str, Resource]:
    """Return the path parameters that are the key of an entity. Each follows the path of its entity."""
    segments = route.path.strip("/").split("/")
    return {
        name.strip("{}"): resources[before]
        for before, name in pairwise(segments)
        if name[:1] == "{" and before in resources
    }


def _strict(field: ModelField, *, keys: Mapping[str, Resource]) -> ModelField:
    """Return the parameter with a reader as strict as in a generated route. A type without a reader stays as it is."""
    kind, is_list = _scalar(field.field_info.annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _strict_model(field, kind)
    resource = keys.get(field.alias) if isinstance(field.field_info, Path) else None
    reader, bounds = READERS.get(kind), BOUNDS
    if resource is not None and not resource.key.is_composite and resource.key.columns[0].base is kind:
        reader, bounds = TypeAdapter(resource.key.annotation), resource.key.columns[0].constraints
    if reader is None:
        return field
    bounded = _bounded(field, bounds) if kind is int and not is_list else field
    return validated_by(bounded, partial(_read, bounded.validate, reader))


def _scalar(annotation: Any) -> tuple[Any, bool]:
    """Return the type of a parameter apart from None, and whether it takes a list. None if there are several types."""
    is_list = False
    while get_origin(annotation) in (Annotated, Union, UnionType, *LISTS):
        arms = [arm for arm in get_args(annotation) if arm not in (NoneType, ...)]
        if get_origin(annotation) is Annotated:
            arms = arms[:1]
        if len(arms) != 1:
            return None, is_list
        is_list = is_list or get_origin(annotation) in LISTS
        annotation = arms[0]
    return annotation, is_list


def _strict_model(field: ModelField, model: type[BaseModel]) -> ModelField:
    """Return the model of parameters, with each member read like a parameter of its own."""
    readers: dict[str, TypeAdapter[Any]] = {}
    for name, info in model.model_fields.items():
        reader = READERS.get(_scalar(info.annotation)[0])
        if reader is not None:
            alias = info.validation_alias
            names = (name, *(alias.choices if isinstance(alias, AliasChoices) else (alias,)))
            readers |= {one: reader for one in names if isinstance(one, str)}
    return validated_by(field, partial(_read_members, field.validate, readers))


def _bounded(field: ModelField, bounds: Sequence[Any]) -> ModelField:
    """Return the parameter with the bounds that it does not state itself, for OpenAPI."""
    info, given = copy(field.field_info), field.field_info.metadata
    sides = [side for side in ((Ge, Gt), (Le, Lt)) if not any(isinstance(one, side) for one in given)]
    info.metadata = [*(bound for bound in bounds if isinstance(bound, tuple(chain(*sides)))), *given]
    return ModelField(field_info=info, name=field.name, mode=field.mode, config=field.config)


def _read(
    validate: Callable[..., tuple[Any, list[Any]]],
    reader: TypeAdapter[Any],
    value: Any,
    values: dict[str, Any],
    *,
    loc: tuple[str | int, ...],
) -> tuple[Any, list[Any]]:
    """Return the valid value of a parameter, or FastAPI's list of errors."""
    parsed, errors = _parse(reader, value, loc)
    return (None, errors) if errors else validate(parsed, values, loc=loc)


def _read_members(
    validate: Callable[..., tuple[Any, list[Any]]],
    readers: Mapping[Any, TypeAdapter[Any]],
    value: Any,
    values: dict[str, Any],
    *,
    loc: tuple[str | int, ...],
) -> tuple[Any, list[Any]]:
    """Return the valid model of parameters, or FastAPI's list of errors."""
    given = {name: _parse(readers[name], value[name], (*loc, name)) for name in value if name in readers}
    errors = [error for _, found in given.values() for error in found]
    if errors:
        return None, errors
    return validate({**value, **{name: parsed for name, (parsed, _) in given.items()}}, values, loc=loc)


def _parse(reader: TypeAdapter[Any], value: Any, loc: tuple[str | int, ...]) -> tuple[Any, list[Any]]:
    """Return the value that a reader makes of a text or of each text in a list, or the list of errors."""
    if isinstance(value, list):
        parts = [_parse(reader, part, (*loc, position)) for position, part in enumerate(value)]
        return [part for part, _ in parts], [error for _, found in parts for error in found]
    try:
        return reader.validate_python(value), []
    except ValidationError as error:
        return None, InvalidInputError.from_pydantic(error, *loc).errors
