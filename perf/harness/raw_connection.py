"""One keep-alive connection that sends requests one after another and times each response.

It blocks in the measuring process, so requests to several servers can alternate and be compared in pairs. Use
`perf.harness.client` for many connections.
"""

import socket
import time
from typing import Self

from perf.harness.client import CONTENT_LENGTH, HEAD_END, HOST, Call

CHUNK_BYTES = 1 << 20
IDLE_SECONDS = 2.0  # servers close a connection that is idle; uvicorn does after 5 seconds


class ResponseError(RuntimeError):
    """A response was not a success, so its time means nothing."""


class RawConnection:
    """A connection to a server on this machine. Use it as a context manager.

    Before a request it is opened again if it was idle for IDLE_SECONDS, for example while a slow request went to
    another server.
    """

    def __init__(self, port: int, *, timeout_seconds: float = 300) -> None:
        self._port, self._timeout_seconds = port, timeout_seconds
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection((HOST, self._port), timeout=self._timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._used_at = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def milliseconds(self, call: Call) -> float:
        """Return the milliseconds from sending the request to the last byte of the response.

        Raises:
            ResponseError: the response was not a success, or the server closed the connection.
        """
        if time.perf_counter() - self._used_at > IDLE_SECONDS:
            self._socket.close()
            self._open()
        request = call.encode()
        started = time.perf_counter()
        self._socket.sendall(request)
        response, expected_bytes = b"", len(HEAD_END)
        while len(response) < expected_bytes or HEAD_END not in response:
            chunk = self._socket.recv(CHUNK_BYTES)
            if not chunk:
                raise ResponseError(f"{call.path}: the server closed the connection")
            response += chunk
            expected_bytes = _total_bytes(response)
        self._used_at = time.perf_counter()
        taken = (self._used_at - started) * 1000
        if response[9:10] != b"2":
            raise ResponseError(f"{call.path}: {response[:1000].decode(errors='replace')}")
        return taken


def _total_bytes(response: bytes) -> int:
    """Return the length of the whole response, or of what has arrived while the head is incomplete."""
    end = response.find(HEAD_END)
    length = CONTENT_LENGTH.search(response, 0, end) if end >= 0 else None
    return end + len(HEAD_END) + int(length[1]) if length else len(response)
