"""Hand-written routes on the one-hop door.

`Router` is FastAPI's APIRouter in use: write a plain `def` with typed parameters and `SessionDep`; its dependencies, its body,
its answer's JSON and its commit then happen in one worker thread on one connection.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi._compat import field_annotation_is_sequence
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import _get_flat_fields_from_params as flat_fields
from fastapi.routing import APIRoute, APIRouter, request_response
from pydantic import TypeAdapter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from backend.core.answers import NO_CREDENTIALS, general_problems, needs_caller
from backend.core.db import UnitOfWork
from backend.core.door import Door, Lane
from backend.core.errors import InvalidInputError
from backend.core.idempotency import IDEMPOTENCY_KEY, REPLAYED, Sent, once
from backend.core.judging import judge_bodies
from backend.core.security import bearer_token

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Begins the names of what FastAPI collects for the route and the endpoint did not ask for.
HIDDEN = "_rowhouse_"
NO_PLAIN_FUNCTIONS = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
CREATED = 201
Endpoint = Callable[..., Any]


def on_lane(lane: Lane) -> Callable[[Endpoint], Endpoint]:
    """Decorator: do this endpoint's work on the threads of `lane`."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.lane = lane  # type: ignore[attr-defined]  # a mark on the function, read by OneHopRoute
        return endpoint

    return mark


def before_transaction(call: Endpoint) -> Endpoint:
    """Decorator: call this dependency first of all, for what takes long and must hold no lock meanwhile, such as a hash.

    It asks for the body or the settings, never for a session. Without it, a request with an `Idempotency-Key` is in its transaction
    before anything of the route is called.
    """
    call.is_first = True  # type: ignore[attr-defined]  # a mark on the function, read by OneHopRoute
    return call


class Deferred:
    """A plain `def` dependency whose call waits for the worker thread."""

    __slots__ = ("arguments", "call")

    def __init__(self, call: Endpoint, arguments: dict[str, Any]) -> None:
        self.call = call
        self.arguments = arguments


def _resolve(value: Any, done: dict[int, Any]) -> Any:
    """The value that a deferred dependency stands for; each is called once a request."""
    if not isinstance(value, Deferred):
        return value
    key = id(value)
    if key not in done:
        done[key] = value.call(**{name: _resolve(v, done) for name, v in value.arguments.items()})
    return done[key]


def _defer(dependant: Dependant, wrappers: dict[Any, Endpoint]) -> None:
    """Have FastAPI collect the arguments of every plain `def` dependency now and call it later."""
    for dependency in dependant.dependencies:
        _defer(dependency, wrappers)
        call = dependency.call
        if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
            raise TypeError(
                f"{call.__qualname__} is a `yield` dependency: it would hold its resource across thread hops. "
                "Use SessionDep, or open and close the resource inside the endpoint."
            )
        if call is not None and not inspect.iscoroutinefunction(call) and not _is_async_object(call):
            dependency.call = wrappers.setdefault(call, _deferring(call))


def _query_parameters(dependant: Dependant) -> dict[str, bool]:
    """The query parameters of a route and its dependencies by their names on the wire, and whether each is a list."""
    fields = flat_fields(dependant.query_params)
    found = {field.alias: field_annotation_is_sequence(field.field_info.annotation) for field in fields}
    for dependency in dependant.dependencies:
        found |= _query_parameters(dependency)
    return found


def _is_async_object(call: Any) -> bool:
    return not inspect.isfunction(call) and inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004  the method itself is looked at, not whether there is one


def _deferring(call: Endpoint) -> Endpoint:
    async def collect(**arguments: Any) -> Deferred:
        return Deferred(call, arguments)

    return collect


