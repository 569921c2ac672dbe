"""Pages by cursor show every row once, in both directions and with nulls."""

from itertools import product
from typing import Any

import jwt
import pytest
from starlette.testclient import TestClient

from rowhouse.core.settings import DEVELOPMENT_SECRET
from tests.pages.conftest import Shelf

SORTS = [
    "id", "-id", "price", "-price", "-price,title", "price,-title", "-price,-id", "description", "-description",
    "description,-price", "-description,price,-stock", "cover_image,-description", "created_at", "price,description,-title",
]  # fmt: skip


def walk(client: TestClient, query: str, *, size: int) -> list[dict[str, Any]]:
    """Return every row from the first page on, cursor by cursor."""
    page = client.get(f"/api/v1/books?{query}&size={size}").json()
    rows, pages = list(page["items"]), 1
    while page["next_cursor"]:
        answer = client.get("/api/v1/books", params={"cursor": page["next_cursor"]})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert (page["total"], page["page"], page["pages"], page["size"]) == (None, None, None, size)
        assert page["items"], "a cursor led to an empty page"
        rows += page["items"]
        pages += 1
    assert pages == -(-len(rows) // size)
    return rows


@pytest.fixture
def shelf(add_book: Shelf, category: int) -> int:
    """Eighteen books with ties and nulls in every sort column."""
    for price, description, cover in product((5, "7.50", 9), (None, "a", "B"), (None, "/c.svg")):
        add_book(price=price, description=description, cover_image=cover, stock=3)
    return category


@pytest.mark.parametrize("size", [1, 4, 18, 100])
@pytest.mark.parametrize("sort", SORTS)
def test_a_walk_gives_what_one_page_gives(client: TestClient, shelf: int, sort: str, size: int) -> None:
    query = f"category_id={shelf}&sort={sort}"
    whole = client.get(f"/api/v1/books?{query}&size=100").json()
    assert whole["total"] == 18
    assert whole["next_cursor"] is None
    assert walk(client, query, size=size) == whole["items"]


def test_rows_that_come_and_go_do_not_disturb_a_walk(
    client: TestClient, admin: dict[str, str], add_book: Shelf, category: int
) -> None:
    first = [add_book(price=n)["id"] for n in range(1, 9)]
    page = client.get(f"/api/v1/books?category_id={category}&sort=-price&size=3").json()
    client.delete(f"/api/v1/books/{page['items'][0]['id']}", headers=admin)
    add_book(price=99)
    behind = add_book(price="0.50")["id"]
    seen = [row["id"] for row in page["items"]]
    while page["next_cursor"]:
        page = client.get("/api/v1/books", params={"cursor": page["next_cursor"]}).json()
        seen += [row["id"] for row in page["items"]]
    assert seen == [*reversed(first), behind]


def test_the_cursor_brings_its_query_and_takes_no_other(client: TestClient, shelf: int) -> None:
    page = client.get(f"/api/v1/books?category_id={shelf}&sort=price&size=5").json()
    cursor = page["next_cursor"]
    expected = client.get("/api/v1/books", params={"cursor": cursor}).json()["items"]
    same = {"cursor": cursor, "category_id": shelf, "sort": "price", "size": 5}
    assert client.get("/api/v1/books", params=same).json()["items"] == expected
    assert len(client.get("/api/v1/books", params={"cursor": cursor, "limit": 2}).json()["items"]) == 2
    for other in ({"sort": "-price"}, {"category_id": shelf + 1}, {"page": 2}, {"skip": 1}, {"stock": 1}, {"size": 0}):
        answer = client.get("/api/v1/books", params={"cursor": cursor, **other})
        assert answer.status_code == 422, other


def test_a_forged_or_foreign_cursor_is_refused(client: TestClient, shelf: int) -> None:
    cursor = client.get(f"/api/v1/books?category_id={shelf}&size=1").json()["next_cursor"]
    claims = jwt.decode(cursor, options={"verify_signature": False})
    forged = [
        "x",
        cursor[:-2],
        jwt.encode(claims, "another-secret-of-thirty-two-bytes!", algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode({**claims, "typ": "access"}, DEVELOPMENT_SECRET, algorithm="HS256"),
        jwt.encode({**claims, "at": []}, DEVELOPMENT_SECRET, algorithm="HS256"),
        jwt.encode({**claims, "at": ["x"]}, DEVELOPMENT_SECRET, algorithm="HS256"),
    ]
    for token in forged:
        answer = client.get("/api/v1/books", params={"cursor": token})
        assert answer.status_code == 422, token
        assert answer.json()["errors"][0]["type"] == "cursor_invalid"
    assert client.get("/api/v1/categories", params={"cursor": cursor}).status_code == 422


def test_a_cursor_under_its_encoded_name_is_one(client: TestClient, shelf: int) -> None:
    """It is not overlooked because the query was cached or looks like another one."""
    page = client.get(f"/api/v1/books?category_id={shelf}&size=1").json()
    for _ in range(2):
        assert client.get("/api/v1/books?%63ursor=x").status_code == 422
        behind = client.get(f"/api/v1/books?%63ursor={page['next_cursor']}").json()
        assert behind["items"][0]["id"] > page["items"][0]["id"]


def test_a_cursor_shows_no_rows_of_others(
    client: TestClient, admin: dict[str, str], driver: dict[str, str], user: dict[str, str]
) -> None:
    for plate in ("C-1", "C-2", "C-3"):
        body = {"plate": plate, "connector": "ccs"}
        assert client.post("/api/v1/vehicles", json=body, headers=driver).status_code == 201
    cursor = client.get("/api/v1/vehicles?size=1", headers=admin).json()["next_cursor"]
    assert client.get("/api/v1/vehicles", params={"cursor": cursor}, headers=user).json()["items"] == []
