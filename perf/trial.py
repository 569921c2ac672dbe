"""One load run on a filled Rowhouse: starts all that it takes, has perf.generator drive it, and makes figures of the raw samples.

Nothing here reads a command line or writes a report.
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

from perf.apps import App
from perf.client import HOST
from perf.meters import MEASURING, watch
from perf.operations import PREFIX, SLO, Api, Operation, UncallableOperationError
from perf.populate import populate
from perf.samples import Bound, Endpoint, Load, Measured, Sample, Second, Totals, by_second, judge, totals
from perf.servers import (
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

# From here on the generator's own queue is in the latencies.
BUSY_CORES = 0.9


class GeneratorError(RuntimeError):
    """The load generator ended without samples; it has said why on standard error."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Rowhouse, running and filled, and the bounds that its document states."""

    cluster: Cluster
    server: Server
    bounds: Sequence[Bound]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one load found."""

    endpoints: list[Endpoint]
    seconds: list[Second]
    totals: Totals


@contextmanager
def opened(app: App, database_url: str | None, *, rows: int, servers: int) -> Iterator[Trial]:
    """A database with so many books, and the application in so many processes, for the length of the block.

    Raises:
        ServerStartError: the migration failed, or the servers are not ready in time.
        UncallableOperationError: the document has an operation that the load test does not understand.
    """
    with postgres(database_url) as cluster, cluster.database(app.database_prefix) as url:
        print("migrating ...", file=sys.stderr)
        migrate(app, url)
        populate(url, books=rows)
        with serve(replace(app, migrate_command=()), url, workers=servers) as server:
            yield Trial(cluster=cluster, server=server, bounds=bounds_of(_api_of(server)))


def _api_of(server: Server) -> Api:
    """What the server says of itself, as soon as it is ready: uvicorn opens the port before its workers are."""
    deadline = time.monotonic() + START_SECONDS
    with httpx2.Client(base_url=f"http://{HOST}:{server.port}", timeout=START_SECONDS) as client:
        while (answer := client.get("/ready")).is_error:
            if time.monotonic() > deadline:
                raise ServerStartError(f"{server.app.name} is not ready after {START_SECONDS:.0f} s: {answer.text}")
            time.sleep(0.1)
        return Api(client.get("/openapi.json").raise_for_status().json())


def bounds_of(api: Api) -> list[Bound]:
    """What every operation of the document is held to.

    Raises:
        UncallableOperationError: one of them states no bound.
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
    return "20 elements" if api.elements_of(operation) > 1 else "whole answer"


def measure(trial: Trial, *, users: int, seconds: float, warm_up: float, think: float) -> Found:
    """Load it with so many users, who think for so many seconds between two tasks, and judge what was found.

    Raises:
        GeneratorError: there was nothing to judge.
    """
    with tempfile.TemporaryDirectory(prefix="perf-samples-") as directory:
        path = Path(directory) / "samples.json"
        options = f"--users {users} --seconds {seconds} --warm-up {warm_up} --output {path}"
        host = f"http://{HOST}:{trial.server.port}"
        with subprocess.Popen(
            [sys.executable, "-m", "perf.generator", "--host", host, *options.split()],
            cwd=REPOSITORY,
            env=os.environ
            | {"ADMIN_EMAIL": ADMIN_EMAIL, "ADMIN_PASSWORD": ADMIN_PASSWORD, "THINK_SECONDS": str(think)},
            stdout=subprocess.PIPE,
            text=True,
        ) as generator:
            loads = _watched(trial, generator, users=users, seconds=seconds)
        if generator.returncode or not path.exists():
            raise GeneratorError(f"the load generator ended with {generator.returncode}")
        samples = [Sample(at, _whole(label), *rest) for at, label, *rest in json.loads(path.read_text("utf-8"))]
    return Found(
        endpoints=judge(trial.bounds, samples, seconds=seconds),
        seconds=by_second(samples, loads),
        totals=totals(samples, loads, seconds=seconds),
    )


def _watched(trial: Trial, generator: subprocess.Popen[str], *, users: int, seconds: float) -> list[Load]:
    """What the machine did while the generator measured; nothing where it ended before."""
    for line in generator.stdout or ():
        if line.strip() == MEASURING:
            process = psutil.Process(generator.pid)
            before = process.cpu_times()
            loads = list(watch(trial.server, trial.cluster, seconds=seconds, users=users))
            after = process.cpu_times()
            cores = (after.user + after.system - before.user - before.system) / seconds
            remark = "; it is the bottleneck itself: believe no latency" if cores > BUSY_CORES else ""
            print(f"the load generator took {cores:.2f} of a core{remark}", file=sys.stderr)
            return loads
    return []


def _whole(label: str) -> str:
    """`GET /books/{id}`, as the statistics group it, with the path in full."""
    method, _, path = label.partition(" ")
    return f"{method} {PREFIX}{path}"
