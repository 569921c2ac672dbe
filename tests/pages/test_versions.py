"""Entity tags: a known version is 304, and a change of a stale version is 412 and changes nothing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.testclient import TestClient

from tests.pages.conftest import Shelf


def test_a_known_version_is_not_sent_again(client: TestClient, add_book: Shelf) -> None:
    path = f"/api/v1/books/{add_book()['id']}"
    tag = client.get(path).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_every_answer_of_a_row_carries_its_version(
    client: TestClient, admin: dict[str, str], add_book: Shelf, category: int
) -> None:
    body = {"title": f"tagged {category}", "author": "A", "price": 1, "category_id": category}
    made = client.post("/api/v1/books", json=body, headers=admin)
    path = made.headers["Location"]
    assert client.get(path).headers["ETag"] == made.headers["ETag"]
    changed = client.patch(path, json={"stock": 1}, headers=admin)
    assert changed.headers["ETag"] != made.headers["ETag"]
    assert client.get(path).headers["ETag"] == changed.headers["ETag"]


def test_a_stale_change_is_refused_and_changes_nothing(
    client: TestClient, admin: dict[str, str], add_book: Shelf
) -> None:
    path = f"/api/v1/books/{add_book(stock=1)['id']}"
    first = client.get(path).headers["ETag"]
    assert client.patch(path, json={"stock": 2}, headers={**admin, "If-Match": first}).status_code == 200
    for method, body in (("PATCH", {"stock": 3}), ("PUT", {"stock": 3}), ("DELETE", None)):
        for stale in (first, f"W/{first}", '"x"', "nonsense"):
            answer = client.request(method, path, json=body, headers={**admin, "If-Match": stale})
            assert (answer.status_code, answer.json()["code"]) == (412, "stale")
    assert client.get(path).json()["stock"] == 2
    present = client.get(path).headers["ETag"]
    assert client.delete(path, headers={**admin, "If-Match": f'"x", {present}'}).status_code == 204
    assert client.patch(path, json={"stock": 3}, headers={**admin, "If-Match": "*"}).status_code == 404


def test_of_two_writers_with_one_version_one_wins(client: TestClient, admin: dict[str, str], add_book: Shelf) -> None:
    path = f"/api/v1/books/{add_book()['id']}"

    def change(tag: str, stock: int) -> Any:
        return client.patch(path, json={"stock": stock}, headers={**admin, "If-Match": tag})

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            tag = client.get(path).headers["ETag"]
            answers = list(pool.map(change, [tag] * 8, range(10, 18)))
            winners = [answer for answer in answers if answer.status_code == 200]
            assert len(winners) == 1
            assert {answer.status_code for answer in answers} == {200, 412}
            assert client.get(path).json() == winners[0].json()
