"""A cheap HTTP/1.1 client: keep-alive connections on raw sockets, in a process of its own.

It must cost little beside the server, so it reads only what a benchmark needs: JSON responses with a content-length, or
chunked, from a loopback address. It checks every status, never retries, and does not measure the server. `drive` starts
the process; `python -m perf.harness.client` is that process.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"
# JSON contains no carriage return, so this can only be the end.
LAST_CHUNK = b"\r\n0\r\n\r\n"
HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request; `body` is JSON text."""

    method: str = "GET"
    path: str
    body: str = ""
    token: str = ""

    def encode(self) -> bytes:
        """Return the bytes of the request."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {HOST}", "accept: application/json"]
        if self.token:
            lines.append(f"authorization: Bearer {self.token}")
        body = self.body.encode()
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        return "\r\n".join(lines).encode() + HEAD_END + body


@dataclass(kw_only=True)
class Outcome:
    """The result of sending many calls. `latencies_ms` has one entry a request, failed ones included, in no order."""

    latencies_ms: list[float] = field(default_factory=list)
    failures: int = 0
    first_failure: str = ""
    seconds: float = 0.0

    def fail(self, reason: str) -> None:
        """Count a failure and keep the first reason."""
        self.failures += 1
        self.first_failure = self.first_failure or reason


class Connection(asyncio.Protocol):
    """Sends the next request when the last response is complete, until none is left."""

    _transport: asyncio.Transport

    def __init__(self, requests: Iterator[bytes], outcome: Outcome) -> None:
        self.finished = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._outcome = outcome
        self._buffer = bytearray()
        self._response_bytes = 0
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport. Nothing is sent before `send_next`."""
        self._transport = cast(asyncio.Transport, transport)

    def send_next(self) -> None:
        """Send the next request, or close the connection when none is left."""
        request = next(self._requests, None)
        if request is None:
            self.finished.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect bytes until the response is complete."""
        self._buffer += data
        if not self._response_bytes:
            self._read_head()
        if self._response_bytes and len(self._buffer) >= self._response_bytes:
            self._finish_response()

    def _read_head(self) -> None:
        end = self._buffer.find(HEAD_END)
        if end < 0:
            return
        length = CONTENT_LENGTH.search(self._buffer, 0, end)
        if length is not None:
            self._response_bytes = end + len(HEAD_END) + int(length[1])
        elif CHUNKED.search(self._buffer, 0, end) is None:
            self.abandon("the response has no content-length and is not chunked; this client cannot read it")
        elif self._buffer.endswith(LAST_CHUNK):
            self._response_bytes = len(self._buffer)

    def _finish_response(self) -> None:
        self._outcome.latencies_ms.append((time.perf_counter() - self._sent_at) * 1000)
        if self._buffer[9:10] != b"2":
            self._outcome.fail(self._buffer[:1000].decode(errors="replace"))
        self._buffer.clear()
        self._response_bytes = 0
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that closes before its response as a failure."""
        self.abandon(f"the server closed the connection: {exc}")

    def abandon(self, reason: str) -> None:
        """Count the request in flight as failed, if there is one, and close the connection."""
        if self.finished.done():
            return
        self._outcome.latencies_ms.append((time.perf_counter() - self._sent_at) * 1000)
        self._outcome.fail(reason)
        self.finished.set_result(None)
        self._transport.abort()


async def _run(port: int, *, requests: list[bytes], connections: int, timeout_seconds: float) -> Outcome:
    """Open every connection, then start sending on all of them."""
    loop = asyncio.get_running_loop()
    outcome, backlog = Outcome(), iter(requests)
    opened = [
        await loop.create_connection(lambda: Connection(backlog, outcome), HOST, port) for _ in range(connections)
    ]
    started_at = time.perf_counter()
    for _, connection in opened:
        connection.send_next()
    await asyncio.wait([connection.finished for _, connection in opened], timeout=timeout_seconds)
    for _, connection in opened:
        connection.abandon(f"no response within {timeout_seconds} s")
    for _ in backlog:
        outcome.fail("never sent: every connection was lost")
    outcome.seconds = time.perf_counter() - started_at
    return outcome


def drive(port: int, calls: Sequence[Call], *, connections: int, timeout_seconds: float) -> Outcome:
    """Send all calls from a separate client process and return what it measured.

    Raises:
        subprocess.CalledProcessError: the client failed, for example because the port is closed.
    """
    plan = {
        "port": port,
        "connections": connections,
        "timeout_seconds": timeout_seconds,
        "calls": [asdict(call) for call in calls],
    }
    client = subprocess.run(
        [sys.executable, "-m", "perf.harness.client"],
        input=json.dumps(plan).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return Outcome(**json.loads(client.stdout))


def main() -> None:
    """Read a plan from standard input, send its calls, and write the outcome to standard output."""
    plan = json.load(sys.stdin)
    requests = [Call(**call).encode() for call in plan.pop("calls")]
    outcome = uvloop.run(_run(plan.pop("port"), requests=requests, **plan))
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
