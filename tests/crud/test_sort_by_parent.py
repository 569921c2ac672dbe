"""Lists in the order of a column of a related row: `sort=writer__name` (docs/contract.md §3)."""

import itertools
import json
from typing import Any

import pytest
from sqlmodel import col
from starlette.testclient import TestClient

from rowhouse.core.security import Caller
from rowhouse.sql import pages
from tests.conftest import sign_up, unique
from tests.crud.test_relationships import API, Row, client, ids, listed, made
from tests.sample_entities.library.models import Author

__all__ = ["client"]
SORTS = [
    "writer__name",
    "-writer__name",
    "writer__name,-pages",
    "-writer__name,pages,-id",
    "writer__name,writer__id",
    "pages,-writer__name",
    "writer__name,house__name",
    "-prequel__title",
    "prequel__pages,writer__name,-title",
]
WITHOUT = "writer__no_such", "labels__name", "reviews__rating", "writer__", "writer.name", "hidden_labels__name"


@pytest.fixture(scope="module")
def books(client: TestClient) -> list[Row]:
    """Books with `writer`, `house` and `prequel`: two authors have one name, some have none, some books have no author."""
    names = sorted(unique() for _ in range(3))
    authors = [made(client, "authors", name=name) for name in (*names, names[1])]
    houses = [made(client, "publishers", name=unique()) for _ in range(2)]
    found: list[Row] = []
    choices = itertools.product((*authors, None), (*houses, None))
    for number, (author, house) in enumerate(choices):
        prequel = found[-1] if number % 3 else None
        values = {"title": unique(), "pages": (None, 7, 5)[number % 3]}
        references = {"author_id": author, "publisher_id": house, "prequel_id": prequel}
        keys = {name: one["id"] for name, one in references.items() if one}
        row = made(client, "books", **values, **keys)
        found.append({**row, "writer": author, "house": house, "prequel": prequel})
    return found


