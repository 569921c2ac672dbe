"""A test client that enters the application's thread once for each request; starlette's enters it seven times.

Most requests of tests are small, so most of their time went into that. A streamed response is read whole; to look at
its pieces, use starlette's own client.
"""

from typing import Any
from urllib.parse import unquote

import anyio
import httpx2
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

PEER, SERVER = ("testclient", 50000), ("testserver", 80)


class QuickClient(TestClient):
    """A client that responds like a server: an exception of the application is a 500.

    Enter it with `with`, so that the lifespan of the application runs.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, raise_server_exceptions=False)
        self._transport = DirectTransport(self)

    def before_request(self) -> None:
        """Run in the application's thread before each request. Does nothing by default."""


class DirectTransport(httpx2.BaseTransport):
    """Sends requests to the application in the client's own event loop."""

    def __init__(self, client: QuickClient) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the whole response."""
        assert self._client.portal is not None, "enter the client first: `with QuickClient(app) as client`"
        exchange = Exchange(self._client, request)
        self._client.portal.call(exchange.run)
        return exchange.answer(request)


class Exchange:
    """One request and its response."""

    def __init__(self, client: QuickClient, request: httpx2.Request) -> None:
        self._client = client
        self._app = client.app
        self._pending: list[Message] = [{"type": "http.request", "body": request.read(), "more_body": False}]
        self._start: Message = {"status": 500}
        self._body: list[bytes] = []
        path, _, query = request.url.raw_path.partition(b"?")
        self._scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "path": unquote(path.decode()),
            "raw_path": path,
            "root_path": "",
            "scheme": request.url.scheme,
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": PEER,
            "server": SERVER,
            "state": client.app_state.copy(),
        }

    async def run(self) -> None:
        """Let the application respond."""
        self._client.before_request()
        self._is_over = anyio.Event()
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # a server goes on: it responds with 500, or cuts off what it has begun
            if "type" in self._start and not self._is_over.is_set():
                raise httpx2.RemoteProtocolError("the application cut its response off") from error

    async def _receive(self) -> Message:
        if self._pending:
            return self._pending.pop()
        await self._is_over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body.append(message.get("body", b""))
        if not message.get("more_body", False):
            self._is_over.set()

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """Return what was sent."""
        headers = [(name.decode(), value.decode()) for name, value in self._start.get("headers", ())]
        return httpx2.Response(self._start["status"], headers=headers, content=b"".join(self._body), request=request)
