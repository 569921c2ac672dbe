"""`any` joins filters over relations too: only over what the caller may read, compiled once for each shape."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.conftest import sign_up, unique
from tests.crud.test_relationships import API, Row, client, ids, listed, made
from tests.sample_entities.library.models import Book

__all__ = ["client"]
Shelf = tuple[list[Row], dict[str, Any]]


@pytest.fixture
def shelf(client: TestClient) -> Shelf:
    """Four books: of two authors, one with reviews, one with neither; and the filter that selects them alone."""
    first, second = (made(client, "authors", name=unique()) for _ in range(2))
    authors = (first["id"], second["id"], None, None)
    books = [made(client, "books", title=unique(), author_id=author) for author in authors]
    for rating in (2, 5):
        made(client, "reviews", book_id=books[2]["id"], rating=rating)
    names = {"first": first["name"], "second": second["name"]}
    return books, {"id__in": ",".join(map(str, ids(books))), **names}


def found(client: TestClient, shelf: Shelf, *branches: Row, **query: Any) -> list[int]:
    """Return the positions of the books that the branches select."""
    books, others = shelf
    given = {"any": json.dumps(branches), "id__in": others["id__in"], **query}
    return [ids(books).index(key) for key in ids(listed(client, "books", **given))]


def test_branches_over_relations_and_columns(client: TestClient, shelf: Shelf) -> None:
    """A row counts once, several filters over one relation must be met by one row, and each branch has its values."""
    books, names = shelf
    first, second = ({"writer__name": names[name]} for name in ("first", "second"))
    assert found(client, shelf, first, second) == [0, 1]
    assert found(client, shelf, second, first, {"title": books[3]["title"]}) == [0, 1, 3]
    assert found(client, shelf, first, {"reviews__rating__gte": 1}) == [0, 2]
    assert found(client, shelf, {"reviews__rating__gt": 2, "reviews__rating__lt": 5}, {"writer__id__in": [0]}) == []
    assert found(client, shelf, {**first, "title": books[1]["title"]}, {"title": books[1]["title"]}) == [1]
    assert found(client, shelf, first, second, writer__name=names["second"], title=books[1]["title"]) == [1]
    assert found(client, shelf, first, {"writer__name__contains": names["second"][2:].upper()}) == [0, 1]
    assert found(client, shelf, {"writer__name__in": [names["first"], names["second"]]}) == [0, 1]


def test_branches_over_the_table_itself(client: TestClient) -> None:
    first, second, third = (made(client, "books", title=unique()) for _ in range(3))
    sequel = made(client, "books", title=unique(), prequel_id=first["id"])
    for branches, wanted in (
        ([{"prequel__title": first["title"]}, {"title": third["title"]}], [third, sequel]),
        (
            [{"sequels__title": sequel["title"]}, {"prequel__id": first["id"]}, {"id": second["id"]}],
            [first, second, sequel],
        ),
        ([{"prequel__title": first["title"], "title": third["title"]}, {"prequel__title": third["title"]}], []),
    ):
        assert listed(client, "books", any=json.dumps(branches)) == wanted


def test_cursors_exports_and_aggregates_take_them(client: TestClient, shelf: Shelf) -> None:
    books, names = shelf
    reviewed = {"reviews__rating": 5, "reviews__book_id": books[2]["id"]}
    text = json.dumps([{"writer__name": names["first"]}, reviewed, {"title": books[3]["title"]}])
    wanted = [books[0]["id"], books[2]["id"], books[3]["id"]]
    page = client.get(f"{API}/books", params={"any": text, "size": 1}).json()
    walked = ids(page["items"])
    while page["next_cursor"]:
        page = client.get(f"{API}/books", params={"cursor": page["next_cursor"]}).json()
        walked += ids(page["items"])
    assert walked == wanted
    lines = client.get(f"{API}/books/export", params={"any": text, "format": "ndjson"}).text.splitlines()
    assert ids([json.loads(line) for line in lines]) == wanted
    assert client.get(f"{API}/books/aggregate", params={"any": text}).json() == {"items": [{"count": 3}]}


def test_a_branch_sees_only_what_the_caller_may_read(client: TestClient, shelf: Shelf) -> None:
    """A relation that is closed to them is 401 or 403, whatever the other branches select."""
    books, _ = shelf
    stranger = sign_up(client)
    title, reviews = {"title": books[0]["title"]}, {"reviews__rating": 5}
    asked = client.get(f"{API}/books", params={"any": json.dumps([title, reviews])}, headers=stranger)
    assert ids(asked.json()["items"]) == [books[0]["id"]]
    for path in ("books", "books/export", "books/aggregate"):
        query = {"any": json.dumps([title, {"house__name": "x"}])}
        assert client.get(f"{API}/{path}", params=query, headers=stranger).status_code == 403
        assert client.get(f"{API}/{path}", params=query, headers={"Authorization": ""}).status_code == 401


def test_an_error_in_a_filter_over_a_relation_is_named(client: TestClient) -> None:
    branches = [
        {"writer__name": "x", "writer__no_such": 1, "labels__books__title": "x"},
        {"reviews__rating__in": [1, "x"], "reviews__rating": [1]},
    ]
    answer = client.get(f"{API}/books", params={"any": json.dumps(branches)})
    assert answer.status_code == 422
    assert {tuple(fault["loc"][2:]) for fault in answer.json()["errors"]} == {
        (0, "writer__no_such"),
        (0, "labels__books__title"),
        (1, "reviews__rating__in", 1),
        (1, "reviews__rating"),
    }


@pytest.mark.parametrize("name", ["title", "writer__name"])
def test_a_shape_is_compiled_once(client: TestClient, name: str) -> None:
    """Values are bound. Another name, another branch or another number of values is another shape."""
    statements = client.app.state.cruds[API][Book].statements  # type: ignore[attr-defined]  # a FastAPI application

    def compiled(*branches: Row) -> int:
        before = statements.list.cache_info().misses
        assert client.get(f"{API}/books", params={"any": json.dumps(branches)}).status_code == 200
        return int(statements.list.cache_info().misses - before)

    assert compiled({name: "one"}, {f"{name}__in": ["a", "b"], "pages": 1}) == 1
    assert compiled({name: "two"}, {f"{name}__in": ["c", "d"], "pages": 2}) == 0
    assert compiled({name: "two"}, {f"{name}__in": ["c", "d", "e"], "pages": 2}) == 1
    assert compiled({f"{name}__in": ["c", "d"], "pages": 2}, {name: "two"}) == 1