class OneHopRoute(APIRoute):
    """A hand-written route: FastAPI parses the input, one worker thread does the rest."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        self._creates = options.get("status_code") == CREATED and "POST" in (options.get("methods") or ())
        if self._creates:
            extra = options.get("openapi_extra") or {}
            options["openapi_extra"] = {**extra, "parameters": [*extra.get("parameters", ()), IDEMPOTENCY_KEY]}
        options["summary"] = options.get("summary") or endpoint.__name__.replace("_", " ").capitalize()
        super().__init__(path, endpoint, **options)
        self._describe()
        if any(kind(endpoint) for kind in NO_PLAIN_FUNCTIONS):
            raise TypeError(
                f"{endpoint.__qualname__} must be a plain `def`: it runs in a worker thread with its session"
            )
        if self.response_model is None and inspect.signature(endpoint).return_annotation is inspect.Signature.empty:
            raise TypeError(f"{endpoint.__qualname__} does not say what it returns: annotate it, `-> None` for nothing")
        _defer(self.dependant, {})
        judge_bodies(self.dependant)
        for position, guard in enumerate(self.dependant.dependencies):
            # FastAPI drops the value of a dependency that no parameter takes; a deferred one would never be called.
            guard.name = guard.name or f"{HIDDEN}guard_{position}"
        self._query = _query_parameters(self.dependant)
        self._endpoint = endpoint
        self._lane: Lane = getattr(endpoint, "lane", Lane.DEFAULT)
        self._adapter = TypeAdapter(self.response_model) if self.response_model else None
        self._request_name = self.dependant.request_param_name or f"{HIDDEN}request"
        self._response_name = self.dependant.response_param_name or f"{HIDDEN}response"
        self.dependant.request_param_name, self.dependant.response_param_name = self._request_name, self._response_name
        self.dependant.call = self._hop
        self.app = request_response(self.get_route_handler())

    def _describe(self) -> None:
        """Tell OpenAPI what follows from the kind of the route; what it says of itself goes first."""
        self.responses = {**general_problems(self, may_sign_in=self._creates), **self.responses}
        if self._creates:
            created = self.responses.get(CREATED, {})
            self.responses[CREATED] = {**created, "headers": {**created.get("headers", {}), **REPLAYED}}
        elif not needs_caller(self.dependant):
            self.openapi_extra = {**(self.openapi_extra or {}), **NO_CREDENTIALS}

    async def _hop(self, **values: Any) -> Response:
        request: Request = values[self._request_name]
        key = request.headers.get("idempotency-key") if self._creates else None
        sent = Sent(key, request.url.path, await request.body()) if key is not None else None
        self._check_query(request.query_params)
        door: Door = request.app.state.door
        write = request.method not in READING_METHODS
        return await door.run(partial(self._perform, values, sent), write=write, lane=self._lane)

    def _perform(self, values: dict[str, Any], sent: Sent | None, unit: UnitOfWork) -> Response:
        done: dict[int, Any] = {}
        authorization = values[self._request_name].headers.get("authorization")
        if sent is not None and authorization is not None:
            unit.authenticate(bearer_token(authorization))
        for value in values.values():
            if isinstance(value, Deferred) and getattr(value.call, "is_first", False):
                _resolve(value, done)
        if sent is None:
            return self._answer(values, done)
        return once(unit, sent, lambda: self._answer(values, done))

    def _answer(self, values: dict[str, Any], done: dict[int, Any]) -> Response:
        resolved = {name: _resolve(value, done) for name, value in values.items()}
        result = self._endpoint(**{name: value for name, value in resolved.items() if not name.startswith(HIDDEN)})
        response = result if isinstance(result, Response) else self._render(result)
        injected: Response = values[self._response_name]
        response.headers.raw.extend(injected.headers.raw)
        response.status_code = injected.status_code or response.status_code
        return response

    def _check_query(self, query: QueryParams) -> None:
        """Refuse an unknown parameter, and one given twice that is no list."""
        for name in query:
            if name not in self._query:
                message = "this operation has no such parameter"
                raise InvalidInputError.at("query", name, message=message, kind="extra_forbidden")
            if len(query.getlist(name)) > 1 and not self._query[name]:
                raise InvalidInputError.at("query", name, message="give this parameter once", kind="repeated")

    def _render(self, result: Any) -> Response:
        status = self.status_code or 200
        if self._adapter is None:
            if result is not None:
                raise TypeError(f"{self._endpoint.__qualname__} returned a value: give its route a response_model")
            return Response(status_code=status)
        checked = self._adapter.validate_python(result, from_attributes=True)
        body = self._adapter.dump_json(
            checked,
            include=self.response_model_include,
            exclude=self.response_model_exclude,
            by_alias=self.response_model_by_alias,
            exclude_unset=self.response_model_exclude_unset,
            exclude_defaults=self.response_model_exclude_defaults,
            exclude_none=self.response_model_exclude_none,
        )
        return Response(body, status, media_type="application/json")


class Router(APIRouter):
    """FastAPI's APIRouter whose plain `def` endpoints get one thread, one connection and one commit.

    The function's name is the operation id, as `create_user`; FastAPI would write `create_user_users_post`. `description` is
    what OpenAPI says of the router's tags.
    """

    def __init__(self, *, description: str = "", **options: Any) -> None:
        self.description = description
        super().__init__(route_class=OneHopRoute, generate_unique_id_function=_name_of, **options)


def _name_of(route: APIRoute) -> str:
    return route.name
