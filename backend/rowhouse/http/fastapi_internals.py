"""Private and undocumented parts of FastAPI and Starlette. No other module of the engine imports one.

`tests/core/test_fastapi_internals.py` fails first when an upgrade changes one. A route's tree of dependencies
(`Dependant`) is read and copied here, never changed in place, because two applications may share one route.
"""

from collections.abc import Callable, Iterator, MutableMapping
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi._compat import ModelField, field_annotation_is_sequence
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant, get_flat_params
from fastapi.routing import APIRoute, iter_route_contexts, request_response
from fastapi.telemetry._api import _route_selected, _unconfigured
from opentelemetry import trace
from opentelemetry.trace import Span, TracerProvider
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from starlette.types import Scope

from rowhouse.core.errors import InvalidInputError

__all__ = [
    "EXIT_STACK",
    "HANDLERS",
    "TELEMETRY",
    "Dependant",
    "ModelField",
    "body_of",
    "get_dependant",
    "given",
    "is_observed",
    "iter_route_contexts",
    "limit_body_errors",
    "query_parameters",
    "record_route",
    "request_response",
    "span_of",
    "tracer_provider_of",
    "tree_of",
    "use_exporters",
    "use_tree",
]

T = TypeVar("T")
# Keys of the scope: FastAPI's telemetry of a request, the stack that closes its files, and Starlette's exception
# handlers.
TELEMETRY = "fastapi.telemetry"
EXIT_STACK = "fastapi_middleware_astack"
HANDLERS = "starlette.exception_handlers"
# The attribute of a span with the operation id, as the metrics name it.
OPERATION = "rowhouse.operation"


def tree_of(route: APIRoute) -> Dependant:
    """Return the tree of dependencies of a route, with the route's own parameters at its top."""
    return route.dependant


def use_tree(route: APIRoute, tree: Dependant) -> None:
    """Let a route take its arguments from this tree. Call `route.get_route_handler()` afterwards."""
    route.dependant = tree


def body_of(route: APIRoute) -> FieldInfo | None:
    """Return how a route declares its body, such as `Body(...)` or `Form(...)`. None where it reads no body."""
    return route.body_field.field_info if route.body_field else None


def query_parameters(tree: Dependant) -> dict[str, bool]:
    """Return the names of all query parameters of a tree as clients send them, and whether each is a list."""
    fields = get_flat_params(_only_query(tree))
    return {field.alias: field_annotation_is_sequence(field.field_info.annotation) for field in fields}


def _only_query(tree: Dependant) -> Dependant:
    below = [_only_query(dependency) for dependency in tree.dependencies]
    return replace(tree, path_params=[], header_params=[], cookie_params=[], dependencies=below)


def given(value: T | DefaultPlaceholder) -> T | None:
    """Return the value of an option, or None if it is FastAPI's placeholder for an option that was not given."""
    return None if isinstance(value, DefaultPlaceholder) else value


def is_observed(app: FastAPI) -> bool:
    """Return True if FastAPI's own telemetry has somewhere to send traces or metrics.

    It reads the environment, which is slow.
    """
    return app._native_telemetry.enabled()  # noqa: SLF001  there is no public way


def tracer_provider_of(app: FastAPI) -> TracerProvider | None:
    """Return the provider that records the application's traces: its own, or that of the process. None without one."""
    given = app._telemetry.get("tracer_provider")  # noqa: SLF001  as above
    found = given or trace.get_tracer_provider()
    return None if given is None and _unconfigured(found) else found


def use_exporters(app: FastAPI) -> None:
    """Let FastAPI configure the exporters that `OTEL_*` variables name when the application starts.

    Not if the project has configured a provider: it has chosen its exporters, perhaps by the same variables.
    """
    if not is_observed(app):
        app._telemetry["auto_configure"] = True  # noqa: SLF001  as above


def span_of(scope: Scope) -> Span | None:
    """Return the span of FastAPI's telemetry for a request. None if the request is not traced."""
    span: Span | None = getattr(scope.get(TELEMETRY), "span", None)
    return span if span is not None and span.get_span_context().is_valid else None


def record_route(scope: Scope, route: APIRoute) -> None:
    """Name the request's span by its route, and add the operation id."""
    _route_selected(scope=scope, path=route.path_format)
    if (span := span_of(scope)) is not None:
        span.set_attribute(OPERATION, route.unique_id)


def validated_by(field: ModelField, validate: Callable[..., tuple[Any, list[Any]]]) -> ModelField:
    """Return a copy of a parameter that FastAPI validates with `validate`, which returns a value and errors."""
    made = copy(field)
    made.validate = validate  # type: ignore[method-assign]  # FastAPI has no hook for it
    return made


def limit_body_errors(tree: Dependant) -> None:
    """Return one error for a body with thousands of errors, in a route and its dependencies.

    FastAPI writes one entry for each error, with the whole input in it. A megabyte of misspelt members would block the
    event loop for seconds and be answered with five megabytes.
    """
    for field in _body_fields(tree):
        field.validate = partial(_validate, field)  # type: ignore[method-assign]  # as above


def _body_fields(tree: Dependant) -> Iterator[ModelField]:
    yield from tree.body_params
    for dependency in tree.dependencies:
        yield from _body_fields(dependency)


def _validate(
    field: ModelField, value: Any, _values: MutableMapping[str, Any], *, loc: tuple[str | int, ...]
) -> tuple[Any, list[Any]]:
    """Return the valid value, or FastAPI's list of errors."""
    validate: Callable[..., Any] = field._type_adapter.validate_python  # noqa: SLF001  as ModelField.validate does
    try:
        return validate(value, from_attributes=True), []
    except ValidationError as error:
        return None, InvalidInputError.from_pydantic(error, *loc).errors
