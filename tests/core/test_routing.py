"""Hand-written routes on the door, and the directory that finds every route."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import pytest
import sqlalchemy as sa
from fastapi import APIRouter, BackgroundTasks, Depends, Form, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match, NoMatchFound

from backend.auth.models import ADMIN
from backend.catalog.models import Category
from backend.core.dependencies import SessionDep, SettingsDep
from backend.core.routing import Directory, Router
from backend.crud.policy import ANYONE
from backend.crud.registry import Registry
from tests.conftest import unique
from tests.core.conftest import Serve, build_product


class Item(BaseModel):
    """Something to send and to get."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    note: str | None = None


class Paging:
    """A class as a dependency."""

    def __init__(self, skip: int = 0, limit: int = 10) -> None:
        self.skip, self.limit = skip, limit


class Window(BaseModel):
    """Query parameters as a model."""

    start: int = 0
    end: int = Field(9, alias="until")


def get(serve: Serve, endpoint: Any, path: str = "/probe", **options: Any) -> Any:
    """The answer of an endpoint to a GET of its own."""
    router = Router()
    router.get("/probe", **options)(endpoint)
    return serve(router).get(f"/api/v1{path}")


# -- what a plain `def` gets ---------------------------------------------------------------------------------------------


def test_a_plain_def_answers_with_json(serve: Serve) -> None:
    """By its annotation."""

    def endpoint() -> Item:
        return Item(name="ä")

    answer = get(serve, endpoint)
    assert (answer.status_code, answer.json()) == (200, {"name": "ä", "note": None})
    assert answer.headers["content-type"] == "application/json"


def test_a_row_answers_as_its_response_model(serve: Serve, sqlite_url: str) -> None:
    """Only what the model names leaves; what was made is stored."""
    router, name = Router(), unique("category")

    @router.post("/shelves", status_code=201, response_model=Item)
    def make_shelf(body: Item, session: SessionDep) -> Category:
        category = Category(name=body.name, description="kept inside")
        session.add(category)
        return category

    @router.get("/shelves/{name}")
    def read_shelf(name: str, session: SessionDep) -> int:
        return session.scalar(sa.select(sa.func.count()).where(sa.column("name") == name).select_from(Category)) or 0

    client = serve(router)
    answer = client.post("/api/v1/shelves", json={"name": name})
    assert (answer.status_code, answer.json()) == (201, {"name": name, "note": None})
    assert client.get(f"/api/v1/shelves/{name}").json() == 1


def test_a_reading_route_does_not_take_the_write_lock(serve: Serve) -> None:
    """A route's method says whether its unit of work writes."""
    router = Router()

    def endpoint(session: SessionDep) -> bool:
        return bool(session.connection().get_execution_options()["rowhouse_transaction"] == "write")

    router.api_route("/writes", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])(endpoint)
    client = serve(router)
    assert client.get("/api/v1/writes").json() is False
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/api/v1/writes").json() is True


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b""), (202, b"")])
def test_nothing_is_an_empty_answer(serve: Serve, status: int, body: bytes) -> None:
    """Of the route's status."""

    def endpoint() -> None:
        return None

    answer = get(serve, endpoint, status_code=status)
    assert (answer.status_code, answer.content) == (status, body)
    assert ("content-length" in answer.headers) == (status != 204)


def test_a_response_passes_as_it_is(serve: Serve) -> None:
    """Its status, type and bytes."""

    def endpoint() -> Response:
        return Response("a,b", 203, {"x-own": "1"}, "text/csv")

    answer = get(serve, endpoint)
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (203, "a,b", "1")
    assert answer.headers["content-type"].startswith("text/csv")


def test_the_response_parameter_sets_headers_and_status(serve: Serve) -> None:
    """In the endpoint and in its dependencies, also when the endpoint does not ask for it."""

    def mark(response: Response) -> None:
        response.headers["x-dependency"] = "1"

    def endpoint(response: Response, _mark: Annotated[None, Depends(mark)]) -> int:
        response.headers["x-endpoint"] = "1"
        response.status_code = 202
        return 1

    def other(_mark: Annotated[None, Depends(mark)]) -> int:
        return 1

    answer = get(serve, endpoint)
    assert (answer.status_code, answer.headers["x-endpoint"], answer.headers["x-dependency"]) == (202, "1", "1")
    answer = get(serve, other)
    assert (answer.status_code, answer.headers["x-dependency"]) == (200, "1")


