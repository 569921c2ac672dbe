"""A TestClient that crosses to the application's thread once for a request, where starlette's crosses seven times.

Most of what the tests send is small and answered at once, so most of their time was spent on the way there. What
streams is gathered whole; a test that looks at a stream's pieces uses starlette's own.
"""

from typing import Any
from urllib.parse import unquote

import anyio
import httpx2
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

from tests.coverage_control import follow_the_test

PEER, SERVER = ("testclient", 50000), ("testserver", 80)


class QuickClient(TestClient):
    """Answers like a server: what the application lets escape is a 500.

    Entered like any other, so that its lifespan runs.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, raise_server_exceptions=False)
        self._transport = OneHop(self)


class OneHop(httpx2.BaseTransport):
    """Has the application answer in the client's own event loop."""

    def __init__(self, client: QuickClient) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The whole answer."""
        assert self._client.portal is not None, "enter the client first: `with QuickClient(app) as client`"
        exchange = Exchange(self._client, request)
        self._client.portal.call(exchange.run)
        return exchange.answer(request)


class Exchange:
    """One request and what is sent back."""

    def __init__(self, client: QuickClient, request: httpx2.Request) -> None:
        self._app = client.app
        self._pending: list[Message] = [{"type": "http.request", "body": request.read(), "more_body": False}]
        self._start: Message = {"status": 500}
        self._body: list[bytes] = []
        path, _, query = request.url.raw_path.partition(b"?")
        self._scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "path": unquote(request.url.path),
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
        """Let the application answer."""
        follow_the_test()
        self._is_over = anyio.Event()
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # a server lives on: it answers 500, or breaks off what it has begun
            if "type" in self._start and not self._is_over.is_set():
                raise httpx2.RemoteProtocolError("the application broke its answer off") from error

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
        """What was sent."""
        headers = [(name.decode(), value.decode()) for name, value in self._start.get("headers", ())]
        return httpx2.Response(self._start["status"], headers=headers, content=b"".join(self._body), request=request)
