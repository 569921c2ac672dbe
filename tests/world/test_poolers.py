"""A mixed load through PgBouncer: every response belongs to its statement, no row is lost, and nothing fails."""

import os
from collections.abc import Iterator

import pytest

from tests.world.conftest import Figure
from tests.world.load import lost, mixed_load
from tests.world.services.pgbouncer import pgbouncer, version
from tests.world.services.postgresql import ICU, Cluster, postgresql
from tests.world.services.server import migrate, rowhouse

CLIENTS, REQUESTS = 8, 4_000
MIGRATED = "migrated"
# A PgBouncer of another version than Debian's may be named, to try both.
PROGRAMS = {"debian": None, **({"other": os.environ["PGBOUNCER"]} if os.environ.get("PGBOUNCER") else {})}
SETTINGS: dict[str, dict[str, str]] = {
    "defaults": {},
    "ignoring-options": {"ignore_startup_parameters": "options"},
    # Fewer connections than the server has threads: each is handed from one to another all the time.
    "four-connections": {"default_pool_size": "4"},
    "resetting": {"server_reset_query": "DISCARD ALL", "server_reset_query_always": "1"},
}
CASES = [
    (program, mode, settings) for program in PROGRAMS for mode in ("session", "transaction") for settings in SETTINGS
]
if "other" in PROGRAMS:
    # From 1.21 on it tracks prepared statements, unless it is told not to.
    SETTINGS["tracking-nothing"] = {"max_prepared_statements": "0"}
    CASES.append(("other", "transaction", "tracking-nothing"))
pytestmark = pytest.mark.xdist_group("poolers")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL for poolers to stand in front of, with a migrated database to copy."""
    with postgresql(*ICU) as started:
        migrate(started.create_database(MIGRATED))
        yield started


@pytest.mark.parametrize(("program", "mode", "settings"), CASES)
def test_no_answer_is_another_statements(
    cluster: Cluster, figure: Figure, program: str, mode: str, settings: str
) -> None:
    """8 clients of one server, 4,000 requests.

    Afterwards every row is as its client left it, and the log has no other DELETE.
    """
    name = f"{program}_{mode}_{settings}".replace("-", "_")
    # In session mode a connection is a client's until it leaves, so fewer connections mean fewer threads.
    threads = "2" if (mode, settings) == ("session", "four-connections") else "8"
    cluster.create_database(name, template=MIGRATED)
    with (
        pgbouncer(cluster, mode=mode, settings=SETTINGS[settings], program=PROGRAMS[program]) as pooler,
        rowhouse(pooler.url(name), settings={"WORKER_THREADS": threads}) as server,
    ):
        tally = mixed_load(server.url, clients=CLIENTS, requests=REQUESTS)
        missing = lost(server.url, tally)
        logged = [line["path"] for line in server.log() if line.get("method") == "DELETE"]
    which = f"PgBouncer {'.'.join(map(str, version(PROGRAMS[program])))}, {mode}, {settings}"
    figure(f"{which}: {tally}, {len(missing)} lost")
    assert tally.wrong == []
    assert missing == []
    assert tally.failures == {}
    assert tally.statuses[503] <= REQUESTS // 100, tally
    assert sorted(logged) == sorted(tally.deletes)


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_migrations_go_through_a_pooler(cluster: Cluster, mode: str) -> None:
    """An empty database is migrated, and again, and served, all through PgBouncer."""
    cluster.create_database(f"migrated_{mode}")
    with pgbouncer(cluster, mode=mode) as pooler:
        url = pooler.url(f"migrated_{mode}")
        migrate(url)
        migrate(url)
        with rowhouse(url) as server:
            assert server.get("/api/v1/books").json()["items"] == []
