"""The private and undocumented parts of FastAPI and Starlette: an upgrade that changes one fails here.

Each test names one use in `rowhouse.http.fastapi_internals` or `rowhouse.app`.
"""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Form, Query, params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette._utils import get_route_path
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from rowhouse.core.errors import MAX_ERRORS
from rowhouse.http import fastapi_internals as internals
from rowhouse.requests.paths import route_path


class Window(BaseModel):
    """A model of query parameters."""

    start: int = 0
    names: list[str] = []


class Item(BaseModel, extra="forbid"):
    """A body."""

    name: str


def words(word: Annotated[list[str], Query(alias="w")]) -> list[str]:
    """A dependency with a list and an alias."""
    return word


def endpoint(
    item: Item, key: int, window: Annotated[Window, Query()], found: Annotated[list[str], Depends(words)]
) -> None:
    """One parameter of each kind."""


@pytest.fixture
def route() -> APIRoute:
    """A route of FastAPI."""
    return APIRoute("/items/{key}", endpoint, methods=["POST"])


def test_a_route_has_one_tree_of_dependencies(route: APIRoute) -> None:
    """`Dependant`: path parameters, bodies and dependencies with their functions."""
    tree = internals.tree_of(route)
    assert [field.name for field in tree.path_params] == ["key"]
    assert [field.name for field in tree.body_params] == ["item"]
    assert [dependency.call for dependency in tree.dependencies] == [words]


def test_query_parameters_are_flat(route: APIRoute) -> None:
    """`get_flat_params` and `field_annotation_is_sequence`: members of models, aliases, and lists."""
    found = internals.query_parameters(internals.tree_of(route))
    assert found == {"start": False, "names": True, "w": True}


def test_the_body_of_a_route_is_its_declaration(route: APIRoute) -> None:
    """`APIRoute.body_field`."""

    def sent(name: Annotated[str, Form()]) -> None: ...
    def none() -> None: ...

    assert isinstance(internals.body_of(route), params.Body)
    assert isinstance(internals.body_of(APIRoute("/", sent, methods=["POST"])), params.Form)
    assert internals.body_of(APIRoute("/", none)) is None


def test_a_tree_that_is_used_gets_the_values(route: APIRoute) -> None:
    """`Dependant.call`, `request_param_name` and `response_param_name`, `get_route_handler` and `request_response`."""
    seen: dict[str, Any] = {}

    async def collect(**values: Any) -> Response:
        seen.update(values)
        return Response(status_code=204)

    tree = internals.tree_of(route)
    tree.call, tree.request_param_name, tree.response_param_name = collect, "the_request", "the_response"
    internals.use_tree(route, tree)
    route.app = internals.request_response(route.get_route_handler())
    app = FastAPI()
    app.router.routes.append(route)
    answer = TestClient(app).post("/items/7?w=a&w=b", json={"name": "x"})
    assert answer.status_code == 204
    assert seen["key"] == 7
    assert seen["found"] == ["a", "b"]
    assert isinstance(seen["the_request"], Request)
    assert isinstance(seen["the_response"], Response)


def test_the_validation_of_a_body_can_be_replaced(route: APIRoute) -> None:
    """`ModelField.validate` and `_type_adapter`: thousands of errors are one."""
    internals.limit_body_errors(internals.tree_of(route))
    app = FastAPI()
    app.router.routes.append(route)
    app.add_exception_handler(RequestValidationError, _errors)
    client = TestClient(app)
    many = {f"m{number}": 0 for number in range(MAX_ERRORS + 1)}
    assert [error["type"] for error in client.post("/items/7?w=a", json=many).json()] == ["too_many_faults"]
    assert client.post("/items/7?w=a", json={}).json() == [
        {"loc": ["body", "name"], "msg": "Field required", "type": "missing"}
    ]


def test_a_parameter_is_validated_by_another_function(route: APIRoute) -> None:
    """`ModelField.validate`, on a copy: the given parameter stays as it is."""
    (field,) = internals.tree_of(route).path_params
    other = internals.validated_by(field, lambda value, _values, *, loc: (value, [{"loc": loc}]))
    assert other.validate("7", {}, loc=("path", "id")) == ("7", [{"loc": ("path", "id")}])
    assert field.validate("7", {}, loc=("path", "id")) == (7, [])


async def _errors(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return JSONResponse(error.errors(), 422)


def test_an_option_that_is_not_given_is_a_placeholder(route: APIRoute) -> None:
    """`DefaultPlaceholder`."""
    assert internals.given(route.response_class) is None
    assert internals.given(APIRoute("/", words, response_class=JSONResponse).response_class) is JSONResponse


def test_fastapi_knows_whether_it_is_observed() -> None:
    """`FastAPI._native_telemetry`."""
    assert internals.is_observed(FastAPI()) is False


def test_a_route_is_recorded_in_the_scope_of_telemetry(route: APIRoute) -> None:
    """`fastapi.telemetry._api._route_selected` ignores a scope without telemetry."""
    internals.record_route({}, route)


def test_fastapi_puts_its_exit_stack_and_handlers_into_the_scope() -> None:
    """Under the keys that `resolve_overriding_caller` sets and leaves out."""
    seen: set[str] = set()

    async def note(request: Request) -> Response:
        seen.update(request.scope)
        return Response()

    app = FastAPI()
    app.add_route("/", note)
    assert TestClient(app).get("/").status_code == 200
    assert {internals.EXIT_STACK, internals.HANDLERS} <= seen


def test_routes_of_included_routers_are_found() -> None:
    """`iter_route_contexts`: each with its path, its endpoint and its tree."""
    router = APIRouter(prefix="/v1")
    router.add_api_route("/items/{key}", endpoint, methods=["POST"])
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    (found,) = internals.iter_route_contexts(list(app.routes))
    assert (found.endpoint, isinstance(found.original_route, APIRoute)) == (endpoint, True)
    assert getattr(found, "dependant", None) is not None


def test_added_middleware_is_apart_from_the_layers() -> None:
    """`user_middleware`, `build_middleware_stack` and the `handler` of the outermost layer."""

    async def last_resort(_request: Request, _error: Exception) -> Response:
        raise AssertionError

    app = FastAPI(exception_handlers={Exception: last_resort})
    app.add_middleware(GZipMiddleware, minimum_size=7)
    ((middleware, arguments, options),) = app.user_middleware
    assert (middleware, arguments, options) == (GZipMiddleware, (), {"minimum_size": 7})
    outermost = app.build_middleware_stack()
    assert isinstance(outermost, ServerErrorMiddleware)
    assert outermost.handler is last_resort


def test_the_routers_layers_can_be_replaced() -> None:
    """`APIRouter.middleware_stack` and `default`."""
    called: list[str] = []

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        called.append(scope["path"])
        await app.router.default(scope, receive, send)

    app = FastAPI()
    app.router.middleware_stack = dispatch
    assert TestClient(app).get("/none").status_code == 404
    assert called == ["/none"]


@pytest.mark.parametrize("root", ["", "/shop", "/shop/inner"])
@pytest.mark.parametrize("path", ["/", "/shop", "/shop/", "/shop/books", "/shopping", "/shop/inner/books", "/books"])
def test_a_routes_path_is_starlettes(root: str, path: str) -> None:
    """`route_path` is written here because Starlette's is private; mounts use Starlette's."""
    scope = {"type": "http", "path": path, "root_path": root}
    assert route_path(scope) == get_route_path(scope)
