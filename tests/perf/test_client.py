"""The benchmark's own HTTP client."""

import asyncio
import socket
from threading import Thread

import pytest
import uvloop

from perf.harness import raw_connection
from perf.harness.client import HOST, Call, Outcome, _run
from perf.harness.raw_connection import RawConnection, ResponseError


@pytest.mark.parametrize("chunk_bytes", [1, 1000])
def test_chunked_responses_are_read(chunk_bytes: int) -> None:
    """The client reads several on a connection, however the network splits them. It needs a length or chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    outcome = uvloop.run(_outcome_of(head + b'5\r\n{"a":\r\n2\r\n0}\r\n0\r\n\r\n', chunk_bytes))
    assert (len(outcome.latencies_ms), outcome.failures) == (3, 0)
    outcome = uvloop.run(_outcome_of(b"HTTP/1.1 200 OK\r\n\r\n{}", 1000))
    assert outcome.first_failure.startswith("the response has no content-length")


async def _outcome_of(response: bytes, chunk_bytes: int) -> Outcome:
    """Return the outcome of three requests that get this response."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            for start in range(0, len(response), chunk_bytes):
                writer.write(response[start : start + chunk_bytes])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        return await _run(port, requests=[Call(path="/").encode()] * 3, connections=1, timeout_seconds=10)


def test_a_connection_that_a_server_may_have_closed_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request after a pause has an answer; without the pause the closed connection is an error."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_server((HOST, 0)) as listening:

        def serve() -> None:
            for _ in range(2):
                accepted, _address = listening.accept()
                accepted.recv(1000)
                accepted.sendall(answer)
                accepted.close()

        server = Thread(target=serve)
        server.start()
        with RawConnection(listening.getsockname()[1]) as connection:
            assert connection.milliseconds(Call(path="/")) > 0
            monkeypatch.setattr(raw_connection, "IDLE_SECONDS", 0)
            assert connection.milliseconds(Call(path="/")) > 0
            monkeypatch.setattr(raw_connection, "IDLE_SECONDS", 60)
            with pytest.raises((ResponseError, OSError)):  # as the system notices it
                connection.milliseconds(Call(path="/"))
        server.join()
