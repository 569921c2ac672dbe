"""The route tree finds every path in constant time, with or without a trailing slash, and one route for each."""

from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import NoMatchFound

from rowhouse.auth.models import ADMIN
from rowhouse.core.policy import ANYONE
from rowhouse.http.dependencies import SessionDep
from rowhouse.http.route_tree import RouteTree
from rowhouse.http.routing import Router
from rowhouse.registration.registry import Registry
from rowhouse.requests.paths import encoded_segments
from rowhouse.schemas.columns import RegistrationError
from tests.core.conftest import Serve
from tests.sample_entities.shop.models import Category


@pytest.fixture
def shelves(serve: Serve) -> Any:
    """A client of a few similar paths."""
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
    """Without a redirect. A literal segment wins over a parameter."""
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
    [
        ("POST", "/shelves", "GET, HEAD"),
        ("PUT", "/shelves/7", "DELETE, GET, HEAD"),
        ("DELETE", "/shelves/first", "GET, HEAD"),
    ],
)
def test_another_method_is_405(shelves: Any, method: str, path: str, allowed: str) -> None:
    """`Allow` lists the methods (RFC 9110 §15.5.6)."""
    answer = shelves.request(method, f"/api/v1{path}")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "method_not_allowed", allowed)


def test_routes_of_one_path_may_name_its_parameter_differently(shelves: Any) -> None:
    """Each gets its own name."""
    assert shelves.delete("/api/v1/shelves/7").json() == "7"
    assert shelves.get("/api/v1/shelves/x").status_code == 422


def test_paths_have_names(shelves: Any) -> None:
    """For `url_for`. Routes at the root keep theirs."""
    assert shelves.app.url_path_for("get_book", shelf_id=7, book_id=8) == "/api/v1/shelves/7/books/8"
    assert shelves.app.url_path_for("health") == "/health"
    with pytest.raises(NoMatchFound):
        shelves.app.url_path_for("no_such_route")


def route(path: str = "/books", *, methods: tuple[str, ...] = ("GET",)) -> APIRoute:
    """Return a hand-written route with an empty response."""
    router = Router()

    def nothing() -> None:
        return None

    router.api_route(path, methods=list(methods))(nothing)
    found = router.routes[0]
    assert isinstance(found, APIRoute)
    return found


def generated(path: str = "/books") -> APIRoute:
    """Return a route as the engine generates it."""
    return APIRoute(path, lambda: None, methods=["GET"])


@pytest.mark.parametrize("hand_written_first", [True, False])
def test_a_hand_written_route_wins(*, hand_written_first: bool) -> None:
    """In either order. OpenAPI has only the one that is used."""
    route_tree, mine = RouteTree(), route("/books/{book_id}")
    entries = [(mine, False), (generated("/books/{id}"), True)]
    for entry, is_generated in entries if hand_written_first else reversed(entries):
        route_tree.add(entry, generated=is_generated)
    (found,) = route_tree.routes
    assert (found.path, found.endpoint) == ("/books/{book_id}", mine.endpoint)


def test_a_hand_written_route_wins_over_http(sqlite_url: str, serve: Serve) -> None:
    """Included before or after the registration. The other operations stay generated."""
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
    """At start-up, whatever the names of its parameters are. Another method is another route."""
    route_tree = RouteTree()
    make = route if kind == "hand-written" else generated
    route_tree.add(make("/books/{id}"), generated=kind == "generated")
    with pytest.raises(ValueError, match=r"GET /books/\{other\} is registered twice"):
        route_tree.add(make("/books/{other}"), generated=kind == "generated")
    several = route("/books/{other}", methods=("POST", "PUT"))
    route_tree.add(several, generated=False)
    assert [found.methods for found in route_tree.routes] == [{"GET"}, {"POST", "PUT"}]


@pytest.mark.parametrize(
    "path", ["/books/b{number}", "/books/{book}-{number}", "/books/{book}.csv", "/books/{}", "/books/x}{y"]
)
def test_a_parameter_is_a_whole_segment(path: str) -> None:
    """Otherwise the route would never be found."""
    with pytest.raises(ValueError, match="a parameter must be a whole one"):
        RouteTree().add(route(path), generated=False)


def test_a_type_in_a_path_is_refused() -> None:
    """FastAPI reads it from the signature. The tree would search a parameter with that whole name."""
    with pytest.raises(ValueError, match="the type belongs in the endpoint's signature"):
        RouteTree().add(route("/files/{path:path}"), generated=False)


def test_nested_routers_are_refused(serve: Serve) -> None:
    """They would be lost."""
    outer, inner = Router(prefix="/outer"), Router(prefix="/inner")

    @inner.get("/leaf")
    def leaf() -> str:
        return "leaf"

    outer.include_router(inner)
    with pytest.raises(RegistrationError, match="give each to registry"):
        serve(outer)
    assert serve(inner).get("/api/v1/inner/leaf").json() == "leaf"


def test_fastapis_own_router_is_hand_written_too(serve: Serve) -> None:
    """It has no unit of work, so a route that needs one is rejected at start-up. So are two of its routes at one path."""
    plain, with_unit = APIRouter(), APIRouter()

    @plain.get("/plain")
    async def read_plain() -> str:
        return "plain"

    @with_unit.get("/unit")
    def read_unit(session: SessionDep) -> None:
        session.connection()

    client = serve(plain)
    assert client.get("/api/v1/plain").json() == "plain"
    with pytest.raises(RegistrationError, match=r"declare it on rowhouse\.http\.routing\.Router"):
        serve(plain, with_unit)
    with pytest.raises(ValueError, match="registered twice"):
        serve(plain, plain)


@pytest.mark.parametrize(
    ("raw", "path", "root_path", "segments"),
    [
        (b"/shelves/a%2Fb", "/shelves/a/b", "", ["", "shelves", "a/b"]),
        (b"/shop/shelves/a%2fb/", "/shop/shelves/a/b/", "/shop", ["", "shelves", "a/b"]),
        (b"/shelves/ab", "/shelves/ab", "", None),
        (b"/v1/shelves/a%2Fb", "/shelves/a/b", "", None),
    ],
)
def test_an_encoded_slash_is_part_of_its_segment(raw: bytes, path: str, root_path: str, segments: Any) -> None:
    """Unless something between the server and the application has changed the path but not the raw one."""
    assert encoded_segments({"raw_path": raw, "path": path, "root_path": root_path}) == segments
