"""`Relationship`s name the members of `expand`, and lists are filtered by related rows (docs/contract.md §3)."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse.core.settings import Settings
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, sign_up, unique
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.library.main import create_app
from tests.sample_entities.library.models import create_tables
from tests.statement_counter import statements_sent

Row = dict[str, Any]
API = "/api/v1"


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The library, signed in as administrator."""
    url = databases.prepared(backend, "library", create_tables)
    password = SecretStr(ADMIN_PASSWORD)
    with QuickClient(
        create_app(Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=password, **QUIET))
    ) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


def made(client: TestClient, path: str, **values: Any) -> Row:
    """Create a row."""
    answer = client.post(f"{API}/{path}", json=values)
    assert answer.status_code == 201, answer.text
    row: Row = answer.json()
    return row


def listed(client: TestClient, path: str, **query: Any) -> list[Row]:
    """Return the rows of a page, whose total is their number."""
    answer = client.get(f"{API}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["total"] == len(page["items"])
    items: list[Row] = page["items"]
    return items


def ids(rows: list[Row]) -> list[int]:
    """Return the keys of rows."""
    return [row["id"] for row in rows]


def test_a_relationship_names_the_member_of_expand(client: TestClient) -> None:
    """The names from foreign keys stay where there is none. A condition of its own is for sessions."""
    related = client.app.state.cruds[API]  # type: ignore[attr-defined]  # a FastAPI application
    names = {model.__name__: set(crud.related) for model, crud in related.items()}
    assert names["Book"] == {"writer", "house", "prequel", "sequels", "labels", "readers", "reviews", "loans"}
    assert names["Author"] == {"portrait", "books"}
    assert names["Portrait"] == {"sitter"}
    assert names["Review"] == {"book"}
    assert names["Loan"] == {"book", "reader"}
    assert names["Label"] == {"books"}


def test_one_to_one_is_an_object(client: TestClient) -> None:
    author = made(client, "authors", name=unique())
    assert client.get(f"{API}/authors/{author['id']}?expand=portrait").json() == {**author, "portrait": None}
    portrait = made(client, "portraits", author_id=author["id"])
    assert client.get(f"{API}/authors/{author['id']}?expand=portrait").json() == {**author, "portrait": portrait}
    assert client.get(f"{API}/portraits/{portrait['id']}?expand=sitter").json() == {**portrait, "sitter": author}


def test_two_hops_in_one_statement_each(client: TestClient) -> None:
    author = made(client, "authors", name=unique())
    books = [made(client, "books", title=unique(), author_id=author["id"]) for _ in range(3)]
    reviews = [made(client, "reviews", book_id=book["id"], rating=3) for book in books]
    mine = ",".join(map(str, ids(reviews)))
    with statements_sent() as alone:
        listed(client, "reviews", id__in=mine)
    with statements_sent() as expanded:
        found = listed(client, "reviews", id__in=mine, expand="book.writer,book.reviews,book")
    assert len(expanded) == len(alone) + 3
    pairs = zip(reviews, books, strict=True)
    assert found == [{**review, "book": {**book, "writer": author, "reviews": [review]}} for review, book in pairs]
    shown = client.get(f"{API}/reviews/{reviews[0]['id']}?fields=id&expand=book.writer").json()
    assert shown == {"id": reviews[0]["id"], "book": {**books[0], "writer": author}}
    assert client.get(f"{API}/reviews?expand=book.writer.books").status_code == 422


def test_a_filter_by_a_single_related_row(client: TestClient) -> None:
    name = unique()
    author, other = made(client, "authors", name=name), made(client, "authors", name=unique())
    books = [made(client, "books", title=unique(), author_id=one["id"]) for one in (author, other, author)]
    made(client, "books", title=unique())
    assert ids(listed(client, "books", writer__name=name)) == [books[0]["id"], books[2]["id"]]
    assert ids(listed(client, "books", writer__name__contains=name[2:].upper(), title=books[2]["title"])) == [
        books[2]["id"]
    ]
    assert ids(listed(client, "books", writer__name__in=f"{name},{other['name']}")) == ids(books)
    assert listed(client, "books", writer__name=unique()) == []


def test_a_row_counts_once_and_one_related_row_meets_all(client: TestClient) -> None:
    books = [made(client, "books", title=unique()) for _ in range(3)]
    for book, ratings in zip(books, ((2, 5), (3, 4, 4), ()), strict=True):
        for rating in ratings:
            made(client, "reviews", book_id=book["id"], rating=rating)
    mine = {"id__in": ",".join(map(str, ids(books)))}
    assert ids(listed(client, "books", **mine, reviews__rating__gte=4)) == ids(books[:2])
    assert ids(listed(client, "books", **mine, reviews__rating__gte=3, reviews__rating__lte=4)) == ids(books[1:2])
    exported = client.get(f"{API}/books/export", params={**mine, "reviews__rating__gte": 4, "format": "ndjson"})
    assert len(exported.text.splitlines()) == 2
    page = client.get(f"{API}/books", params={**mine, "reviews__rating__gte": 3, "size": 1, "sort": "-id"}).json()
    assert (page["total"], ids(page["items"])) == (2, [books[1]["id"]])
    rest = client.get(f"{API}/books", params={"cursor": page["next_cursor"]}).json()
    assert ids(rest["items"]) == [books[0]["id"]]
    wrong = client.get(f"{API}/books", params={"cursor": page["next_cursor"], "reviews__rating__gte": 4})
    assert wrong.status_code == 422


def test_a_filter_by_the_table_itself(client: TestClient) -> None:
    first = made(client, "books", title=unique())
    second = made(client, "books", title=unique(), prequel_id=first["id"])
    assert ids(listed(client, "books", prequel__title=first["title"])) == [second["id"]]
    assert ids(listed(client, "books", sequels__title=second["title"])) == [first["id"]]
    shown = client.get(f"{API}/books/{first['id']}?expand=prequel,sequels.prequel").json()
    assert shown == {**first, "prequel": None, "sequels": [{**second, "prequel": first}]}


def test_filters_see_only_what_the_caller_may_read(client: TestClient) -> None:
    house = made(client, "publishers", name=unique())
    book = made(client, "books", title=unique(), publisher_id=house["id"])
    made(client, "reviews", book_id=book["id"], rating=5)
    stranger = sign_up(client)
    mine = {"id": book["id"]}
    assert ids(listed(client, "books", **mine, reviews__rating=5, house__name=house["name"])) == [book["id"]]
    asked = client.get(f"{API}/books", params={**mine, "reviews__rating": 5}, headers=stranger)
    assert (asked.status_code, asked.json()["total"]) == (200, 0)
    for query in ({"house__name": "x"}, {"expand": "house"}):
        assert client.get(f"{API}/books", params=query, headers=stranger).status_code == 403
        assert client.get(f"{API}/books", params=query, headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    "name",
    [
        "writer__no_such",
        "writer__name__near",
        "no_such__name",
        "writer",
        "writer__",
        "labels__books__title",
        "praise__rating",
    ],
)
def test_an_unknown_filter_is_refused(client: TestClient, name: str) -> None:
    answer = client.get(f"{API}/books", params={name: "1"})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", name])


def test_a_malformed_value_is_refused(client: TestClient) -> None:
    answer = client.get(f"{API}/books", params={"reviews__rating": "many", "writer__id__in": "1,x"})
    assert answer.status_code == 422
    assert {tuple(fault["loc"][:2]) for fault in answer.json()["errors"]} == {
        ("query", "reviews__rating"),
        ("query", "writer__id__in"),
    }
