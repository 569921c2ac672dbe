"""Hand-written and generated routes read headers and reject bodies in the same way.

The caller first, list headers joined.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from fastapi import Form, Header
from sqlmodel import col, select
from starlette.testclient import TestClient

from rowhouse.core.errors import UnavailableError
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.http.dependencies import SessionDep
from rowhouse.http.routing import Router
from tests.conftest import shop_database, unique
from tests.contract.entity_client import Headers
from tests.contract.problems import problem
from tests.core.conftest import Serve
from tests.databases import Databases
from tests.sample_entities.shop.models import Category, Review

API = "/api/v1"
JSON = {"Content-Type": "application/json"}
FAR = 2**31 - 1


@pytest.fixture(scope="module")
def category(client: TestClient, admin: Headers) -> Mapping[str, Any]:
    """A category, with its entity tag."""
    made = client.post(f"{API}/categories", json={"name": unique("lines")}, headers=admin)
    return {**made.json(), "etag": made.headers["etag"]}


def lines(name: str, *values: str) -> list[tuple[str, str]]:
    """Return several header lines with one name."""
    return [(name, value) for value in values]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_lines_of_if_none_match_are_one_list(client: TestClient, category: Mapping[str, Any], position: int) -> None:
    """Whichever line has the client's version."""
    tags = ['"1"', '"2"']
    tags.insert(position, category["etag"])
    answer = client.get(f"{API}/categories/{category['id']}", headers=lines("If-None-Match", *tags))
    assert answer.status_code == 304
    answer = client.get(f"{API}/categories/{category['id']}", headers=lines("If-None-Match", '"1"', '"2"'))
    assert answer.status_code == 200


@pytest.mark.parametrize("position", [0, 1])
def test_lines_of_if_match_are_one_list(client: TestClient, admin: Headers, position: int) -> None:
    """One matching version is enough. Without one it is 412 and nothing changes."""
    made = client.post(f"{API}/categories", json={"name": unique("lines")}, headers=admin)
    path, tags = f"{API}/categories/{made.json()['id']}", ['"1"']
    stale = [*admin.items(), *lines("If-Match", '"1"', '"2"')]
    problem(client.patch(path, json={"description": "new"}, headers=stale), 412, "stale")
    problem(client.delete(path, headers=stale), 412, "stale")
    tags.insert(position, made.headers["etag"])
    fresh = [*admin.items(), *lines("If-Match", *tags)]
    assert client.patch(path, json={"description": "new"}, headers=fresh).status_code == 200


def test_a_hand_written_route_reads_lines_as_one_list(serve: Serve) -> None:
    """Through FastAPI's `Header`. Other headers are as in FastAPI."""
    router = Router()

    @router.get("/tags")
    def read_tags(
        if_match: Annotated[str, Header()],
        if_none_match: Annotated[str | None, Header()] = None,
        x_other: Annotated[str, Header()] = "",
    ) -> list[str | None]:
        return [if_match, if_none_match, x_other]

    client = serve(router)
    headers = [*lines("If-Match", '"1"', '"2"'), *lines("X-Other", "a", "b")]
    assert client.get(f"{API}/tags", headers=headers).json() == ['"1", "2"', None, "a"]


@pytest.mark.parametrize(("path", "body"), [("/categories", "name"), ("/users", "email")])
def test_two_idempotency_keys_are_refused(client: TestClient, admin: Headers, path: str, body: str) -> None:
    """The error names the header, generated and hand-written. Nothing is stored."""
    name = unique("twice")
    sent = (
        {"name": name}
        if body == "name"
        else {"email": f"{name}@example.com", "password": "long-enough", "full_name": "x"}
    )
    for keys in ((unique("key"), unique("key")), ("same", "same")):
        headers = [*admin.items(), *lines("Idempotency-Key", *keys)]
        told = problem(client.post(f"{API}{path}", json=sent, headers=headers), 422, "invalid_input")
        assert [fault["loc"] for fault in told["errors"]] == [["header", "Idempotency-Key"]]
    assert client.post(f"{API}{path}", json=sent, headers=admin).status_code == 201


@pytest.fixture
def written(serve: Serve) -> TestClient:
    """Hand-written routes that read bodies: with an account, and open to anyone."""
    router, public = Router(policy=SIGNED_IN), Router(policy=ANYONE, prefix="/public")

    def read_json(body: list[int], limit: int = 1) -> int:
        return len(body) + limit

    def read_form(name: Annotated[str, Form()]) -> str:
        return name

    for name, one in (("own", router), ("public", public)):
        one.post("/json", operation_id=f"read_{name}_json")(read_json)
        one.post("/form", operation_id=f"read_{name}_form")(read_form)
    return serve(router, public, max_body_bytes=1024)


