"""`Relationship`s name the members of `expand`, and lists are filtered by related rows (docs/contract.md §3)."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse import Caller, RegistrationError, get_crud, unit
from rowhouse.core.settings import Settings
from rowhouse.crud import related
from rowhouse.registration.relations import relations_of
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, sign_up, unique
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.library.main import create_app
from tests.sample_entities.library.main import registry as library
from tests.sample_entities.library.models import Book, Label, create_tables
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


@pytest.fixture(params=[10_000, 0], ids=["found first", "looked for"])
def search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How PostgreSQL selects rows by many related ones."""
    monkeypatch.setattr(related, "COMMON", request.param)


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


@pytest.mark.usefixtures("search")
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


@pytest.mark.usefixtures("search")
def test_a_filter_by_the_table_itself(client: TestClient) -> None:
    first = made(client, "books", title=unique())
    second = made(client, "books", title=unique(), prequel_id=first["id"])
    assert ids(listed(client, "books", prequel__title=first["title"])) == [second["id"]]
    assert ids(listed(client, "books", sequels__title=second["title"])) == [first["id"]]
    shown = client.get(f"{API}/books/{first['id']}?expand=prequel,sequels.prequel").json()
    assert shown == {**first, "prequel": None, "sequels": [{**second, "prequel": first}]}


@pytest.mark.usefixtures("search")
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


def labels_of(client: TestClient, book: int) -> list[int]:
    """Return the keys of a book's labels."""
    return ids(client.get(f"{API}/books/{book}?expand=labels").json()["labels"])


def test_links_are_a_set_that_a_write_replaces(client: TestClient) -> None:
    labels = [made(client, "labels", name=unique())["id"] for _ in range(4)]
    book = made(client, "books", title=unique(), label_ids=[labels[1], labels[0], labels[1]])["id"]
    assert labels_of(client, book) == labels[:2]
    path = f"{API}/books/{book}"
    for method, wanted in (("PATCH", labels[1:3]), ("PUT", labels[3:]), ("PATCH", [])):
        before = client.get(path).headers["etag"]
        answer = client.request(method, path, json={"label_ids": wanted})
        assert answer.status_code == 200, answer.text
        assert answer.headers["etag"] != before
        assert labels_of(client, book) == wanted
    assert client.patch(path, json={"label_ids": labels}).status_code == 200
    assert client.patch(path, json={"title": unique()}).status_code == 200
    assert labels_of(client, book) == labels
    for wrong in (None, ["x"], 1, labels * 300):
        answer = client.patch(path, json={"label_ids": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["loc"][:2]) == (422, ["body", "label_ids"])
    assert labels_of(client, book) == labels


def test_the_other_side_writes_the_same_links(client: TestClient) -> None:
    books = [made(client, "books", title=unique())["id"] for _ in range(2)]
    label = made(client, "labels", name=unique(), book_ids=books)
    assert [labels_of(client, book) for book in books] == [[label["id"]]] * 2
    assert ids(listed(client, "books", labels__name=label["name"], sort="-id")) == books[::-1]
    assert ids(listed(client, "labels", books__id__in=f"{books[0]},{books[1]}")) == [label["id"]]


def test_a_link_leads_to_what_the_caller_sees(client: TestClient) -> None:
    """A hidden label is as good as none. Nothing is stored."""
    stranger = sign_up(client)
    seen, hidden = (made(client, "labels", name=unique(), is_hidden=is_hidden)["id"] for is_hidden in (False, True))
    title = unique()
    for missing in (hidden, 2**31 - 1):
        answer = client.post(f"{API}/books", json={"title": title, "label_ids": [seen, missing]}, headers=stranger)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "reference_not_found")
        assert "label_ids" in problem["detail"]
        assert problem["errors"][0]["loc"] == ["body", "label_ids", 1]
    assert listed(client, "books", title=title) == []
    book = made(client, "books", title=title, label_ids=[seen, hidden])["id"]
    assert client.patch(f"{API}/books/{book}", json={"label_ids": [hidden]}, headers=stranger).status_code == 409
    assert client.patch(f"{API}/books/{2**31 - 1}", json={"label_ids": [hidden]}, headers=stranger).status_code == 404
    shown = client.get(f"{API}/books/{book}?expand=labels", headers=stranger).json()["labels"]
    assert ids(shown) == [seen]
    assert labels_of(client, book) == [seen, hidden]
    asked = client.get(f"{API}/books", params={"id": book, "labels__id": hidden}, headers=stranger)
    assert asked.json()["total"] == 0
    assert client.patch(f"{API}/books/{book}", json={"label_ids": []}, headers=stranger).status_code == 200
    assert labels_of(client, book) == [hidden]
    expected: tuple[tuple[Any, Any], ...] = ((stranger, [[], [seen]]), (None, [[], [seen, hidden]]))
    for headers, wanted in expected:
        entries = client.get(f"{API}/books/{book}/history?action=update&sort=id", headers=headers).json()["items"]
        assert [entries[0][state]["label_ids"] for state in ("before", "after")] == wanted