@pytest.fixture(params=[0, pages.COMMON], ids=["by parent", "sorted"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement that gives the order, whatever the number of rows."""
    monkeypatch.setattr(pages, "COMMON", request.param)


def value_of(row: Row, word: str) -> Any:
    """What a word of a sort reads from a row."""
    relation, _, column = word.rpartition("__")
    holder = row[relation] if relation else row
    return None if holder is None else holder[column]


def in_order(rows: list[Row], sort: str) -> list[int]:
    """The keys of rows in the order of a sort, computed in Python."""
    found = sorted(rows, key=lambda row: int(row["id"]))
    for word in reversed(sort.split(",")):
        name, descending = word.removeprefix("-"), word.startswith("-")

        def place(row: Row, name: str = name) -> tuple[bool, Any]:
            value = value_of(row, name)
            return value is None, 0 if value is None else value

        found.sort(key=place, reverse=descending)
    return ids(found)


def walked(client: TestClient, query: Row, headers: dict[str, str] | None = None) -> list[int]:
    """The keys of a list, read in pages by cursor."""
    page = client.get(f"{API}/books", params=query, headers=headers).json()
    found = ids(page["items"])
    while page["next_cursor"]:
        page = client.get(f"{API}/books", params={"cursor": page["next_cursor"]}, headers=headers).json()
        found += ids(page["items"])
    return found


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.usefixtures("way")
def test_the_order_is_that_of_the_parents(client: TestClient, books: list[Row], sort: str) -> None:
    """By page, by cursor and in exports; with `expand`, beside filters over the same relation and `any`."""
    mine = {"id__in": ",".join(map(str, ids(books))), "sort": sort}
    wanted = in_order(books, sort)
    first = client.get(f"{API}/books", params={**mine, "expand": "writer"}).json()
    assert (ids(first["items"]), first["total"]) == (wanted, len(books))
    assert not [name for row in first["items"] for name in row if "__" in name]
    assert walked(client, {**mine, "size": 4}) == wanted
    second = client.get(f"{API}/books", params={**mine, "page": 2, "size": 4}).json()
    assert (ids(second["items"]), second["total"]) == (wanted[4:8], len(books))
    exported = client.get(f"{API}/books/export", params={**mine, "format": "ndjson"})
    assert [json.loads(line)["id"] for line in exported.text.splitlines()] == wanted
    name = books[0]["writer"]["name"]
    own = [row for row in books if row["writer"] and row["writer"]["name"] != name]
    assert ids(listed(client, "books", **mine, writer__name__ne=name)) == in_order(own, sort)
    some = [row for row in books if row["pages"] == 7 or row["writer"] == books[0]["writer"]]
    either = json.dumps([{"pages": 7}, {"writer__id": books[0]["author_id"]}])
    assert walked(client, {**mine, "any": either, "size": 2}) == in_order(some, sort)
    assert client.head(f"{API}/books", params=mine).headers["x-total-count"] == str(len(books))


@pytest.mark.usefixtures("way")
def test_the_whole_list_and_one_to_one(client: TestClient, books: list[Row]) -> None:
    """Without a filter, and by a row that refers to the listed one; a reference that is never null has fewer parts."""
    assert set(ids(books)) <= set(walked(client, {"sort": "-writer__name", "size": 100}))
    painters = sorted(unique() for _ in range(3))
    for painter in reversed(painters):
        made(client, "portraits", author_id=made(client, "authors", name=unique())["id"], painter=painter)
    for sort, of in (("portrait__painter", "authors"), ("-portrait__painter", "authors"), ("sitter__id", "portraits")):
        page = client.get(f"{API}/{of}", params={"sort": sort, "expand": sort.partition("__")[0].strip("-")}).json()
        assert page["items"]
        if of == "authors":
            found = [row["portrait"]["painter"] for row in page["items"] if row["portrait"]]
            assert found == sorted(found, reverse=sort.startswith("-"))
        else:
            assert [row["author_id"] for row in page["items"]] == sorted(row["author_id"] for row in page["items"])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sort", ["writer__name", "-writer__name", "-pages,writer__id"])
def test_a_parent_that_the_caller_does_not_see_is_null(
    client: TestClient, books: list[Row], sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name tells nothing: neither by the order, nor by a cursor, which another caller may use."""
    hidden = books[0]["writer"]

    def scope(caller: Caller | None) -> Any:
        return None if caller is not None and caller.is_admin else col(Author.id) != hidden["id"]

    monkeypatch.setattr(client.app.state.cruds[API][Author], "scope", scope)  # type: ignore[attr-defined]  # Starlette types it as any ASGI application
    stranger = sign_up(client)
    shown = [{**row, "writer": None} if row["writer"] == hidden else row for row in books]
    mine: Row = {"id__in": ",".join(map(str, ids(books))), "sort": sort, "size": 4}
    before = walked(client, mine, stranger)
    assert before == in_order(shown, sort)
    assert walked(client, mine) == in_order(books, sort)
    cursor = client.get(f"{API}/books", params=mine).json()["next_cursor"]
    pages_of = [
        client.get(f"{API}/books", params={"cursor": cursor}, headers=stranger).content
        for name in ("zzzz", hidden["name"])
        if client.patch(f"{API}/authors/{hidden['id']}", json={"name": name}).is_success
    ]
    assert pages_of[0] == pages_of[1]


def test_a_caller_who_may_not_read_the_parent_may_not_sort_by_it(client: TestClient) -> None:
    stranger = sign_up(client)
    for path in ("books", "books/export"):
        assert client.get(f"{API}/{path}?sort=house__name", headers=stranger).status_code == 403
        assert client.get(f"{API}/{path}?sort=house__name", headers={"Authorization": ""}).status_code == 401
        assert client.head(f"{API}/{path}?sort=house__name", headers=stranger).status_code == 403 or "export" in path


@pytest.mark.parametrize("word", WITHOUT)
def test_only_a_single_related_row_gives_an_order(client: TestClient, word: str) -> None:
    answer = client.get(f"{API}/books", params={"sort": word})
    assert (answer.status_code, answer.json()["errors"][0]["loc"][:2]) == (422, ["query", "sort"])