def test_the_options_of_a_response_model_hold(serve: Serve) -> None:
    """As FastAPI documents them."""

    def endpoint() -> Item:
        return Item(name="x")

    for option in ("response_model_exclude_none", "response_model_exclude_unset", "response_model_exclude_defaults"):
        assert get(serve, endpoint, **{option: True}).json() == {"name": "x"}
    assert get(serve, endpoint, response_model_exclude={"name"}).json() == {"note": None}
    assert get(serve, endpoint, response_model_include={"name"}).json() == {"name": "x"}


def test_a_value_without_a_response_model_is_a_fault(serve: Serve) -> None:
    """Rather than an answer without it."""

    def endpoint() -> dict[str, int]:
        return {"a": 1}

    assert get(serve, endpoint, response_model=None).status_code == 500
    assert get(serve, endpoint).json() == {"a": 1}


def test_background_tasks_run_after_the_answer(serve: Serve) -> None:
    """As in FastAPI."""
    done: list[str] = []

    def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, "done")
        return "answered"

    assert get(serve, endpoint).json() == "answered"
    assert done == ["done"]


def test_settings_and_request_are_there(serve: Serve) -> None:
    """By type."""

    def endpoint(settings: SettingsDep, request: Request) -> tuple[int, str]:
        return settings.worker_threads, request.url.path

    assert get(serve, endpoint).json() == [8, "/api/v1/probe"]


def test_an_http_exception_keeps_its_words(serve: Serve) -> None:
    """In the shape of every error; what was done is undone."""
    router, name = Router(), unique("category")

    @router.post("/half")
    def endpoint(session: SessionDep) -> None:
        session.add(Category(name=name))
        session.flush()
        raise HTTPException(404, "No such thing.", {"x-why": "because"})

    @router.get("/half")
    def read(session: SessionDep) -> int:
        return len(session.execute(sa.text("SELECT 1 FROM categories WHERE name = :name"), {"name": name}).all())

    client = serve(router)
    answer = client.post("/api/v1/half")
    assert (answer.status_code, answer.json()["detail"]) == (404, "No such thing.")
    assert answer.headers["x-why"] == "because"
    assert client.get("/api/v1/half").json() == 0


# -- dependencies --------------------------------------------------------------------------------------------------------


def test_a_dependency_is_called_once_a_request(serve: Serve) -> None:
    """Whether a parameter, another dependency or the route asks for it, and once for each that wants no sharing."""
    calls: list[int] = []

    def counted() -> int:
        calls.append(1)
        return len(calls)

    def above(below: Annotated[int, Depends(counted)]) -> int:
        return below

    Counted, Above = Annotated[int, Depends(counted)], Annotated[int, Depends(above)]

    def endpoint(a: Counted, b: Above, c: Annotated[int, Depends(counted, use_cache=False)]) -> list[int]:
        return [a, b, c]

    assert get(serve, endpoint, dependencies=[Depends(counted)]).json() == [1, 1, 2]


def refuse() -> None:
    """A guard that lets nobody pass."""
    raise HTTPException(403, "guarded")


@pytest.mark.parametrize("where", ["route", "router"])
def test_a_guard_that_no_parameter_takes_is_called(serve: Serve, where: str) -> None:
    """And the endpoint is not."""
    entered: list[str] = []
    guards = [Depends(refuse)]
    router = Router(dependencies=guards if where == "router" else [])

    @router.get("/guarded", dependencies=guards if where == "route" else [])
    def endpoint() -> None:
        entered.append("entered")

    answer = serve(router).get("/api/v1/guarded")
    assert (answer.status_code, answer.json()["detail"]) == (403, "guarded")
    assert entered == []


