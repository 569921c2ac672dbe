"""A cheap HTTP/1.1 client: keep-alive connections on raw sockets, in a process of its own.

It must cost little beside the server it drives, so it knows only what a benchmark needs: answers of
JSON with a content-length, or in chunks, on a loopback address. It judges every status; it never retries and never
measures the server. `drive` starts the process; `python -m perf.client` is that process.
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
# JSON holds no carriage return, so this stands nowhere but at the end.
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
        """The request as it goes over the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {HOST}", "accept: application/json"]
        if self.token:
            lines.append(f"authorization: Bearer {self.token}")
        body = self.body.encode()
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        return "\r\n".join(lines).encode() + HEAD_END + body


@dataclass(kw_only=True)
class Outcome:
    """What a drive saw. `latencies_ms` holds every request, failed ones too, in no order."""

    latencies_ms: list[float] = field(default_factory=list)
    failures: int = 0
    first_failure: str = ""
    seconds: float = 0.0

    def fail(self, reason: str) -> None:
        """Count one failure and keep the first reason."""
        self.failures += 1
        self.first_failure = self.first_failure or reason


class Connection(asyncio.Protocol):
    """Sends the next request when the last answer is complete, until none is left."""

    _transport: asyncio.Transport

    def __init__(self, requests: Iterator[bytes], outcome: Outcome) -> None:
        self.finished = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._outcome = outcome
        self._buffer = bytearray()
        self._answer_bytes = 0
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; nothing is sent before `send_next`."""
        self._transport = cast(asyncio.Transport, transport)

    def send_next(self) -> None:
        """Send one request, or finish when there is none."""
        request = next(self._requests, None)
        if request is None:
            self.finished.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self._buffer += data
        if not self._answer_bytes:
            self._read_head()
        if self._answer_bytes and len(self._buffer) >= self._answer_bytes:
            self._judge_answer()

    def _read_head(self) -> None:
        end = self._buffer.find(HEAD_END)
        if end < 0:
            return
        length = CONTENT_LENGTH.search(self._buffer, 0, end)
        if length is not None:
            self._answer_bytes = end + len(HEAD_END) + int(length[1])
        elif CHUNKED.search(self._buffer, 0, end) is None:
            self.abandon("an answer without content-length and not in chunks, which this client does not read")
        elif self._buffer.endswith(LAST_CHUNK):
            self._answer_bytes = len(self._buffer)

    def _judge_answer(self) -> None:
        self._outcome.latencies_ms.append((time.perf_counter() - self._sent_at) * 1000)
        if self._buffer[9:10] != b"2":
            self._outcome.fail(self._buffer[:1000].decode(errors="replace"))
        self._buffer.clear()
        self._answer_bytes = 0
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that closes before the last answer is a failure."""
        self.abandon(f"connection closed by the server: {exc}")

    def abandon(self, reason: str) -> None:
        """Give up on the request in flight, if there is one."""
        if self.finished.done():
            return
        self._outcome.latencies_ms.append((time.perf_counter() - self._sent_at) * 1000)
        self._outcome.fail(reason)
        self.finished.set_result(None)
        self._transport.abort()


async def _run(port: int, *, requests: list[bytes], connections: int, timeout_seconds: float) -> Outcome:
    """Open every connection first, then let all of them send at once."""
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
        connection.abandon(f"no answer within {timeout_seconds} s")
    for _ in backlog:
        outcome.fail("never sent: every connection was lost")
    outcome.seconds = time.perf_counter() - started_at
    return outcome


def drive(port: int, calls: Sequence[Call], *, connections: int, timeout_seconds: float) -> Outcome:
    """Send all calls from a client process of their own and wait for it.

    Raises:
        subprocess.CalledProcessError: the client itself broke, for example because nobody listens.
    """
    plan = {
        "port": port,
        "connections": connections,
        "timeout_seconds": timeout_seconds,
        "calls": [asdict(call) for call in calls],
    }
    client = subprocess.run(
        [sys.executable, "-m", "perf.client"],
        input=json.dumps(plan).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return Outcome(**json.loads(client.stdout))


def main() -> None:
    """Read a plan from standard input, carry it out, write the outcome to standard output."""
    plan = json.load(sys.stdin)
    requests = [Call(**call).encode() for call in plan.pop("calls")]
    outcome = uvloop.run(_run(plan.pop("port"), requests=requests, **plan))
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
