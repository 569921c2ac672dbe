"""HEAD answers wherever GET does: the same status and headers, and no body (RFC 9110 §9.3.2)."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved
from rowhouse.http.routing import Router
from rowhouse.transfer.exporter import Exporter
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in
from tests.core.conftest import Serve
from tests.databases import Databases
from tests.sample_entities.opened import open_odd
from tests.statement_counter import statements_sent

OWN = {"x-request-id", "date"}
AT_THE_ROOT = ("/", "/health", "/ready", "/docs", "/redoc", "/openapi.json", "/docs/assets/favicon.png", "/nowhere")


@pytest.fixture(scope="module", params=["product", "odd"])
def everything(request: pytest.FixtureRequest, client: TestClient, backend: str, databases: Databases) -> Iterator[Any]:
    """A client of each registry."""
    if request.param == "product":
        yield client
    else:
        with open_odd(databases, backend) as odd:
            yield odd


def gets(client: TestClient) -> list[str]:
    """Return a path of every documented GET, with an id where it needs one."""
    paths = resolved(client.get("/openapi.json").json())["paths"]
    return [path.replace("{id}", "1") for path, item in paths.items() if "get" in item]


def test_every_get_has_its_head(everything: TestClient) -> None:
    """With the same length: signed in or not, found or not, at the root and below the prefix."""
    signed_in = sign_in(everything, ADMIN_EMAIL, ADMIN_PASSWORD)
    paths = [*AT_THE_ROOT, *gets(everything)]
    assert len(paths) > 20
    for headers in ({}, signed_in):
        for path in paths:
            whole, head = everything.get(path, headers=headers), everything.head(path, headers=headers)
            assert head.content == b"", path
            assert (head.status_code, headers_of(head)) == (whole.status_code, headers_of(whole)), path


def headers_of(answer: Any) -> dict[str, str]:
    """Return the headers that HEAD and GET must share.

    A stream has no length, but the test client adds one. A list has none for HEAD, which reads no rows.
    """
    varying = {"content-length"} if {"content-disposition", "x-total-count"} & answer.headers.keys() else set()
    return {name: value for name, value in answer.headers.items() if name not in OWN | varying}


def test_a_row_has_its_head(client: TestClient, admin: dict[str, str]) -> None:
    """With its `ETag`, by which a cache checks its copy. The query is validated."""
    made = client.post("/api/v1/categories", json={"name": "of a head"}, headers=admin)
    path = made.headers["location"]
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == whole.headers["etag"]
    assert head.headers["content-length"] == str(len(whole.content))
    assert client.head(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert client.head(path, params={"nothing": 1}).status_code == 422


def test_a_list_has_its_total_without_its_rows(client: TestClient, admin: dict[str, str]) -> None:
    """By one statement that counts, with the filters. GET has the same header."""
    for name in ("heads 1", "heads 2", "heads 3"):
        assert client.post("/api/v1/categories", json={"name": name}, headers=admin).status_code == 201
    query: dict[str, Any] = {"name__startswith": "heads", "sort": "-name", "size": 2}
    whole = client.get("/api/v1/categories", params=query)
    with statements_sent() as sent:
        head = client.head("/api/v1/categories", params=query)
    assert [text[:13] for text in sent] == ["SELECT count("]
    assert head.headers["x-total-count"] == whole.headers["x-total-count"] == "3"
    assert client.head("/api/v1/categories", params={"nope": 1}).status_code == 422
    assert client.head("/api/v1/users").status_code == 401
    cursor = {"cursor": client.get("/api/v1/categories", params=query).json()["next_cursor"]}
    for answer in (client.get("/api/v1/categories", params=cursor), client.head("/api/v1/categories", params=cursor)):
        assert (answer.status_code, "x-total-count" in answer.headers) == (200, False)
    embedding: dict[str, Any] = {"expand": "books", "name__startswith": "heads"}
    assert client.head("/api/v1/categories", params=embedding).headers["x-total-count"] == "3"


def test_openapi_names_no_head(client: TestClient) -> None:
    """A generated client would get two functions for one operation."""
    paths = resolved(client.get("/openapi.json").json())["paths"]
    assert not [path for path, item in paths.items() if "head" in item]


def test_a_head_of_an_export_makes_no_export(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the first chunk, because errors must be reported, and no other."""
    asked: list[str] = []

    async def pieces(*_given: Any) -> AsyncIterator[bytes]:
        asked.append("for the export")
        yield b""

    monkeypatch.setattr(Exporter, "_chunks", pieces)
    head = client.head("/api/v1/books/export?format=ndjson")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("application/x-ndjson")
    assert head.headers["content-disposition"] == 'attachment; filename="books.ndjson"'
    assert client.head("/api/v1/books/export?format=xml").status_code == 422
    assert asked == []
    client.get("/api/v1/books/export?format=ndjson")
    assert asked == ["for the export"]


def test_405_lists_head(client: TestClient) -> None:
    """Where there is GET, and only there (RFC 9110 §15.5.6)."""
    assert client.put("/api/v1/books").headers["allow"] == "GET, HEAD, POST"
    assert client.get("/api/v1/auth/login").headers["allow"] == "POST"
    assert client.head("/api/v1/auth/login").status_code == 405
    assert set(client.post("/docs").headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_hand_written_route_has_its_head(serve: Serve) -> None:
    """A stream too. A route that was written for HEAD wins."""
    router = Router()

    @router.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]), headers={"X-Kind": "stream"})

    @router.get("/both")
    def both() -> str:
        return "whole"

    @router.head("/both")
    def head_of_both(response_code: int = 204) -> None:
        return None

    client = serve(router)
    head = client.head("/api/v1/stream")
    assert (head.status_code, head.headers["x-kind"], head.content) == (200, "stream", b"")
    assert client.get("/api/v1/both").json() == "whole"
    assert client.head("/api/v1/both?response_code=1").status_code == 200
    assert client.get("/api/v1/both?response_code=1").status_code == 422


def test_fastapis_own_router_has_its_head(client: TestClient, app: FastAPI) -> None:
    """The routes for HEAD are in the application's list too, for middleware that limits or counts requests by route."""
    heads = [route for route in app.routes if getattr(route, "methods", None) == {"HEAD"}]
    assert {"/api/v1/books", "/api/v1/books/{id}", "/api/v1/users/me"} <= {
        getattr(route, "path", "") for route in heads
    }
    assert not any(getattr(route, "include_in_schema", True) for route in heads)