def test_dependencies_of_every_kind(serve: Serve) -> None:
    """A class, an instance, an `async def` and an instance with an async call."""

    class Adder:
        def __call__(self, number: int) -> int:
            return number + 1

    class AsyncAdder:
        async def __call__(self, number: int) -> int:
            return number + 2

    async def double(number: int) -> int:
        return number * 2

    def endpoint(
        paging: Annotated[Paging, Depends()],
        one: Annotated[int, Depends(Adder())],
        two: Annotated[int, Depends(AsyncAdder())],
        three: Annotated[int, Depends(double)],
    ) -> list[int]:
        return [paging.skip, paging.limit, one, two, three]

    assert get(serve, endpoint, "/probe?number=10&limit=3").json() == [0, 3, 11, 12, 20]
    assert get(serve, endpoint, "/probe?limit=3").status_code == 422


async def async_endpoint() -> None:
    """Not a plain `def`."""


def yielding_endpoint() -> Iterator[int]:
    """Not one either."""
    yield 1


async def async_yielding_endpoint() -> AsyncIterator[int]:
    """Nor this."""
    yield 1


@pytest.mark.parametrize("endpoint", [async_endpoint, yielding_endpoint, async_yielding_endpoint])
def test_only_a_plain_def_is_an_endpoint(endpoint: Any) -> None:
    """Anything else would not run in the worker thread; it is refused at start-up."""
    with pytest.raises(TypeError, match="must be a plain `def`"):
        Router().get("/probe")(endpoint)


@pytest.mark.parametrize("dependency", [yielding_endpoint, async_yielding_endpoint])
def test_a_yield_dependency_is_refused(dependency: Any) -> None:
    """Also below another; the message names the mend."""

    def above(below: Annotated[int, Depends(dependency)]) -> int:
        return below

    def endpoint(value: Annotated[int, Depends(above)]) -> int:
        return value

    with pytest.raises(TypeError, match="Use SessionDep"):
        Router().get("/probe")(endpoint)


def test_an_endpoint_says_what_it_returns() -> None:
    """Without an annotation its answer would be empty."""

    def endpoint():  # type: ignore[no-untyped-def]  # noqa: ANN202  the fault in question
        return {"a": 1}

    with pytest.raises(TypeError, match="annotate it"):
        Router().get("/probe")(endpoint)
    Router().get("/probe", response_model=dict[str, int])(endpoint)


# -- input ---------------------------------------------------------------------------------------------------------------


def test_unknown_and_repeated_query_parameters_are_refused(serve: Serve) -> None:
    """Never ignored; a list may be repeated."""

    def endpoint(
        one: int = 0,
        many: Annotated[list[int] | None, Query()] = None,
        kind: Annotated[Literal["a", "b"], Query(alias="type")] = "a",
    ) -> list[Any]:
        return [one, many, kind]

    assert get(serve, endpoint, "/probe?one=1&many=1&many=2&type=b").json() == [1, [1, 2], "b"]
    for query, loc, kind in (
        ("two=1", ["query", "two"], "extra_forbidden"),
        ("kind=b", ["query", "kind"], "extra_forbidden"),
        ("one=1&one=1", ["query", "one"], "repeated"),
    ):
        answer = get(serve, endpoint, f"/probe?{query}")
        assert answer.status_code == 422
        assert [(fault["loc"], fault["type"]) for fault in answer.json()["errors"]] == [(loc, kind)]


def test_query_parameters_of_models_and_dependencies_are_known(serve: Serve) -> None:
    """By their names on the wire."""

    def limited(limit: int = 1) -> int:
        return limit

    def endpoint(window: Annotated[Window, Query()], limit: Annotated[int, Depends(limited)]) -> list[int]:
        return [window.start, window.end, limit]

    assert get(serve, endpoint, "/probe?start=1&until=2&limit=3").json() == [1, 2, 3]
    assert get(serve, endpoint, "/probe?end=2").status_code == 422


