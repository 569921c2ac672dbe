"""Bodies that arrive in pieces, sent as a server sends them, because Starlette's test client joins them."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from starlette.testclient import TestClient
from starlette.types import Message

from tests.conftest import unique

Answer = tuple[int, bytes]
PIECE = b" " * 300_000


def post(client: TestClient, path: str, headers: dict[str, str], pieces: Iterator[bytes]) -> Answer:
    """Return the status and the body of the response to a body without a `Content-Length`."""
    sent: list[Message] = []
    given = {**headers, "content-type": "application/json"}

    async def receive() -> Message:
        piece = next(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "server": ("testserver", 80),
        "client": ("testclient", 1),
    }

    async def talk() -> None:
        await client.app(scope, receive, send)

    asyncio.run(talk())
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def test_a_body_may_come_in_pieces(odd_client: TestClient, odd_admin: dict[str, str]) -> None:
    """Cut anywhere, also within a character."""
    name = unique("Blätter")
    body = json.dumps({"name": name, "position": 7}, ensure_ascii=False).encode()
    cut = body.index("ä".encode()) + 1
    status, content = post(odd_client, "/api/v1/leaves", odd_admin, iter([body[:cut], b"", body[cut:]]))
    assert status == 201
    row = json.loads(content)
    assert (row["name"], row["position"]) == (name, 7)
    assert odd_client.get(f"/api/v1/leaves/{row['id']}").json() == row


def test_an_endless_body_is_not_read_to_its_end(odd_client: TestClient, odd_admin: dict[str, str]) -> None:
    """413 when it is too long. The rest is not read, and nothing is stored."""
    before = odd_client.get("/api/v1/leaves").json()["total"]
    read: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            read.append(len(PIECE))
            yield PIECE

    status, content = post(odd_client, "/api/v1/leaves", odd_admin, endless())
    assert (status, json.loads(content)["code"]) == (413, "content_too_large")
    assert len(read) == 4
    assert odd_client.get("/api/v1/leaves").json()["total"] == before
