"""Hand-written routes reject wrong input before anything else happens."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from fastapi import Depends, Form, Query
from pydantic import BaseModel, Field
from starlette.types import Message

from rowhouse.core.errors import InvalidInputError
from rowhouse.core.policy import ANYONE
from rowhouse.http.dependencies import SessionDep
from rowhouse.http.routing import Router
from rowhouse.operations.route import read_body
from rowhouse.query.query_string import parse_query, split_values
from tests.conftest import unique
from tests.core.conftest import Serve, get
from tests.sample_entities.shop.models import Category


class Item(BaseModel):
    """A body."""

    name: str
    note: str | None = None


class Window(BaseModel):
    """Query parameters as a model."""

    start: int = 0
    end: int = Field(9, alias="until")


def test_unknown_and_repeated_query_parameters_are_refused(serve: Serve) -> None:
    """They are never ignored. A list may be repeated."""

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
    """By the names that clients send."""

    def limited(limit: int = 1) -> int:
        return limit

    def endpoint(window: Annotated[Window, Query()], limit: Annotated[int, Depends(limited)]) -> list[int]:
        return [window.start, window.end, limit]

    assert get(serve, endpoint, "/probe?start=1&until=2&limit=3").json() == [1, 2, 3]
    assert get(serve, endpoint, "/probe?end=2").status_code == 422


@pytest.fixture
def reading(serve: Serve) -> Any:
    """A client of a route for JSON and one for a form, and the bodies that reached them."""
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
    """With any of its media types."""
    client, seen = reading
    assert client.post("/api/v1/json", content=b'{"name": "x"}', headers={"content-type": kind}).status_code == 204
    assert seen == ["x"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "image/svg+json", "application/x-www-form-urlencoded", None]
)
def test_another_media_type_is_415(reading: Any, kind: str | None) -> None:
    """So is a missing one. The endpoint does not run."""
    client, seen = reading
    answer = client.post("/api/v1/json", content=b'{"name": "x"}', headers={"content-type": kind} if kind else {})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert seen == []


def test_a_form_is_read_as_one(reading: Any) -> None:
    """A route for a form does not require JSON."""
    client, seen = reading
    assert client.post("/api/v1/form", data={"name": "y"}).status_code == 204
    assert seen == ["y"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"name": 1}', b"\xff"])
def test_a_malformed_body_is_422(reading: Any, body: bytes) -> None:
    """In every case. The endpoint does not run."""
    client, seen = reading
    answer = client.post("/api/v1/json", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert {"loc", "msg", "type"} == set(answer.json()["errors"][0])
    assert seen == []


def test_half_a_surrogate_pair_is_422(serve: Serve, shop_url: str) -> None:
    """No database can store it. Nothing else of the body is stored either."""
    router, name = Router(), unique("category")

    @router.post("/shelves", policy=ANYONE)
    def make_shelves(body: list[str], session: SessionDep) -> None:
        for title in body:
            session.add(Category(name=title))
            session.flush()

    client = serve(router, url=shop_url)
    answer = client.post(
        "/api/v1/shelves", content=f'["{name}", "\\ud800"]'.encode(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert client.post("/api/v1/shelves", json=[name]).status_code == 200


def test_other_encodings_are_an_error_of_the_code(serve: Serve) -> None:
    """They are not the client's fault."""

    def endpoint() -> bytes:
        return "ä".encode("ascii")

    assert get(serve, endpoint).status_code == 500


def test_a_body_arrives_in_parts() -> None:
    """They are put together; a client that goes away in between has sent a part."""
    for last, whole in (({"body": b"c"}, b"abc"), ({"type": "http.disconnect"}, b"ab")):
        messages = iter([{"body": b"a", "more_body": True}, {"body": b"b", "more_body": True}, last])

        async def receive(messages: Iterator[Message] = messages) -> Message:
            return next(messages)

        assert asyncio.run(read_body(receive)) == whole


@pytest.mark.parametrize("query", [b"a=\xff", b"a=%ff", b"&".join(b"a%d=" % n for n in range(201)), b"a=1&a=2"])
def test_a_query_that_cannot_be_read_is_refused(query: bytes) -> None:
    """Bytes that are no UTF-8, too many parameters, and a repeated one."""
    with pytest.raises(InvalidInputError):
        parse_query(query)


def test_a_value_with_a_comma_is_quoted() -> None:
    """As in CSV."""
    assert split_values('"a,b",c,"say ""d"""') == ["a,b", "c", 'say "d"']
    assert split_values("a,b") == ["a", "b"]
    with pytest.raises(InvalidInputError):
        split_values('"a', "query", "name__in")


@pytest.mark.parametrize("end", ["\n", "\r", "x\n", "x\ny"])
def test_a_line_feed_in_a_list_with_quotes_is_quoted_or_refused(end: str) -> None:
    """CSV would take it for the end of the record."""
    with pytest.raises(InvalidInputError):
        split_values(f'"a,b",{end}')
    assert split_values(f'"a,b","{end}"') == ["a,b", end]
