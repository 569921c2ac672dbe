"""One load run: start the application on a filled database, load it, and evaluate the samples.

`perf.load.generator` generates the load. Nothing here reads a command line or writes a report.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import psutil

from perf.harness.client import HOST
from perf.harness.meters import MachineSecond, watch
from perf.harness.servers import (
    ADMIN_EMAIL,
    ADMIN_PASSWORD,
    REPOSITORY,
    START_SECONDS,
    Cluster,
    Server,
    ServerStartError,
    migrate,
    postgres,
    serve,
)
from perf.harness.target import Target
from perf.load.operations import SLO, Api, Operation, UncallableOperationError
from perf.load.profile import VARIABLE, Profile
from perf.load.sample_recorder import MEASURING
from perf.report.results import Bound, Endpoint, Measured, Sample, Second, Totals, by_second, evaluate, totals

# From this load of the generator's process on, its own queue is part of the latencies.
BUSY_CORES = 0.9


class GeneratorError(RuntimeError):
    """The load generator ended without samples. It printed the reason on standard error."""


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
    """The figures of one load."""

    endpoints: list[Endpoint]
    seconds: list[Second]
    totals: Totals


@contextmanager
def start_load_run(
    target: Target, profile: Profile, *, profile_name: str, database_url: str | None, rows: int, servers: int
) -> Iterator[LoadRun]:
    """Create, migrate and fill a database, and serve the application on it by several processes.

    Raises:
        ServerStartError: the migration failed, or the servers are not ready in time.
        UncallableOperationError: the document has an operation that the load test does not understand.
    """
    with postgres(database_url) as cluster, cluster.database(target.database_prefix) as url:
        print("migrating ...", file=sys.stderr)
        migrate(target, url)
        if profile.populate is not None:
            profile.populate(url, rows)
        with serve(replace(target, migrate_command=()), url, workers=servers) as server:
            api = _api_of(server)
            yield LoadRun(cluster=cluster, server=server, api=api, bounds=bounds_of(api), profile_name=profile_name)


def _api_of(server: Server[Target]) -> Api:
    """Return the operations of the server as soon as it is ready: uvicorn opens the port before its workers are."""
    deadline = time.monotonic() + START_SECONDS
    with httpx2.Client(base_url=f"http://{HOST}:{server.port}", timeout=START_SECONDS) as client:
        while (response := client.get("/ready")).is_error:
            if time.monotonic() > deadline:
                name = server.target.name
                raise ServerStartError(f"{name} is not ready after {START_SECONDS:.0f} s: {response.text}")
            time.sleep(0.1)
        return Api(client.get("/openapi.json").raise_for_status().json())


def bounds_of(api: Api) -> list[Bound]:
    """Return the bound of every operation of the document.

    Raises:
        UncallableOperationError: an operation states none.
    """
    silent = [operation.label for operation in api.operations if not operation.slo_ms]
    if silent:
        raise UncallableOperationError(f"the document states no {SLO} of {', '.join(silent)}")
    return [
        Bound(
            name=f"{operation.method} {operation.path}",
            operation_id=operation.operation_id,
            slo_ms=operation.slo_ms,
            measured=_measured(api, operation),
        )
        for operation in api.operations
    ]


def _measured(api: Api, operation: Operation) -> Measured:
    if operation.is_stream:
        return "first byte"
    return "20 elements" if api.elements_of(operation) > 1 else "whole response"


def measure(run: LoadRun, *, users: int, seconds: float, warm_up: float, think: float) -> Result:
    """Load the application with this number of users and evaluate the samples.

    A user waits for about `think` seconds between two tasks.

    Raises:
        GeneratorError: there are no samples.
    """
    with tempfile.TemporaryDirectory(prefix="perf-samples-") as directory:
        path = Path(directory) / "samples.json"
        options = f"--users {users} --seconds {seconds} --warm-up {warm_up} --output {path}"
        host = f"http://{HOST}:{run.server.port}"
        settings = {"ADMIN_EMAIL": ADMIN_EMAIL, "ADMIN_PASSWORD": ADMIN_PASSWORD, "THINK_SECONDS": str(think)}
        with subprocess.Popen(
            [sys.executable, "-m", "perf.load.generator", "--host", host, *options.split()],
            cwd=REPOSITORY,
            env={**os.environ, **settings, VARIABLE: run.profile_name},
            stdout=subprocess.PIPE,
            text=True,
        ) as generator:
            machine = _watch(run, generator, users=users, seconds=seconds)
        if generator.returncode or not path.exists():
            raise GeneratorError(f"the load generator ended with {generator.returncode}")
        samples = [
            Sample(at, _name_of(run.api, label), *rest) for at, label, *rest in json.loads(path.read_text("utf-8"))
        ]
    return Result(
        endpoints=evaluate(run.bounds, samples, seconds=seconds),
        seconds=by_second(samples, machine),
        totals=totals(samples, machine, seconds=seconds),
    )


def _watch(run: LoadRun, generator: subprocess.Popen[str], *, users: int, seconds: float) -> list[MachineSecond]:
    """Measure the machine while the generator measures; return nothing if the generator ends before."""
    for line in generator.stdout or ():
        if line.strip() == MEASURING:
            process = psutil.Process(generator.pid)
            before = process.cpu_times()
            machine = list(watch(run.server, run.cluster, seconds=seconds, users=users))
            after = process.cpu_times()
            cores = (after.user + after.system - before.user - before.system) / seconds
            warning = "; it is the bottleneck itself, so the latencies are wrong" if cores > BUSY_CORES else ""
            print(f"the load generator used {cores:.2f} of a core{warning}", file=sys.stderr)
            return machine
    return []


def _name_of(api: Api, label: str) -> str:
    """Return the name of the bound for `GET /books/{id}`, the label in Locust's statistics: it has the whole path."""
    operation = api.by_label.get(label)
    return label if operation is None else f"{operation.method} {operation.path}"
