"""Streaming replication: what a standby serves and rejects, and what happens when the primary stops."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import httpx2
import pytest

from tests.world.conftest import Figure
from tests.world.load import sign_in
from tests.world.services.postgresql import ICU, Cluster, postgresql, standby_of
from tests.world.services.process import HOST, wait_until
from tests.world.services.server import API, Server, migrate, rowhouse

# What is acknowledged is on both machines.
SYNCHRONOUS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
PROMOTED_SECONDS = 5  # until a promoted standby's server takes writes
CLIENTS, BEFORE_SECONDS = 4, 2.0
NOTICED_SECONDS = 1.0  # until whoever watches the primary promotes the standby
GAP_SECONDS = 15.0
pytestmark = pytest.mark.xdist_group("standby")


@dataclass(frozen=True)
class Pair:
    """A primary and its standby, with a migrated database in both."""

    primary: Cluster
    standby: Cluster


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both, in step: a commit waits for the standby."""
    with postgresql(*ICU, settings=SYNCHRONOUS) as primary:
        url = primary.create_database("shop")
        migrate(url)
        with standby_of(primary, settings=SYNCHRONOUS) as standby:
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            primary.execute("SELECT pg_reload_conf()")
            in_step = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
            wait_until(lambda: bool(primary.execute(in_step)))
            yield Pair(primary, standby)


def url_of(cluster: Cluster) -> str:
    """The shop on one of both."""
    return cluster.url("shop", role="app")


def either(pair: Pair) -> str:
    """The shop on whichever takes writes."""
    ports = f"{pair.primary.port},{pair.standby.port}"
    return f"postgresql+psycopg://app@/shop?host={HOST},{HOST}&port={ports}&target_session_attrs=read-write&connect_timeout=2"


def make_category(server: Server, headers: dict[str, str]) -> httpx2.Response:
    """A write."""
    body = {"name": f"category {uuid.uuid4()}"}
    return httpx2.post(f"{server.url}{API}/categories", json=body, headers=headers, timeout=30)


def test_a_standby_serves_reads_and_refuses_writes_with_a_reason(pair: Pair) -> None:
    """200 for reads; 503 for writes, which says that the database takes none.

    `/ready` says so as well, and then it is promoted.
    """
    with rowhouse(url_of(pair.primary)) as at_primary:
        headers = sign_in(at_primary.url)
        made = make_category(at_primary, headers)
        assert made.status_code == 201
    with rowhouse(url_of(pair.standby), wait_for="/health") as server:
        path = f"{API}/categories/{made.json()['id']}"
        wait_until(lambda: server.answers(path), server.program)
        writes = [
            make_category(server, headers),
            httpx2.patch(f"{server.url}{path}", json={"description": "x"}, headers=headers),
            httpx2.delete(f"{server.url}{path}", headers=headers),
            httpx2.post(f"{server.url}{API}/categories/batch", json=[{"name": "x"}], headers=headers),
            httpx2.post(
                f"{server.url}{API}/users",
                json={"email": "a@example.com", "password": "correct-horse", "full_name": "A"},
            ),
        ]
        for refused in writes:
            assert refused.status_code == 503, refused.text
            assert "read" in refused.json()["detail"].lower(), refused.text
            assert "Retry-After" in refused.headers
        ready = server.get("/ready")
        assert ready.status_code == 503
        assert "read" in ready.json()["detail"].lower()
        assert server.get(path).status_code == 200
        pair.primary.stop()
        pair.standby.promote()
        seconds = wait_until(lambda: make_category(server, headers).status_code == 201, server.program)
        assert seconds < PROMOTED_SECONDS
        server.wait_until_ready(seconds=PROMOTED_SECONDS)


def test_a_server_of_a_standby_is_ready_when_it_is_set_to_read_only(pair: Pair) -> None:
    """`READ_ONLY=true`: it is there to read."""
    with rowhouse(url_of(pair.standby), settings={"READ_ONLY": "true"}) as server:
        assert server.get("/ready").status_code == 200
        assert server.get(f"{API}/books").status_code == 200


