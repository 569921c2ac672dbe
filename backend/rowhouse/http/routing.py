"""Hand-written routes: FastAPI's `APIRouter` for plain `def` endpoints that run in one worker thread.

Write a plain `def` with typed parameters and `SessionDep`. Its dependencies, its body, the JSON of its response and its
commit then happen in one worker thread on one connection. `policy=` says who may call a route.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from copy import copy
from functools import partial
from typing import Any, Self, TypeVar

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rowhouse.core.errors import InvalidInputError, RowhouseError
from rowhouse.core.policy import Policy
from rowhouse.core.security import bearer_token
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.authorization import (
    AUTHORIZATION_STARTED,
    UNRESTRICTED,
    RouteAuthorization,
    error_to_send,
    resolve_overriding_caller,
)
from rowhouse.http.default_responses import NO_CREDENTIALS, general_problems, needs_caller, require_account
from rowhouse.http.dependencies import get_caller
from rowhouse.http.dependency_tree import Resolver, calls_of, deferred, overridden, takes_body, with_parameters
from rowhouse.http.fastapi_internals import (
    Dependant,
    ModelField,
    body_of,
    limit_body_errors,
    query_parameters,
    request_response,
    tree_of,
    use_tree,
)
from rowhouse.http.rendering import Renderer
from rowhouse.requests.accepted_body import reject_members
from rowhouse.requests.idempotency import IDEMPOTENCY_KEY, REPLAYED, KeyedRequest, run_once
from rowhouse.requests.paths import route_path
from rowhouse.requests.request_limits import join_list_headers
from rowhouse.workers.runner import RequestRunner, WorkerGroup

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# The prefix of parameters that FastAPI collects for the route itself, not for the endpoint.
HIDDEN = "_rowhouse_"
NO_PLAIN_FUNCTIONS = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
CREATED, CLIENT_ERROR = 201, 400
Endpoint = Callable[..., Any]
Handler = Callable[[Request], Awaitable[Response]]
EndpointT = TypeVar("EndpointT", bound=Endpoint)


def in_worker_group(group: WorkerGroup) -> Callable[[Endpoint], Endpoint]:
    """Decorator: run this endpoint on the threads of `group`."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.worker_group = group  # type: ignore[attr-defined]  # a mark on the function, read by OneHopRoute
        return endpoint

    return mark


def before_transaction(call: Endpoint) -> Endpoint:
    """Decorator: call this dependency first, because it takes long and must hold no lock meanwhile, such as a hash.

    It may take the body or the settings, never a session. Without it, a request with an `Idempotency-Key` opens its
    transaction before anything of the route is called.
    """
    call.is_first = True  # type: ignore[attr-defined]  # a mark on the function, read by OneHopRoute
    return call


