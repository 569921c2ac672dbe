"""The ownership property for keys of several columns, one of which is the owner: other parts are known to anyone."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, sign_up, unique
from tests.contract.entity_client import Headers, Row
from tests.contract.registrations import ACCOUNTS, Api
from tests.databases import Databases
from tests.isolation.request_probes import unknown_ways
from tests.isolation.test_ownership import content_of
from tests.sample_entities.keys.main import create_app, registry
from tests.sample_entities.opened import open_keys

API = "/api/v1"
KEYS = Api("keys", registry, create_app, ACCOUNTS, role="user")
Way = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The application of keys of every kind."""
    with open_keys(databases, backend) as client:
        yield client


def favour(client: TestClient, who: Headers, code: str, stars: int) -> Response:
    """The answer that brought a caller's favourite."""
    answer = client.post(f"{API}/favourites", json={"country_code": code, "stars": stars}, headers=who)
    assert answer.status_code == 201, answer.text
    return answer


def ways_of_one(key: str, tag: str) -> Iterator[Way]:
    """The requests with the key in their path."""
    for path in (f"/favourites/{key}", f"/favourites/{key.replace(',', '%2C')}"):
        for headers in ({}, {"If-Match": tag}, {"If-None-Match": tag}, {"If-None-Match": "*"}):
            for method in ("GET", "HEAD", "DELETE", "PATCH", "PUT"):
                body = {"json": {"stars": 2}} if method.startswith("P") else {}
                yield method, path, {"headers": headers, **body}
    yield "GET", f"/favourites/{key}/history", {}


def ways_of_many(theirs: Row, own: Row) -> Iterator[Way]:
    """The requests with the key in a body, or among others; each could not succeed without the row."""
    named = {"user_id": theirs["user_id"], "country_code": theirs["country_code"], "stars": 2}
    key, other = (f"{row['user_id']},{row['country_code']}" for row in (theirs, own))
    yield "PUT", f"/favourites/{key}", {"json": named}
    yield "POST", "/favourites", {"json": named}
    for body in ([named], [{**own, "stars": 2}, named]):
        yield "PATCH", "/favourites/batch", {"json": body}
        yield "POST", "/favourites/batch", {"json": body}
        yield "POST", "/favourites/batch", {"json": body, "params": {"on": "user_id,country_code"}}
    for ids in (key, f"{other};{key}", f"{key};{other}"):
        yield "DELETE", "/favourites/batch", {"params": {"ids": ids}}


def ways_of_lists(user: int, code: str, cursor: str) -> Iterator[Way]:
    """The lists, exports and aggregates that would show the row, or count it."""
    for query in ({"user_id": user}, {"user_id__in": user}, {"country_code": code}, {"stars": 5}):
        for tail in ("", "/export", "/aggregate"):
            yield "GET", f"/favourites{tail}", {"params": query}
    for query in ({"group_by": "user_id,country_code"}, {"sum": "stars"}, {"max": "stars", "country_code": code}):
        yield "GET", "/favourites/aggregate", {"params": query}
    for query in ({"cursor": cursor}, {"sort": "-stars"}):
        yield "GET", "/favourites", {"params": query}
    for query in ({"expand": "favourites"}, {"favourites__stars": 5}, {"favourites__user_id": user}):
        yield "GET", "/countries", {"params": {"code": code, **query}}


def test_a_key_of_several_columns_names_nothing_of_another(client: TestClient) -> None:
    """No answer changes when the row goes, and no request of the stranger's changes it."""
    admin, owner, stranger = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD), sign_up(client), sign_up(client)
    codes = [unique("c") for _ in range(2)]
    for code in codes:
        made = client.post(f"{API}/countries", json={"code": code, "name": "somewhere"}, headers=admin)
        assert made.status_code == 201, made.text
    favour(client, owner, codes[1], 3)
    answer, own = favour(client, owner, codes[0], 5), favour(client, stranger, codes[0], 1).json()
    cursor = client.get(f"{API}/favourites?size=1", headers=owner).json()["next_cursor"]
    theirs, path = answer.json(), answer.headers["location"]
    reads = list(ways_of_lists(theirs["user_id"], codes[0], cursor))
    key = f"{theirs['user_id']},{codes[0]}"
    asked = [*reads, *ways_of_one(key, answer.headers["etag"]), *ways_of_many(theirs, own)]
    stored = content_of(client.get(path, headers=owner))
    answers = [content_of(ask(client, stranger, way)) for way in asked]
    assert content_of(client.get(path, headers=owner)) == stored
    assert theirs["since"] not in str(answers)
    for way, (status, _, _) in zip(asked, answers, strict=True):
        assert status == 200 if way in reads else status in range(400, 500), (way, status)
    body = [{"country_code": codes[0], "stars": 4}]
    upserted = client.post(f"{API}/favourites/batch?on=user_id,country_code", json=body, headers=stranger)
    assert upserted.json()["items"] == [{**own, "stars": 4}]
    assert (
        client.patch(f"{API}/favourites/{own['user_id']},{codes[0]}", json={"stars": 1}, headers=stranger).json() == own
    )
    assert content_of(client.get(path, headers=owner)) == stored
    assert client.delete(path, headers=owner).status_code == 204
    for way, before in zip(asked, answers, strict=True):
        assert content_of(ask(client, stranger, way)) == before, way


def ask(client: TestClient, who: Headers, way: Way) -> Response:
    """The answer to one request."""
    method, path, options = way
    return client.request(method, f"{API}{path}", **{**options, "headers": {**who, **options.get("headers", {})}})


def test_every_way_to_name_such_a_row_is_known() -> None:
    """A new operation or parameter must be added to the probes."""
    assert unknown_ways(KEYS) == []