@pytest.fixture
def reading(serve: Serve) -> Any:
    """A client of one route for JSON and one for a form, and what got through to them."""
    router, seen = Router(), list[Any]()

    @router.post("/json", status_code=204)
    def read_json(body: Item) -> None:
        seen.append(body.name)

    @router.post("/form", status_code=204)
    def read_form(name: Annotated[str, Form()]) -> None:
        seen.append(name)

    return serve(router), seen


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
def test_json_is_read(reading: Any, kind: str) -> None:
    """In any of its types."""
    client, seen = reading
    assert client.post("/api/v1/json", content=b'{"name": "x"}', headers={"content-type": kind}).status_code == 204
    assert seen == ["x"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "image/svg+json", "application/x-www-form-urlencoded", None]
)
def test_another_media_type_is_415(reading: Any, kind: str | None) -> None:
    """Or none at all; nothing is done."""
    client, seen = reading
    answer = client.post("/api/v1/json", content=b'{"name": "x"}', headers={"content-type": kind} if kind else {})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert seen == []


def test_a_form_is_read_as_one(reading: Any) -> None:
    """A route for a form asks for no JSON."""
    client, seen = reading
    assert client.post("/api/v1/form", data={"name": "y"}).status_code == 204
    assert seen == ["y"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"name": 1}', b'{"name": "\\ud800"}', b"\xff"])
def test_a_malformed_body_is_422(reading: Any, body: bytes) -> None:
    """Whatever it is; nothing is done."""
    client, seen = reading
    answer = client.post("/api/v1/json", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert {"loc", "msg", "type"} == set(answer.json()["errors"][0])
    assert seen == []


# -- the directory -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelves(serve: Serve) -> Any:
    """A client of a few paths that lie close together."""
    router = Router()

    @router.get("/shelves")
    def list_shelves() -> str:
        return "all"

    @router.get("/shelves/first")
    def first_shelf() -> str:
        return "first"

    @router.get("/shelves/{shelf_id}")
    def get_shelf(shelf_id: int) -> int:
        return shelf_id

    @router.delete("/shelves/{name}")
    def delete_shelf(name: str) -> str:
        return name

    @router.get("/shelves/{shelf_id}/books/{book_id}")
    def get_book(book_id: int, shelf_id: int) -> list[int]:
        return [shelf_id, book_id]

    return serve(router)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/shelves", "all"),
        ("/shelves/", "all"),
        ("/shelves/first", "first"),
        ("/shelves/first/", "first"),
        ("/shelves/7", 7),
        ("/shelves/7/", 7),
        ("/shelves/7/books/8", [7, 8]),
        ("/shelves/7/books/8/", [7, 8]),
    ],
)
def test_a_path_and_its_trailing_slash_are_one(shelves: Any, path: str, answer: Any) -> None:
    """Without a redirect; a word goes before a parameter."""
    found = shelves.get(f"/api/v1{path}", follow_redirects=False)
    assert (found.status_code, found.json()) == (200, answer)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "/shelve",
        "/shelves//",
        "/shelves//7",
        "/shelves/7/books",
        "/shelves/7/books/",
        "/shelves/7/8/9",
        "/x/y",
    ],
)
def test_any_other_path_is_404(shelves: Any, path: str) -> None:
    """An empty segment is no value of a parameter."""
    answer = shelves.get(f"/api/v1{path}", follow_redirects=False)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/shelves", "GET"), ("PUT", "/shelves/7", "DELETE, GET"), ("DELETE", "/shelves/first", "GET")],
)
def test_another_method_is_405(shelves: Any, method: str, path: str, allowed: str) -> None:
    """`Allow` lists those there are (RFC 9110 §15.5.6)."""
    answer = shelves.request(method, f"/api/v1{path}")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "method_not_allowed", allowed)


def test_routes_of_one_path_may_name_its_parameter_differently(shelves: Any) -> None:
    """Each gets its own name."""
    assert shelves.delete("/api/v1/shelves/7").json() == "7"
    assert shelves.get("/api/v1/shelves/x").status_code == 422


def test_paths_have_names(shelves: Any) -> None:
    """For `url_for`, whose prefix the directory does not add."""
    directory = shelves.app.router.routes[0]
    assert directory.url_path_for("get_book", shelf_id=7, book_id=8) == "/shelves/7/books/8"
    with pytest.raises(NoMatchFound):
        directory.url_path_for("no_such_route")


