"""`Idempotency-Key` on several servers.

Concurrent copies, and a server that dies before its response is read (docs/contract.md §5).
"""

import json
import socket

import httpx2

from tests.concurrency.clients import Headers
from tests.concurrency.servers import HOST, Server, together
from tests.concurrency.tables import Tables, columns_of
from tests.conftest import unique
from tests.sample_entities.shop.models import Category

COPIES = 16


def categories(tables: Tables, name: str) -> int:
    """How many categories of the name the table holds."""
    return tables.count(columns_of(Category).name == name)


def test_copies_that_arrive_at_once_on_two_servers_make_one_row(
    clients: list[httpx2.Client], tables: Tables, admin_headers: Headers
) -> None:
    """All get the first one's 201, and all but one say that it is a replay; a failure under the key leaves it free."""
    name, key = unique("copied"), {"Idempotency-Key": unique("key")}

    def post(number: int) -> httpx2.Response:
        return clients[number % len(clients)].post("/categories", json={"name": name}, headers=admin_headers | key)

    answers = together(post, COPIES)
    assert [answer.status_code for answer in answers] == [201] * COPIES
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert categories(tables, name) == 1


def test_copies_of_a_batch_make_its_rows_once(
    clients: list[httpx2.Client], tables: Tables, admin_headers: Headers
) -> None:
    names, key = [unique("batched") for _ in range(20)], {"Idempotency-Key": unique("key")}

    def post(number: int) -> httpx2.Response:
        body = [{"name": name} for name in names]
        return clients[number % len(clients)].post("/categories/batch", json=body, headers=admin_headers | key)

    answers = together(post, COPIES)
    assert [answer.status_code for answer in answers] == [201] * COPIES
    assert len({answer.text for answer in answers}) == 1
    assert [categories(tables, name) for name in names] == [1] * len(names)


def test_a_copy_after_the_server_died_with_the_answer_gets_that_answer(
    clients: list[httpx2.Client], tables: Tables, victim: Server, admin_headers: Headers
) -> None:
    """The first server commits and is killed before its client has read a byte.

    The second gives the stored answer, and no second row.
    """
    name, key = unique("orphan"), unique("key")
    body = json.dumps({"name": name}).encode()
    headers = admin_headers | {"Idempotency-Key": key, "Content-Type": "application/json"}
    with socket.create_connection((HOST, victim.port)) as connection:
        connection.sendall(request(headers, body))
        wait_for(tables, name)
        victim.kill()
    again = clients[0].post("/categories", content=body, headers=headers)
    assert again.status_code == 201, again.text
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["name"] == name
    assert categories(tables, name) == 1
    stored = clients[1].get(again.headers["location"].removeprefix("/api/v1"))
    assert stored.json() == again.json()


def request(headers: Headers, body: bytes) -> bytes:
    """The bytes of the request."""
    lines = ["POST /api/v1/categories HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def wait_for(tables: Tables, name: str) -> None:
    """Look until the row is committed."""
    for _ in range(100_000):
        if categories(tables, name):
            return
    raise AssertionError("the row never came")