FAULTY: Mapping[str, tuple[int, Mapping[str, str], bytes]] = {
    "a wrong type": (415, {"Content-Type": "text/plain"}, b"[1]"),
    "no type": (415, {}, b"[1]"),
    "a broken body": (422, JSON, b"["),
    "an undecodable body": (422, JSON, b'["\xff"]'),
    "a wrong body": (422, JSON, b'["x"]'),
    "no body": (422, JSON, b""),
    "a long body": (413, JSON, b"[" + b" " * 2000 + b"]"),
    "a packed body": (415, {**JSON, "Content-Encoding": "gzip"}, b"x"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_the_caller_comes_before_the_body(written: TestClient, fault: str) -> None:
    """401 if an account is needed, otherwise the error of the request."""
    status, headers, content = FAULTY[fault]
    for chunked in (False, True):
        sent: Any = iter([content]) if chunked else content
        answer = written.post(f"{API}/json", content=sent, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        sent = iter([content]) if chunked else content
        assert written.post(f"{API}/public/json", content=sent, headers=headers).status_code == status


def test_the_caller_comes_before_forms_and_parameters(written: TestClient) -> None:
    """A form without a member, a wrong query, an unknown parameter."""
    for path in ("/form", "/json?limit=x", "/json?nope=1"):
        assert written.post(f"{API}{path}", json=[1]).status_code == 401
        assert written.post(f"{API}/public{path}", json=[1]).status_code in (415, 422)


def test_two_credentials_are_one_too_many(client: TestClient, admin: Headers) -> None:
    """401 before any other error, though one of them is valid."""
    for length in ([], [("Content-Length", "9" * 12)]):
        headers = [*length, *admin.items(), *admin.items(), ("Content-Type", "text/plain")]
        for path in ("/categories", "/bookings", "/bookings/1/cancel"):
            problem(client.post(f"{API}{path}", content=b"x", headers=headers), 401, "not_authenticated")


def test_rejecting_an_anonymous_request_takes_no_thread(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing must be queried."""
    runner = client.app.state.runner  # type: ignore[attr-defined]  # a FastAPI
    asked: list[str] = []
    monkeypatch.setattr(runner, "run", lambda *_, **__: asked.append("asked"))
    problem(client.post(f"{API}/categories", content=b"x"), 401)
    assert asked == []


def test_a_full_server_is_503_before_what_is_wrong(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is unknown then, so no other error is sent."""
    router = Router(policy=SIGNED_IN)

    @router.post("/json")
    def read_json(body: list[int]) -> int:
        return len(body)

    client = serve(router)

    async def full(*_: Any, **__: Any) -> None:
        raise UnavailableError

    monkeypatch.setattr(client.app.state.runner, "run", full)  # type: ignore[attr-defined]  # a FastAPI
    answer = client.post(f"{API}/json", content=b"[", headers={**JSON, "Authorization": "Bearer x"})
    problem(answer, 503, "unavailable")


def test_a_row_that_refers_to_nothing_is_409_by_hand(
    serve: Serve, databases: Databases, backend: str, driver: Headers
) -> None:
    """Through the session, at a flush and at the commit. Nothing is stored."""
    router, text = Router(policy=ANYONE), unique("nowhere")

    @router.post("/reviews-by-hand")
    def store_review(session: SessionDep, *, flush: bool) -> None:
        session.add(Review(book_id=FAR, author_id=FAR, rating=1, comment=text))
        if flush:
            session.flush()

    @router.get("/reviews-by-hand")
    def count_reviews(session: SessionDep) -> int:
        return len(session.exec(select(Review).where(col(Review.comment) == text)).all())

    client = serve(router, url=shop_database(databases, backend))
    for flush in ("true", "false"):
        problem(client.post(f"{API}/reviews-by-hand?flush={flush}"), 409, "reference_not_found")
    assert client.get(f"{API}/reviews-by-hand").json() == 0


def test_nul_in_text_is_no_error_of_the_server(serve: Serve, databases: Databases, backend: str) -> None:
    """In a path and in a query that a hand-written route sends to the database."""
    router = Router(policy=ANYONE)

    @router.get("/named/{name}")
    def find_named(name: str, session: SessionDep, other: str = "") -> int:
        return len(session.exec(select(Category).where(col(Category.name).in_([name, other]))).all())

    client = serve(router, url=shop_database(databases, backend))
    for path in ("/named/a%00b", "/named/x?other=a%00b"):
        assert client.get(API + path).status_code in (200, 422)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_route_without_a_body_takes_none(serve: Serve, method: str) -> None:
    """Members are named, as unknown query parameters are. An empty object says nothing. The caller comes first."""
    called: list[str] = []

    def note() -> None:
        called.append(method)

    own, public = Router(policy=SIGNED_IN), Router(policy=ANYONE, prefix="/public")
    for router in (own, public):
        router.add_api_route(
            "/note", note, methods=[method], status_code=204, operation_id=f"note_{len(router.prefix)}"
        )
    client = serve(own, public)
    for content, place in ((b'{"coupon": "half"}', ["body", "coupon"]), (b"[1]", ["body"]), (b"name=x", ["body"])):
        told = problem(
            client.request(method, f"{API}/public/note", content=content, headers=JSON), 422, "invalid_input"
        )
        assert told["errors"][0]["loc"] == place
        assert client.request(method, f"{API}/note", content=content, headers=JSON).status_code == 401
    assert called == []
    for content in (b"", b"{}", b" \n", b"null"):
        assert client.request(method, f"{API}/public/note", content=content, headers=JSON).status_code == 204
    assert len(called) == 4