def test_links_in_batches_take_as_many_statements_for_many_rows(client: TestClient) -> None:
    labels = [made(client, "labels", name=unique())["id"] for _ in range(3)]
    counts = []
    for size in (4, 64):
        body = [{"title": unique(), "label_ids": labels[: n % 4]} for n in range(size)]
        with statements_sent() as sent:
            books = client.post(f"{API}/books/batch", json=body).json()
        counts.append(len(sent))
        found = listed(client, "books", id__in=",".join(map(str, ids(books))), expand="labels", size=100)
        assert [ids(book["labels"]) for book in found] == [one["label_ids"] for one in body]
        changes = [{"id": book["id"], "label_ids": labels[2:]} for book in books]
        with statements_sent() as sent:
            assert client.patch(f"{API}/books/batch", json=changes).status_code == 200
        counts.append(len(sent))
        assert labels_of(client, books[-1]["id"]) == labels[2:]
        keys = ",".join(map(str, ids(books)))
        assert client.delete(f"{API}/books/batch?ids={keys}").status_code == 204
    assert counts[2] <= counts[0] + 6
    assert counts[3] <= counts[1] + 6
    wrong: list[Row] = [{"title": unique()}, {"title": unique(), "label_ids": [labels[0], 0]}]
    answer = client.post(f"{API}/books/batch", json=wrong)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (409, ["body", 1, "label_ids", 1])
    assert listed(client, "books", title__in=",".join(one["title"] for one in wrong)) == []
    (book,) = client.post(f"{API}/books/batch", json=[{"title": unique()}]).json()
    answer = client.patch(f"{API}/books/batch", json=[{"id": book["id"], "label_ids": [0]}])
    assert answer.status_code == 409
    assert client.patch(f"{API}/books/batch", json=[{"id": book["id"], "pages": 7}]).status_code == 200


def test_links_go_with_their_row_and_stand_in_its_history(client: TestClient) -> None:
    label = made(client, "labels", name=unique())["id"]
    book = made(client, "books", title=unique(), label_ids=[label])["id"]
    assert client.patch(f"{API}/books/{book}", json={"label_ids": []}).status_code == 200
    entries = client.get(f"{API}/books/{book}/history?sort=id").json()["items"]
    states = [((one["before"] or {}).get("label_ids"), (one["after"] or {}).get("label_ids")) for one in entries]
    assert [state for state in states if state != (None, None)] == [([], [label]), ([label], [])]
    assert client.patch(f"{API}/books/{book}", json={"label_ids": [label]}).status_code == 200
    assert client.delete(f"{API}/labels/{label}", headers=sign_up(client)).status_code == 403
    assert labels_of(client, book) == [label]
    assert client.delete(f"{API}/books/{book}").status_code == 204
    assert client.delete(f"{API}/labels/{label}").status_code == 204


@pytest.mark.parametrize("many", [False, True])
def test_a_delete_waits_for_links_that_others_write(client: TestClient, *, many: bool) -> None:
    """It takes them along, instead of a 409 for them alone. On SQLite one write waits for the other in any case."""
    book, label = made(client, "books", title=unique())["id"], made(client, "labels", name=unique())["id"]
    app, caller = client.app, Caller(id=1, role="admin", is_admin=True)
    assert isinstance(app, FastAPI)
    path = f"{API}/books/batch?ids={book}" if many else f"{API}/books/{book}"
    with ThreadPoolExecutor(1) as threads:
        with unit(app, caller=caller) as work:
            get_crud(app, Label).update(work, label, {"book_ids": [book]})
            waiting = threads.submit(client.delete, path)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        assert waiting.result().status_code == 204
    assert client.get(f"{API}/labels/{label}?expand=books").json()["books"] == []


