"""One server process at its limits: a burst of many times its threads, and SIGTERM."""

import asyncio
import http.client
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import httpx2
import pytest

from tests.concurrency.servers import HOST, Server, serve
from tests.conftest import PASSWORD, unique

BURST = 200
UNDER_WAY = 8
PATIENT = 60.0  # a busy machine must not be taken for a fault


def test_a_burst_is_answered_in_full(servers: list[Server], admin_headers: dict[str, str]) -> None:
    """200 requests at once to one server, reading and writing, on the default pool of threads.

    No error among the answers.
    """
    url, name = f"{servers[0].url}/api/v1", unique("burst")

    async def burst() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=BURST)
        async with httpx2.AsyncClient(base_url=url, headers=admin_headers, limits=limits, timeout=PATIENT) as client:
            return await asyncio.gather(*(request(client, number) for number in range(BURST)))

    async def request(client: httpx2.AsyncClient, number: int) -> httpx2.Response:
        if number % 4:
            return await client.get("/categories")
        return await client.post("/categories", json={"name": f"{name} {number}"})

    answers = asyncio.run(burst())
    assert Counter(answer.status_code for answer in answers) == {200: BURST * 3 // 4, 201: BURST // 4}
    with httpx2.Client(base_url=url) as client:
        assert client.get("/categories", params={"name__startswith": name}).json()["total"] == BURST // 4


def get_health(line: http.client.HTTPConnection) -> None:
    """One small request on a connection that stays open."""
    line.request("GET", "/health")
    answer = line.getresponse()
    assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')


@pytest.fixture
def victim(race_url: str, servers: list[Server]) -> Iterator[Server]:
    """A further server, which hashes at a real cost, so that a sign-up is under way for a while."""
    with serve(race_url, BCRYPT_COST="10") as (server,):
        yield server


@pytest.fixture
def connect(victim: Server) -> Iterator[Callable[[], http.client.HTTPConnection]]:
    """Opens connections to the victim, which are closed with the test."""
    with ExitStack() as stack:

        def open_one() -> http.client.HTTPConnection:
            line = http.client.HTTPConnection(HOST, victim.port, timeout=PATIENT)
            return stack.enter_context(closing(line))

        yield open_one


def test_sigterm_finishes_what_was_accepted(victim: Server, connect: Callable[[], http.client.HTTPConnection]) -> None:
    """Every request that was under way gets its complete answer; then the process ends, and nobody listens."""
    lines, witness = [connect() for _ in range(UNDER_WAY)], connect()
    for line in [*lines, witness]:
        get_health(line)
    emails = [f"{unique('accepted')}@example.com" for _ in lines]
    for line, email in zip(lines, emails, strict=True):
        body = {"email": email, "password": PASSWORD, "full_name": "Accepted"}
        line.request("POST", "/api/v1/users", json.dumps(body), {"Content-Type": "application/json"})
    get_health(witness)  # its answer comes after the server has read what was sent before
    victim.signal(signal.SIGTERM)
    answers = [line.getresponse() for line in lines]
    rows = [json.loads(answer.read()) for answer in answers]
    assert [answer.status for answer in answers] == [201] * UNDER_WAY
    assert [row["email"] for row in rows] == emails
    assert victim.exit_code() in (0, -signal.SIGTERM)
    with pytest.raises(ConnectionRefusedError):
        get_health(connect())