class OneHopRoute(APIRoute):
    """A hand-written route: FastAPI parses the input, one worker thread does the rest.

    `policy` is what the route itself declares. `authorization` is what applies; `registry.build` finds it for a copy of
    the route (`for_application`).
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        self.policy: Policy | None = None
        self.authorization = UNRESTRICTED
        self._creates = options.get("status_code") == CREATED and "POST" in (options.get("methods") or ())
        if self._creates:
            extra = options.get("openapi_extra") or {}
            options["openapi_extra"] = {**extra, "parameters": [*extra.get("parameters", ()), IDEMPOTENCY_KEY]}
        options["summary"] = options.get("summary") or endpoint.__name__.replace("_", " ").capitalize()
        super().__init__(path, endpoint, **options)
        self._check()
        self._declared_openapi: tuple[Mapping[int | str, Any], Mapping[str, Any]] = (
            self.responses,
            self.openapi_extra or {},
        )
        self._worker_group: WorkerGroup = getattr(endpoint, "worker_group", WorkerGroup.DEFAULT)
        self._renderer = Renderer(self)
        self._overridden: tuple[dict[Any, Any], Handler] | None = None
        self._declared = tree_of(self)
        self.calls = tuple(calls_of(self._declared))
        limit_body_errors(self._declared)
        self._use_tree(self._declared)
        self._describe()

    def _check(self) -> None:
        name = self.endpoint.__qualname__
        if any(kind(self.endpoint) for kind in NO_PLAIN_FUNCTIONS):
            raise TypeError(f"{name} must be a plain `def`: it runs in a worker thread with its session")
        if (
            self.response_model is None
            and inspect.signature(self.endpoint).return_annotation is inspect.Signature.empty
        ):
            raise TypeError(f"{name} has no return annotation: add one, `-> None` if it returns nothing")
        if self.max_body_size is not None:
            raise TypeError(f"{name}: max_body_size has no effect here; the setting MAX_BODY_BYTES limits every body")
        if self.strict_content_type is False:
            raise TypeError(f"{name}: strict_content_type=False has no effect here; every body needs a Content-Type")

    def _use_tree(self, declared: Dependant, *, may_yield: bool = False) -> None:
        """Use this tree of dependencies: FastAPI collects its values and passes them to `_run_in_worker`."""
        tree = deferred(declared, may_yield=may_yield)
        self._request_name = tree.request_param_name or f"{HIDDEN}request"
        self._response_name = tree.response_param_name or f"{HIDDEN}response"
        tree.request_param_name, tree.response_param_name = self._request_name, self._response_name
        tree.call = self._run_in_worker
        self._takes_body = takes_body(declared)
        self._query = query_parameters(tree)
        use_tree(self, tree)
        self._handler = self.get_route_handler()
        self.app = request_response(self._respond)

    def for_application(self, authorization: RouteAuthorization, read: Callable[[ModelField], ModelField]) -> Self:
        """Return a copy for one application, with its authorization. `read` replaces each path and query parameter."""
        made = copy(self)
        made.authorization = authorization
        made._overridden = None  # noqa: SLF001  a copy of this very class
        made._declared = with_parameters(self._declared, read)  # noqa: SLF001  a copy of this very class
        made._use_tree(made._declared)  # noqa: SLF001  a copy of this very class
        made._describe()  # noqa: SLF001  a copy of this very class
        return made

    def _describe(self) -> None:
        """Add to OpenAPI what follows from the kind of the route. What the route itself declares takes precedence."""
        responses, extra = self._declared_openapi
        tree = tree_of(self)
        closed = self.authorization.needs_account(self.methods or set()) or needs_caller(tree)
        reads_token = closed or self._creates or self.authorization.reads_credentials
        self.responses = {**general_problems(self, may_sign_in=reads_token), **responses}
        self.openapi_extra = dict(extra)
        if self._creates:
            created = self.responses.get(CREATED, {})
            self.responses[CREATED] = {**created, "headers": {**created.get("headers", {}), **REPLAYED}}
        if closed:
            self.openapi_extra |= require_account(tree)
        elif not reads_token:
            self.openapi_extra |= NO_CREDENTIALS

    async def _respond(self, request: Request) -> Response:
        """Return the response, or raise the error that takes precedence. Applies `app.dependency_overrides`."""
        join_list_headers(request.scope)
        overrides = request.app.dependency_overrides
        try:
            if self._creates and "idempotency-key" in request.headers:
                await request.body()  # keep it: reading a form consumes it, and `_run_in_worker` compares it
            if not overrides:
                return await self._handler(request)
            await resolve_overriding_caller(request.scope)
            return await self._handler_with(overrides)(request)
        except (RequestValidationError, HTTPException, RowhouseError) as error:
            raise await error_to_send(error, self, request.scope)  # noqa: B904  it is most often the error itself

    def _handler_with(self, overrides: Mapping[Any, Any]) -> Handler:
        """Return the handler for these overrides, and keep it until they change.

        `authorization` handles that of `get_caller`.
        """
        if self._overridden is None or self._overridden[0] != overrides:
            made = copy(self)
            others = {original: override for original, override in overrides.items() if original is not get_caller}
            tree = overridden(self._declared, others)
            limit_body_errors(tree)
            if takes_body(tree) and body_of(self) is None:
                raise TypeError(f"an override takes a body, and {self.endpoint.__qualname__} has none")
            made._use_tree(tree, may_yield=True)  # noqa: SLF001  a copy of this very class
            self._overridden = dict(overrides), made._handler  # noqa: SLF001  a copy of this very class
        return self._overridden[1]

    async def _run_in_worker(self, **values: Any) -> Response:
        request: Request = values[self._request_name]
        keys = request.headers.getlist("idempotency-key") if self._creates else []
        sent = KeyedRequest(", ".join(keys), route_path(request.scope), await request.body()) if keys else None
        self._check_query(request.query_params)
        if not self._takes_body and request.method not in READING_METHODS:
            reject_members(await request.body())
        runner: RequestRunner = request.app.state.runner
        write = request.method not in READING_METHODS
        request.scope[AUTHORIZATION_STARTED] = True
        return await runner.run(partial(self._perform, values, sent), write=write, group=self._worker_group)

    def _perform(self, values: dict[str, Any], sent: KeyedRequest | None, unit: UnitOfWork) -> Response:
        """Authorize the caller, call the dependencies and the endpoint, and return the response.

        In the worker thread.
        """
        scope = values[self._request_name].scope
        self.authorization.authorize(unit, scope)
        with ExitStack() as stack:
            resolver = Resolver(stack)
            if sent is not None and not self.authorization.reads_credentials:
                authorization = values[self._request_name].headers.get("authorization")
                if authorization is not None:
                    unit.authenticate(bearer_token(authorization))
            for value in values.values():
                if getattr(getattr(value, "call", None), "is_first", False):
                    resolver.value(value)
            if sent is None:
                response = self._call_endpoint(values, resolver)
            else:
                response = run_once(unit, sent, lambda: self._call_endpoint(values, resolver))
            if response.status_code >= CLIENT_ERROR:
                unit.discard_changes()
            return response
        raise TypeError(
            f"a `yield` override of {self.endpoint.__qualname__} swallowed an exception: have it raise again"
        )

    def _call_endpoint(self, values: dict[str, Any], resolver: Resolver) -> Response:
        resolved = {name: resolver.value(value) for name, value in values.items()}
        result = self.endpoint(**{name: value for name, value in resolved.items() if not name.startswith(HIDDEN)})
        response = self._renderer.response(result)
        injected: Response = values[self._response_name]
        response.headers.raw.extend(injected.headers.raw)
        response.status_code = injected.status_code or response.status_code
        return response

    def _check_query(self, query: QueryParams) -> None:
        """Reject an unknown parameter, and a repeated one that is not a list."""
        for name in query:
            if name not in self._query:
                message = "this operation has no such parameter"
                raise InvalidInputError.at("query", name, message=message, kind="extra_forbidden")
            if len(query.getlist(name)) > 1 and not self._query[name]:
                raise InvalidInputError.at("query", name, message="give this parameter once", kind="repeated")


class Router(APIRouter):
    """FastAPI's APIRouter for plain `def` endpoints: each gets one thread, one connection and one commit.

    Example:
        books = Router(prefix="/books", tags=["books"])

        @books.post("/{id}/praise", policy=SIGNED_IN, status_code=204)
        def praise_book(book_id: BookId, session: SessionDep, caller: CallerDep) -> None: ...

    The function's name is the operation id, such as `create_user`, where FastAPI would write `create_user_users_post`.
    `description` is OpenAPI's description of the router's tags.

    `policy`, here for all routes or on one of them, says who may call: `ANYONE`, `SIGNED_IN`, `role("staff")`. Without
    it a route has the policies of the entities that it uses, and any other route that takes a session or a unit needs
    an account.
    """

    def __init__(self, *, description: str = "", policy: Policy | None = None, **options: Any) -> None:
        self.description = description
        self.policy = policy
        super().__init__(route_class=OneHopRoute, generate_unique_id_function=_name_of, **options)

    def add_api_route(self, path: str, endpoint: Endpoint, *, policy: Policy | None = None, **options: Any) -> None:
        """Add a route; `options` are FastAPI's.

        Raises:
            TypeError: at start-up, for an option that cannot have an effect here.
        """
        declared = policy if policy is not None else self.policy
        if declared is not None and not isinstance(declared, Policy):
            raise TypeError(
                f"{endpoint.__qualname__}: policy={declared!r} is not a policy; write ANYONE, SIGNED_IN or role(...)"
            )
        if options.pop("route_class_override", None) is not None:
            raise TypeError(
                f"{endpoint.__qualname__}: route_class_override would lose the policy; use FastAPI's APIRouter"
            )
        super().add_api_route(path, endpoint, **options)
        route = self.routes[-1]
        route.policy = declared  # type: ignore[attr-defined]  # a OneHopRoute, by __init__

    def api_route(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for `methods`; `options` are FastAPI's."""

        def add(endpoint: EndpointT) -> EndpointT:
            self.add_api_route(path, endpoint, policy=policy, **options)
            return endpoint

        return add

    def get(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for GET; `options` are FastAPI's."""
        return self.api_route(path, policy=policy, methods=["GET"], **options)

    def head(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for HEAD."""
        return self.api_route(path, policy=policy, methods=["HEAD"], **options)

    def post(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for POST."""
        return self.api_route(path, policy=policy, methods=["POST"], **options)

    def put(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for PUT."""
        return self.api_route(path, policy=policy, methods=["PUT"], **options)

    def patch(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for PATCH."""
        return self.api_route(path, policy=policy, methods=["PATCH"], **options)

    def delete(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for DELETE."""
        return self.api_route(path, policy=policy, methods=["DELETE"], **options)

    def options(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for OPTIONS."""
        return self.api_route(path, policy=policy, methods=["OPTIONS"], **options)

    def trace(self, path: str, *, policy: Policy | None = None, **options: Any) -> Callable[[EndpointT], EndpointT]:
        """Decorator: add a route for TRACE."""
        return self.api_route(path, policy=policy, methods=["TRACE"], **options)


def _name_of(route: APIRoute) -> str:
    return route.name
