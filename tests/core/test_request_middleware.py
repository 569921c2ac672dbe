"""Every response has a request id and security headers, errors too."""

import asyncio
import base64
import hashlib
import re
from typing import Annotated, Any

import pytest
import structlog
from fastapi import Query
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from rowhouse.app.request_middleware import RequestMiddleware
from rowhouse.core.settings import Settings
from rowhouse.health.drain import Drain
from rowhouse.http.routing import Router
from tests.core.conftest import Serve, build

CLOSED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
ORIGIN = "https://shop.example"


@pytest.fixture
def probes() -> Router:
    """Routes with every kind of response."""
    router = Router()

    @router.get("/fine")
    def fine(number: Annotated[int, Query(ge=0)] = 0) -> int:
        return number

    @router.post("/read")
    def read(body: dict[str, int]) -> int:
        return len(body)

    @router.get("/broken")
    def broken() -> None:
        raise RuntimeError("hidden words")

    return router


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/ready", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/docs", 405),
        ("GET", "/api/v1/fine", 200),
        ("GET", "/api/v1/nowhere", 404),
        ("POST", "/api/v1/fine", 405),
        ("POST", "/api/v1/read", 415),
        ("GET", "/api/v1/fine?number=-1", 422),
        ("GET", "/api/v1/broken", 500),
    ],
)
def test_every_answer_carries_the_headers(serve: Serve, probes: Router, method: str, path: str, status: int) -> None:
    """Once each, with the request id of the request. An error is a problem."""
    answer = serve(probes).request(method, path, headers={"X-Request-ID": "mine-1.0_x"})
    assert answer.status_code == status
    for name, value in {**CLOSED, "x-request-id": "mine-1.0_x"}.items():
        assert answer.headers.get_list(name) == [value], name
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_a_body_too_large_carries_them_too(serve: Serve, probes: Router) -> None:
    """413, and the rest is not read."""
    answer = serve(probes, max_body_bytes=1024).post("/api/v1/read", json={"x" * 2000: 1})
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
    assert CLOSED.items() <= answer.headers.items()


def test_a_500_gives_nothing_away(serve: Serve, probes: Router) -> None:
    """The log has the message, the client does not."""
    answer = serve(probes).get("/api/v1/broken")
    assert answer.json()["code"] == "internal_error"
    assert "hidden" not in answer.text


def test_a_500_is_raised_on_to_the_server(sqlite_url: str, probes: Router) -> None:
    """The server logs the traceback."""
    with TestClient(build(sqlite_url, probes)) as client, pytest.raises(RuntimeError, match="hidden words"):
        client.get("/api/v1/broken")


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_have_a_policy_of_their_own(serve: Serve, path: str) -> None:
    """It allows nothing from elsewhere."""
    client = serve()
    answer = client.get(path)
    (policy,) = answer.headers.get_list("content-security-policy")
    assert answer.status_code == 200
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "http" not in policy
    for script in re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL):
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    for asset in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert client.get(asset).status_code == 200, asset


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "ä", "a\tb", "<script>", 'quo"te'])
def test_a_malformed_request_id_is_replaced(serve: Serve, given: str) -> None:
    """It would be written to the log."""
    made = serve().get("/health", headers={b"X-Request-ID": given.encode()}).headers["x-request-id"]
    assert made != given
    assert len(made) == 32


def test_a_request_id_is_made(serve: Serve) -> None:
    """A new one each time. A given one has at most 128 characters."""
    client = serve()
    assert len({client.get("/health").headers["x-request-id"] for _ in range(3)}) == 3
    assert client.get("/health", headers={"X-Request-ID": "x" * 128}).headers["x-request-id"] == "x" * 128


async def _receive() -> Message:
    return {"type": "http.request"}


def call(app: Any, scope: Scope) -> list[Message]:
    """Return the messages of an ASGI application behind the middleware, until it ends or raises."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def scenario() -> None:
        try:
            edge = RequestMiddleware(app, access_log=False, last_resort=app, drain=Drain(Settings()))
            await edge(scope, _receive, send)
        finally:
            bound.append(structlog.contextvars.get_contextvars())

    bound: list[dict[str, Any]] = []
    with pytest.raises(RuntimeError, match="afterwards"):
        asyncio.run(scenario())
    assert bound == [{"request_id": "known"}] if scope["type"] == "http" else [{}]
    return sent


HTTP: Scope = {
    "type": "http",
    "path": "/",
    "method": "GET",
    "headers": [(b"x-other", b"1"), (b"x-request-id", b"known")],
}


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    """The error goes on to the server, whose log lines have the request's id."""

    async def half(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("afterwards")

    start, body = call(half, HTTP)
    assert (start["status"], body["body"]) == (200, b"half")


def test_other_protocols_pass() -> None:
    """Unchanged."""

    async def websocket(scope: Scope, _receive: Receive, send: Send) -> None:
        assert "state" not in scope
        await send({"type": "websocket.accept"})
        raise RuntimeError("afterwards")

    assert call(websocket, {"type": "websocket"}) == [{"type": "websocket.accept"}]


def test_cors_is_closed_unless_configured(serve: Serve, probes: Router) -> None:
    """Open for the configured origins, and for no others."""
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    closed, opened = serve(probes), serve(probes, cors_origins=(ORIGIN,))
    assert closed.options("/api/v1/read", headers=preflight).status_code == 405
    assert "access-control-allow-origin" not in closed.get("/api/v1/fine", headers={"Origin": ORIGIN}).headers
    answer = opened.options("/api/v1/read", headers=preflight)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert CLOSED.items() <= answer.headers.items()
    answer = opened.get("/api/v1/fine", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in answer.headers
