"""The time that a body may take to arrive. A large file on a slow line may take longer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from rowhouse.requests import request_limits
from rowhouse.requests.request_limits import limit_body

Receive = Callable[[], Awaitable[Any]]


def body(*pieces: bytes, pause: float) -> Receive:
    """A client that sends these pieces, each after a pause, and then nothing more."""
    left = list(pieces)

    async def receive() -> Any:
        await asyncio.sleep(pause)
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    return receive


async def read(receive: Receive) -> bytes:
    """Read the whole body."""
    message = await receive()
    found: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        found += message["body"]
    return found


def test_a_body_in_time_is_read() -> None:
    """The disconnect afterwards has no time limit."""

    async def scenario() -> None:
        receive = limit_body(body(b"ab", b"cd", pause=0.02), 100, seconds=5)
        assert await read(receive) == b"abcd"
        late = limit_body(body(b"ab", pause=0.06), 100, seconds=0.1)
        await read(late)
        await asyncio.sleep(0.05)
        assert (await late())["type"] == "http.disconnect"

    asyncio.run(scenario())


def test_a_body_that_is_late_is_408() -> None:
    """Even if single bytes still arrive. The connection must be closed, and the task continues."""

    async def scenario() -> None:
        with pytest.raises(HTTPException) as refused:
            await read(limit_body(body(*[b"x"] * 50, pause=0.02), 100, seconds=0.1))
        assert (refused.value.status_code, refused.value.headers) == (408, {"Connection": "close"})
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_received_bytes_extend_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file may take longer than a small one."""
    monkeypatch.setattr(request_limits, "MIN_BYTES_PER_SECOND", 10)

    async def scenario() -> None:
        assert len(await read(limit_body(body(*[b"x"] * 8, pause=0.02), 100, seconds=0.05))) == 8

    asyncio.run(scenario())


@pytest.mark.parametrize("seconds", [0.03, 9])
def test_a_cancelled_request_stays_cancelled(seconds: float) -> None:
    """Also at the moment at which it is late."""

    async def scenario() -> None:
        waiting = asyncio.create_task(read(limit_body(body(b"x", pause=9), 100, seconds=seconds)))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.04, waiting.cancel)
        time.sleep(0.1)  # noqa: ASYNC251  so that both are due at once
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scenario())
