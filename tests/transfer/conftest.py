"""Fixtures: books that belong to one test, and requests to the application as a server sends them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient
from starlette.types import Message

from rowhouse.core.clock import now
from tests.conftest import unique
from tests.pages.conftest import post

Headers = dict[str, str]
CSV, NDJSON = "text/csv", "application/x-ndjson"
GONE: Message = {"type": "http.disconnect"}
Send = Callable[..., Response]


@pytest.fixture
def category(client: TestClient, admin: Headers) -> int:
    """A new category."""
    return int(post(client, "categories", {"name": unique("shelf")}, admin)["id"])


@pytest.fixture
def send(client: TestClient, admin: Headers) -> Send:
    """`send(content, kind)` returns the response to an import of books as administrator."""

    def post_file(content: str | bytes, kind: str = CSV, *, path: str = "books", **headers: str) -> Response:
        given = {**admin, "Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return client.post(f"/api/v1/{path}/import", content=content, headers=given)

    return post_file


@pytest.fixture
def moment() -> Callable[[int], str]:
    """`moment(2)` returns an instant two hours after a fixed instant of tomorrow."""
    start = now() + timedelta(days=1)
    return lambda hours: (start + timedelta(hours=hours if hours > 0 else hours * 24)).isoformat()


def total(client: TestClient, category: int) -> int:
    """Return the number of books in the category."""
    return int(client.get(f"/api/v1/books?category_id={category}").json()["total"])


@dataclass
class Conversation:
    """One request and its response. `received` counts the calls of `receive`."""

    sent: list[Message] = field(default_factory=list)
    received: int = 0

    @property
    def status(self) -> int:
        """The status of the response."""
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        """The body that was sent."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def is_whole(self) -> bool:
        """True if the response was completed."""
        return bool(self.sent) and self.sent[-1].get("more_body") is False


def piece(body: bytes, *, more: bool = True) -> Message:
    """Return a part of a request's body."""
    return {"type": "http.request", "body": body, "more_body": more}


def converse(
    client: TestClient, method: str, target: str, headers: Mapping[str, str], messages: Iterable[Message] = ()
) -> tuple[Conversation, BaseException | None]:
    """Call the application directly. After the last message the client stays connected."""
    path, _, query = target.partition("?")
    conversation, given = Conversation(), iter(messages)
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "server": ("testserver", 80),
        "client": ("testclient", 1),
    }

    async def receive() -> Message:
        conversation.received += 1
        message = next(given, None)
        return message if message is not None else await asyncio.Future()

    async def answer(message: Message) -> None:
        conversation.sent.append(message)

    async def talk() -> None:
        await client.app(scope, receive, answer)

    try:
        asyncio.run(talk())
    except Exception as error:  # noqa: BLE001  what breaks an answer off is for the test to judge
        return conversation, error
    return conversation, None