def test_the_directory_answers_for_its_prefix_only() -> None:
    """Not for a path that only begins alike, nor for a websocket."""
    directory = Directory("/api/v1")
    for kind, path, match in (
        ("http", "/api/v1", Match.FULL),
        ("http", "/api/v1/", Match.FULL),
        ("http", "/api/v1/x", Match.FULL),
        ("http", "/api/v10", Match.NONE),
        ("http", "/health", Match.NONE),
        ("websocket", "/api/v1/x", Match.NONE),
    ):
        assert directory.matches({"type": kind, "path": path})[0] is match


def route(path: str = "/books", *, methods: tuple[str, ...] = ("GET",)) -> APIRoute:
    """A hand-written route that answers with nothing."""
    router = Router()

    def nothing() -> None:
        return None

    router.api_route(path, methods=list(methods))(nothing)
    found = router.routes[0]
    assert isinstance(found, APIRoute)
    return found


def generated(path: str = "/books") -> APIRoute:
    """A route as the engine might make it."""
    return APIRoute(path, lambda: None, methods=["GET"])


@pytest.mark.parametrize("hand_written_first", [True, False])
def test_a_hand_written_route_wins(*, hand_written_first: bool) -> None:
    """In whatever order they come, and OpenAPI sees only the one that answers."""
    directory, mine = Directory("/api"), route("/books/{book_id}")
    entries = [(mine, False), (generated("/books/{id}"), True)]
    for entry, is_generated in entries if hand_written_first else reversed(entries):
        directory.add(entry, generated=is_generated)
    assert directory.routes == [mine]


def test_a_hand_written_route_wins_over_http(sqlite_url: str, serve: Serve) -> None:
    """Included before or after the registration; the other operations stay generated."""
    mine = Router()

    @mine.get("/categories")
    def my_categories() -> str:
        return "mine"

    for included_first in (True, False):
        registry = Registry("/api/v1")
        if included_first:
            registry.include(mine)
        registry.register(Category, read=ANYONE, write=ADMIN)
        if not included_first:
            registry.include(mine)
        client = serve(registry=registry)
        assert client.get("/api/v1/categories").json() == "mine"
        assert client.get("/api/v1/categories/999999").json()["code"] == "not_found"
        assert client.post("/api/v1/categories", json={}).status_code == 401


@pytest.mark.parametrize("kind", ["hand-written", "generated"])
def test_a_second_route_of_one_kind_is_refused(kind: str) -> None:
    """At start-up, whatever its parameters are called; another method is another route."""
    directory = Directory("/api")
    make = route if kind == "hand-written" else generated
    directory.add(make("/books/{id}"), generated=kind == "generated")
    with pytest.raises(ValueError, match=r"GET /books/\{other\} is registered twice"):
        directory.add(make("/books/{other}"), generated=kind == "generated")
    directory.add(route("/books/{other}", methods=("POST", "PUT")), generated=False)


def test_a_type_in_a_path_is_refused() -> None:
    """FastAPI takes it from the signature; the directory would look for a parameter of that whole name."""
    with pytest.raises(ValueError, match="the type stands in the endpoint's signature"):
        Directory("/api").add(route("/files/{path:path}"), generated=False)


def test_nested_routers_are_included(serve: Serve) -> None:
    """None of their routes is lost."""
    outer, inner = Router(prefix="/outer"), Router(prefix="/inner")

    @inner.get("/leaf")
    def leaf() -> str:
        return "leaf"

    outer.include_router(inner)
    assert serve(outer).get("/api/v1/outer/inner/leaf").json() == "leaf"


def test_fastapis_own_router_is_refused_or_served(serve: Serve) -> None:
    """Its routes would make more hops than one."""
    plain = APIRouter()

    @plain.get("/plain")
    def read_plain() -> str:
        return "plain"

    answer = serve(plain).get("/api/v1/plain")
    assert answer.json() == "plain"
