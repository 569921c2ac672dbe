"""Batches store all rows or none, name the faulty element, and need a number of statements that does not grow."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.core.clock import now
from rowhouse.sql.chunks import MAX_PARAMETERS, chunked
from tests.conftest import unique
from tests.pages.conftest import post
from tests.statement_counter import statements_sent

BATCH = "/api/v1/books/batch"


def books(category: int, count: int, **members: Any) -> list[dict[str, Any]]:
    """Return bodies of new books."""
    return [
        {"title": unique("batch"), "author": f"A{n}", "price": n + 1, "category_id": category, **members}
        for n in range(count)
    ]


def total(client: TestClient, category: int) -> int:
    """Return the number of books in the category."""
    return int(client.get(f"/api/v1/books?category_id={category}").json()["total"])


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_a_batch_is_stored_in_order(client: TestClient, admin: dict[str, str], category: int, count: int) -> None:
    bodies = books(category, count)
    answer = client.post(BATCH, json=bodies, headers=admin)
    assert answer.status_code == 201, answer.text
    rows = answer.json()
    assert [row["title"] for row in rows] == [body["title"] for body in bodies]
    assert rows == [client.get(f"/api/v1/books/{row['id']}").json() for row in rows[:3]] + rows[3:]
    assert total(client, category) == count


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_one_to_a_thousand_elements(
    client: TestClient, admin: dict[str, str], category: int, count: int
) -> None:
    assert client.post(BATCH, json=books(category, count), headers=admin).status_code == 422
    assert total(client, category) == 0


@pytest.mark.parametrize("position", [0, 3, 9])
@pytest.mark.parametrize(
    ("fault", "status"), [({"price": -1}, 422), ({"id": 1}, 422), ({"category_id": 2_000_000_000}, 409), ("title", 409)]
)
def test_one_bad_element_refuses_all_and_is_named(
    client: TestClient, admin: dict[str, str], category: int, fault: Any, status: int, position: int
) -> None:
    bodies = books(category, 10)
    if fault == "title":
        fault = {"title": post(client, "books", books(category, 1)[0], admin)["title"]}
    bodies[position].update(fault)
    before = total(client, category)
    answer = client.post(BATCH, json=bodies, headers=admin)
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["loc"][:2] == ["body", position]
    assert total(client, category) == before


def test_rows_change_together(client: TestClient, admin: dict[str, str], category: int) -> None:
    made = client.post(BATCH, json=books(category, 6), headers=admin).json()
    changes: list[dict[str, Any]] = [
        {"id": row["id"], "stock": n} if n % 2 else {"id": row["id"], "price": "3.25", "description": None}
        for n, row in enumerate(made)
    ]
    answer = client.patch(BATCH, json=changes[::-1], headers=admin)
    assert answer.status_code == 200, answer.text
    rows = answer.json()[::-1]
    assert [row["id"] for row in rows] == [row["id"] for row in made]
    for n, (row, old) in enumerate(zip(rows, made, strict=True)):
        assert (row["stock"], row["price"]) == ((n, old["price"]) if n % 2 else (old["stock"], 3.25))
        assert (row["title"], row["created_at"]) == (old["title"], old["created_at"])
        assert row["updated_at"] > old["updated_at"]
        assert client.get(f"/api/v1/books/{row['id']}").json() == row


@pytest.mark.parametrize(
    ("fault", "status"),
    [({"stock": -1}, 422), ({"title": None}, 422), ({"nope": 1}, 422), ({"category_id": 2_000_000_000}, 409)],
)
def test_one_bad_change_refuses_all_and_is_named(
    client: TestClient, admin: dict[str, str], category: int, fault: dict[str, Any], status: int
) -> None:
    made = client.post(BATCH, json=books(category, 4), headers=admin).json()
    changes: list[dict[str, Any]] = [{"id": row["id"], "stock": 9} for row in made]
    changes[2].update(fault)
    answer = client.patch(BATCH, json=changes, headers=admin)
    assert answer.status_code == status, answer.text
    assert answer.json()["errors"][0]["loc"][:2] == ["body", 2]
    assert client.get(f"/api/v1/books/{made[0]['id']}").json() == made[0]


def test_missing_repeated_and_empty_elements_are_named(
    client: TestClient, admin: dict[str, str], category: int
) -> None:
    first, second = (row["id"] for row in client.post(BATCH, json=books(category, 2), headers=admin).json())
    for changes, status in (
        ([{"id": first, "stock": 1}, {"id": 2_000_000_000, "stock": 1}], 404),
        ([{"id": first, "stock": 1}, {"id": first, "stock": 2}], 422),
        ([{"id": first, "stock": 1}, {"id": second}], 400),
    ):
        answer = client.patch(BATCH, json=changes, headers=admin)
        assert answer.status_code == status, answer.text
        assert answer.json()["errors"][0]["loc"][:2] == ["body", 1]
    assert client.get(f"/api/v1/books/{first}").json()["stock"] == 0


def test_rows_go_together(client: TestClient, admin: dict[str, str], category: int) -> None:
    ids = [row["id"] for row in client.post(BATCH, json=books(category, 5), headers=admin).json()]
    for query, status in (("", 422), ("?ids=", 422), ("?ids=x", 422), (f"?ids={ids[0]},2000000000", 404), (f"?ids={ids[0]},{ids[0]}", 422), (f"?ids={ids[0]}&x=1", 422)):  # fmt: skip
        assert client.delete(BATCH + query, headers=admin).status_code == status, query
    assert total(client, category) == 5
    assert client.delete(f"{BATCH}?ids={','.join(map(str, ids[:4]))}", headers=admin).status_code == 204
    assert total(client, category) == 1
    other = post(client, "categories", {"name": unique("empty")}, admin)["id"]
    answer = client.delete(f"/api/v1/categories/batch?ids={other},{category}", headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (409, "still_referenced")
    assert answer.json()["errors"][0]["loc"] == ["query", "ids", 1]
    assert client.get(f"/api/v1/categories/{other}").status_code == 200


def test_another_drivers_rows_stay(client: TestClient, driver: dict[str, str], admin: dict[str, str]) -> None:
    mine, theirs = (
        post(client, "vehicles", {"plate": "B-1", "connector": "ccs"}, who)["id"] for who in (driver, admin)
    )
    changes = [{"id": mine, "plate": "X"}, {"id": theirs, "plate": "X"}]
    answer = client.patch("/api/v1/vehicles/batch", json=changes, headers=driver)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (404, ["body", 1])
    assert client.delete(f"/api/v1/vehicles/batch?ids={mine},{theirs}", headers=driver).status_code == 404
    for row in (mine, theirs):
        assert client.get(f"/api/v1/vehicles/{row}", headers=admin).json()["plate"] == "B-1"


def test_the_number_of_statements_does_not_grow(
    client: TestClient, app: FastAPI, admin: dict[str, str], category: int
) -> None:
    counts = []
    for count in (8, 512):
        with statements_sent() as seen:
            rows = client.post(BATCH, json=books(category, count), headers=admin).json()
            client.patch(BATCH, json=[{"id": row["id"], "stock": 1} for row in rows], headers=admin)
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_a_batch_of_bookings_keeps_the_rules(client: TestClient, admin: dict[str, str], driver: dict[str, str]) -> None:
    point = {"code": unique("b"), "name": "n", "latitude": 1, "longitude": 1, "connector": "ccs", "power_kw": 50}
    at = post(client, "charge-points", {**point, "price_per_kwh": 1}, admin)["id"]

    start = now() + timedelta(hours=2)

    def slot(hours: int) -> dict[str, Any]:
        begin = start + timedelta(hours=hours)
        return {
            "charge_point_id": at,
            "start_time": begin.isoformat(),
            "end_time": (begin + timedelta(hours=1)).isoformat(),
        }

    answer = client.post("/api/v1/bookings/batch", json=[slot(0), slot(1), slot(0)], headers=driver)
    assert (answer.status_code, answer.json()["code"]) == (409, "slot_taken")
    assert answer.json()["errors"][0]["loc"] == ["body", 2]
    mine = {"charge_point_id": at}
    assert client.get("/api/v1/bookings", params=mine, headers=driver).json()["total"] == 0
    assert client.post("/api/v1/bookings/batch", json=[slot(0), slot(1)], headers=driver).status_code == 201


def test_a_batch_may_carry_a_key(client: TestClient, admin: dict[str, str], category: int) -> None:
    bodies, headers = books(category, 3), {**admin, "Idempotency-Key": unique("key")}
    first, second = (client.post(BATCH, json=bodies, headers=headers) for _ in range(2))
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert total(client, category) == 3


def test_a_change_that_clashes_is_named(client: TestClient, admin: dict[str, str], category: int) -> None:
    made = client.post(BATCH, json=books(category, 4), headers=admin).json()
    taken = post(client, "books", books(category, 1)[0], admin)["title"]
    changes = [{"id": row["id"], "title": unique("new")} for row in made]
    changes[1]["title"] = taken
    answer = client.patch(BATCH, json=changes, headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (409, "duplicate")
    assert answer.json()["errors"][0]["loc"] == ["body", 1]
    assert [client.get(f"/api/v1/books/{row['id']}").json() for row in made] == made


def test_wide_rows_go_in_smaller_blocks() -> None:
    sizes = [len(block) for _start, block in chunked(range(1000), columns=100)]
    assert sum(sizes) == 1000
    assert max(sizes) * 100 <= MAX_PARAMETERS
    assert [start for start, _ in chunked(range(7), columns=100)] == [0, 4, 6]