@dataclass
class Writes:
    """The responses of a primary that dies."""

    acknowledged: dict[str, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def gap(self) -> float:
        """The longest time without an acknowledged write."""
        return max(later - earlier for earlier, later in pairwise(sorted(self.acknowledged.values())))


def keep_writing(server: Server, headers: dict[str, str], writes: Writes, is_over: Callable[[], bool]) -> None:
    """Make one category after another, and note what was answered."""
    with httpx2.Client(base_url=server.url, headers=headers, timeout=60) as client:
        while not is_over():
            name = f"written {uuid.uuid4()}"
            answer = client.post(f"{API}/categories", json={"name": name})
            writes.statuses[answer.status_code] += 1
            if answer.status_code == 201:
                writes.acknowledged[name] = time.monotonic()
            else:
                writes.refused.append(name)
                time.sleep(0.02)


def stored_names(server: Server) -> set[str]:
    """The names of all categories."""
    lines = server.get(f"{API}/categories/export?format=csv&fields=name").text
    return set(lines.splitlines())


def test_no_acknowledged_write_is_lost_with_the_primary(pair: Pair, figure: Figure) -> None:
    """Kill -9 of the primary under load, the standby promoted.

    No 500, nothing lost, and writes again after some seconds.
    """
    is_over, writes = threading.Event(), Writes()
    with rowhouse(either(pair)) as server:
        headers = sign_in(server.url)
        with ThreadPoolExecutor(CLIENTS) as pool:
            visits = [pool.submit(keep_writing, server, headers, writes, is_over.is_set) for _ in range(CLIENTS)]
            time.sleep(BEFORE_SECONDS)
            pair.primary.kill()
            time.sleep(NOTICED_SECONDS)
            promoted = time.monotonic()
            pair.standby.promote()
            wait_until(lambda: max(writes.acknowledged.values()) > promoted, server.program)
            time.sleep(1)
            is_over.set()
            for visit in visits:
                visit.result()
        stored = stored_names(server)
        server.wait_until_ready()
    lost = writes.acknowledged.keys() - stored
    unclear = stored & set(writes.refused)
    figure(
        f"kill -9 of the primary, promoted after {NOTICED_SECONDS} s: {writes.gap():.2f} s without writes, {len(lost)} of "
        f"{len(writes.acknowledged)} acknowledged writes lost, {len(unclear)} refused ones stored, {dict(writes.statuses)}"
    )
    assert lost == set()
    assert writes.statuses.keys() <= {201, 503}, writes.statuses
    assert writes.gap() < GAP_SECONDS


def test_a_restart_of_postgresql_is_no_500(pair: Pair, figure: Figure) -> None:
    """PostgreSQL is stopped and started under load.

    503 meanwhile, and no idle connection that died is anybody's 503 afterwards.
    """
    is_over, writes = threading.Event(), Writes()
    with rowhouse(url_of(pair.primary)) as server:
        headers = sign_in(server.url)
        with ThreadPoolExecutor(CLIENTS) as pool:
            visits = [pool.submit(keep_writing, server, headers, writes, is_over.is_set) for _ in range(CLIENTS)]
            time.sleep(1)
            pair.primary.stop()
            pair.primary.start()
            time.sleep(2)
            is_over.set()
            for visit in visits:
                visit.result()
        pair.primary.stop()
        pair.primary.start()
        afterwards = [server.get(f"{API}/books").status_code for _ in range(30)]
        stored = stored_names(server)
    figure(
        f"restart of PostgreSQL: {writes.gap():.2f} s without writes, {dict(writes.statuses)}, afterwards {Counter(afterwards)}"
    )
    assert writes.acknowledged.keys() <= stored
    assert writes.statuses.keys() <= {201, 503}, writes.statuses
    assert set(afterwards) == {200}
