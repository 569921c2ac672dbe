"""An HTTP/1.1 connection that limits the time and the size of a request's line and headers. uvicorn's own does not.

Without the limits, connections that never finish a request use up the process's file descriptors, and a header may be
as large as memory. uvicorn makes a connection of this class for each client (`rowhouse.cli.serve`). Knows no route.
"""

import asyncio
import json
from typing import ClassVar
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rowhouse.app.request_middleware import SECURITY_HEADERS
from rowhouse.core.settings import Settings

TITLES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
DETAILS = {
    400: "This is not a valid HTTP/1.1 request; see its line, its headers and the length of its body.",
    408: "The request's headers did not arrive in time.",
    431: "The request's line and headers are larger than this server takes.",
}
CODES = {400: "bad_request", 408: "request_timeout", 431: "request_header_fields_too_large"}


class HeadTooLargeError(Exception):
    """A request's line and headers are over the limit."""


class Connection(HttpToolsProtocol):
    """A connection that closes when a request's head takes too long, and responds with 431 when it is too large."""

    head_seconds: ClassVar[float] = 10
    most_head_bytes: ClassVar[int] = 64 * 1024

    _timer: asyncio.TimerHandle | None = None
    _is_in_head = True
    _heads = 0
    _head_bytes = 0
    _piece = 0
    _is_too_large = False

    @classmethod
    def limit(cls, settings: Settings) -> None:
        """Apply the settings to every connection of this process."""
        cls.head_seconds, cls.most_head_bytes = settings.header_seconds, settings.max_header_bytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Start the timer for the first request's head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, and count those of an incomplete head."""
        heads, self._piece = self._heads, len(data)
        super().data_received(data)
        if self._is_in_head:
            if self.transport.is_closing():
                return  # refused
            # If the head began within these bytes, its position is unknown. They are few, so they do not count.
            self._head_bytes = self._head_bytes + len(data) if heads == self._heads else 0
            if self._head_bytes > self.most_head_bytes:
                self._refuse(431)
            elif self._timer is None:
                self._await_head()
        elif self._timer is None and self._has_responded():
            self._await_head()  # the rest of a body that nobody reads, which ended uvicorn's own timer

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Reject a complete head that is too large: its last bytes may arrive together with its end."""
        if self._head_bytes + self._piece > self.most_head_bytes and self._head_size() > self.most_head_bytes:
            self._is_too_large = True
            raise HeadTooLargeError
        self._is_in_head, self._head_bytes = False, 0
        self._heads += 1
        self._stop_waiting()
        super().on_headers_complete()

    def _has_responded(self) -> bool:
        """Return True if the response to the latest request is complete."""
        return self.cycle is not None and self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's signature
        """Respond to a request that the parser or `on_headers_complete` rejects."""
        if not self.transport.is_closing():
            self._refuse(431 if self._is_too_large else 400)

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        """Respond with 408 if the client has begun a request. Otherwise only close the connection."""
        if self._head_bytes:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        """Respond and close, with the headers that the middleware adds to every other response."""
        self._stop_waiting()
        problem = {
            "type": "about:blank",
            "title": TITLES[status],
            "status": status,
            "detail": DETAILS[status],
            "code": CODES[status],
        }
        body = json.dumps(problem).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-request-id", uuid4().hex.encode()),
            *SECURITY_HEADERS,
        ]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + body)
        self.transport.close()