def test_links_to_a_row_that_is_being_deleted(client: TestClient) -> None:
    """The member is named."""
    book, label = made(client, "books", title=unique())["id"], made(client, "labels", name=unique())["id"]
    app, caller = client.app, Caller(id=1, role="admin", is_admin=True)
    assert isinstance(app, FastAPI)
    with ThreadPoolExecutor(1) as threads:
        with unit(app, caller=caller) as work:
            get_crud(app, Book).delete(work, book)
            waiting = threads.submit(client.patch, f"{API}/labels/{label}", json={"book_ids": [book]})
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        told = waiting.result()
    assert (told.status_code, told.json()["code"]) == (409, "reference_not_found")
    assert told.json()["detail"].startswith("book_ids: ")


def test_links_in_an_import_stand_in_ndjson(client: TestClient) -> None:
    label, title = made(client, "labels", name=unique())["id"], unique()
    headers = {"Content-Type": "application/x-ndjson"}
    line = f'{{"title": "{title}", "label_ids": [{label}]}}'
    assert client.post(f"{API}/books/import", content=line, headers=headers).status_code == 201
    (book,) = listed(client, "books", title=title, expand="labels")
    assert ids(book["labels"]) == [label]


def test_a_registered_link_keeps_its_rules(client: TestClient) -> None:
    """It is written through its own path, and `expand` shows what its scope shows."""
    reader, book = made(client, "readers", name=unique())["id"], made(client, "books", title=unique())["id"]
    assert client.post(f"{API}/books", json={"title": unique(), "reader_ids": [reader]}).status_code == 422
    stranger = sign_up(client)
    made(client, "loans", book_id=book, reader_id=reader)
    for headers, wanted in ((None, [reader]), (stranger, [])):
        shown = client.get(f"{API}/books/{book}?expand=readers", headers=headers).json()["readers"]
        assert ids(shown) == wanted
        found = client.get(f"{API}/books", params={"id": book, "readers__id": reader}, headers=headers).json()
        assert found["total"] == len(wanted)
    assert client.get(f"{API}/books/{book}?expand=readers", headers={"Authorization": ""}).status_code == 401


def test_members_and_filters_are_documented(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for name in ("BookCreate", "BookUpdate", "BookBatchUpdate"):
        member = schemas[name]["properties"]["label_ids"]
        assert (member["type"], member["items"], member["maxItems"]) == ("array", {"type": "integer"}, 1000)
        assert "label_ids" not in schemas[name].get("required", [])
    assert "label_ids" not in schemas["BookPublic"]["properties"]
    assert "label_ids" in schemas["BookState"]["properties"]
    shown = document["components"]["parameters"]["reviews"]
    patterns = shown["schema"]["patternProperties"]
    for name, value in (("reviews__rating__gte", "integer"), ("reviews__owner_id__in", "string")):
        assert [schema["type"] for pattern, schema in patterns.items() if re.search(pattern, name)] == [value]
        assert re.search(shown["schema"]["propertyNames"]["pattern"], name)
    assert (shown["style"], shown["explode"]) == ("form", True)
    for name, good, wrong in (("rating__between", "1,5", "1"), ("rating__in", "4", "x")):
        (found,) = [schema["pattern"] for pattern, schema in patterns.items() if re.search(pattern, f"reviews__{name}")]
        for value, status in ((good, 200), (wrong, 422)):
            assert bool(re.search(found, value)) is (status == 200)
            assert client.get(f"{API}/books", params={f"reviews__{name}": value}).status_code == status
    assert len(json.dumps(shown)) < 1_200
    assert schemas["AuthorEmbedded"]["properties"]["portrait"]["anyOf"][0] == {
        "$ref": "#/components/schemas/PortraitPublic"
    }


def test_a_member_with_the_name_of_the_links_is_refused() -> None:
    resources = [line.resource for line in library.registrations.values()]
    books = next(resource for resource in resources if resource.model is Book)
    crowded = replace(books, columns={**books.columns, "label_ids": books.columns["title"]})
    with pytest.raises(RegistrationError, match="rename that member or the Relationship"):
        relations_of([crowded, *resources], readable={"labels"})
