"""The CRUD profile of HttpArena: both applications keep its rules, and one command measures them."""

import json
from collections.abc import Iterator

import httpx2
import pytest

from perf.app.arena.command import TARGETS, main, make_table, mix
from perf.harness.servers import postgres, serve

NEW = {"id": 200_001, "name": "Bench Test", "category": "test", "price": 25, "quantity": 10}


@pytest.fixture(scope="module", params=TARGETS, ids=lambda target: str(target.name))
def client(request: pytest.FixtureRequest) -> Iterator[httpx2.Client]:
    with postgres() as cluster, cluster.database("arena") as url:
        make_table(url, rows=200)
        with (
            serve(request.param, url) as server,
            httpx2.Client(base_url=f"http://127.0.0.1:{server.port}/crud") as made,
        ):
            yield made


def test_a_list_is_a_page_of_its_category(client: httpx2.Client) -> None:
    page = client.get("/items", params={"category": "office", "limit": 5, "page": 2}).json()
    assert [item["id"] for item in page["items"]] == [21, 25, 29, 33, 37]
    assert (page["total"], page["page"], page["limit"]) == (5, 2, 5)
    assert page["items"][0]["rating"] == {"score": 21, "count": 21}


def test_a_get_is_cached_until_the_item_changes(client: httpx2.Client) -> None:
    assert [client.get("/items/42").headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]
    changed = client.put("/items/42", json={"name": "Updated", "price": 30, "quantity": 5})
    assert (changed.status_code, changed.json()["name"]) == (200, "Updated")
    again = client.get("/items/42")
    assert (again.headers["X-Cache"], again.json()["name"]) == ("MISS", "Updated")
    assert client.get("/items/999999").status_code == 404


def test_a_post_creates_and_changes(client: httpx2.Client) -> None:
    for price in (25, 26):
        assert client.post("/items", json={**NEW, "price": price}).status_code == 201
    assert client.get("/items/200001").json()["price"] == 26


def test_the_mix_is_that_of_the_profile() -> None:
    kinds = [(call.method, "?" in call.path) for call in mix(200, seed=1)]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        ("GET", False): 150, ("PUT", False): 30, ("GET", True): 10, ("POST", False): 10,
    }  # fmt: skip
    assert len({json.loads(call.body)["id"] for call in mix(200, seed=1) if call.method == "POST"}) == 10


def test_one_command_makes_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1", "--requests", "40", "--connections", "4", "--rows", "50000"]) == 0
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")] == [
        "| application", "| rowhouse", "| fastapi",
    ]  # fmt: skip
