"""One load run: start the application on a filled database, load it, and evaluate the samples.

`rowhouse.load` generates the load. Nothing here reads a command line or writes a report.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil

from perf.harness.client import HOST
from perf.harness.meters import MachineSecond
from perf.harness.meters import watch as watch_machine
from perf.harness.servers import ADMIN_EMAIL, ADMIN_PASSWORD, REPOSITORY, Cluster, Server, migrate, postgres, serve
from perf.harness.target import Target
from perf.load.server_numbers import Numbers, between, scrape
from perf.product import PROFILE_VARIABLE
from perf.report.results import Second, ServerNumber, Totals, by_second, totals
from rowhouse.load import Profile
from rowhouse.load.operations import Api
from rowhouse.load.runs.results import Bound, Endpoint, bounds_of, evaluate
from rowhouse.load.runs.run import Load, api_at, generate

LOCUSTFILE = REPOSITORY / "perf" / "locustfile.py"
# From this load of the generator's process on, its own queue is part of the latencies.
BUSY_CORES = 0.9


@dataclass(frozen=True, kw_only=True)
class LoadRun:
    """The running application on its filled database, its operations, and the bounds that its document states."""

    cluster: Cluster
    server: Server[Target]
    api: Api
    bounds: Sequence[Bound]
    profile_name: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """The figures of one load. `server` are those of its own metrics, None if it has none."""

    endpoints: list[Endpoint]
    seconds: list[Second]
    totals: Totals
    server: dict[str, ServerNumber] | None = None


@contextmanager
def start_load_run(
    target: Target, profile: Profile, *, profile_name: str, database_url: str | None, rows: int, servers: int
) -> Iterator[LoadRun]:
    """Create, migrate and fill a database, and serve the application on it by several processes.

    Raises:
        ServerStartError: the migration failed, or a server does not start.
        NotReadyError: the servers are not ready in time.
        UncallableOperationError: the document has an operation that the load test does not understand.
    """
    with postgres(database_url) as cluster, cluster.database(target.database_prefix) as url:
        print("migrating ...", file=sys.stderr)
        migrate(target, url)
        if profile.populate is not None:
            profile.populate(url, rows)
        with (
            tempfile.TemporaryDirectory(prefix="perf-metrics-") as directory,
            serve(_served(target, directory), url, workers=servers) as server,
        ):
            api = api_at(_host(server), leave_out=profile.leave_out)
            yield LoadRun(cluster=cluster, server=server, api=api, bounds=bounds_of(api), profile_name=profile_name)


def _served(target: Target, directory: str) -> Target:
    """Return the target without its migration. Its processes share their metrics in the directory."""
    return replace(target, migrate_command=(), environment={**target.environment, "METRICS_DIRECTORY": directory})


def measure(run: LoadRun, *, users: int, seconds: float, warm_up: float, think: float) -> Result:
    """Load the application with this number of users and evaluate the samples.

    A user waits for about `think` seconds between two tasks.

    Raises:
        GeneratorError: there are no samples.
    """
    load = Load(
        users=users,
        seconds=seconds,
        warm_up=warm_up,
        think=think,
        locustfile=LOCUSTFILE,
        environment={
            "ADMIN_EMAIL": ADMIN_EMAIL,
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            PROFILE_VARIABLE: run.profile_name,
            # The process reads the rules of the tables from the application that it loads, whose factory may open the
            # database.
            "ROWHOUSE_APP": run.server.target.factory,
            "DATABASE_URL": run.server.database_url,
        },
    )
    machine, before = list[MachineSecond](), list[Numbers | None]()

    def watch(process: "subprocess.Popen[str]") -> None:
        before.append(scrape(_host(run.server)))
        machine.extend(_watch(run, process, load))

    samples = generate(load, run.api, _host(run.server), watch=watch)
    return Result(
        endpoints=evaluate(run.bounds, samples, seconds=seconds),
        seconds=by_second(samples, machine),
        totals=totals(samples, machine, seconds=seconds),
        server=between(before[0], scrape(_host(run.server))),
    )


def _host(server: Server[Target]) -> str:
    return f"http://{HOST}:{server.port}"


def _watch(run: LoadRun, generator: "subprocess.Popen[str]", load: Load) -> list[MachineSecond]:
    """Measure the machine while the generator measures."""
    process = psutil.Process(generator.pid)
    before = process.cpu_times()
    machine = list(watch_machine(run.server, run.cluster, seconds=load.seconds, users=load.users))
    after = process.cpu_times()
    cores = (after.user + after.system - before.user - before.system) / load.seconds
    warning = "; it is the bottleneck itself, so the latencies are wrong" if cores > BUSY_CORES else ""
    print(f"the load generator used {cores:.2f} of a core{warning}", file=sys.stderr)
    return machine
