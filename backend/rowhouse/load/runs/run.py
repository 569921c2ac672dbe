"""Generate the load of a running API in a process of its own, and return raw samples.

`rowhouse.load.runs.generator` is that process. Nothing here starts a server, reads a command line or writes a report.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from rowhouse.load.operations import Api
from rowhouse.load.runs.results import Sample, name_of
from rowhouse.load.runs.sample_recorder import MEASURING

START_SECONDS = 120.0
# Locust patches modules that Rowhouse imports, so it must be imported before the package is.
GENERATOR = "import locust; from rowhouse.load.runs.generator import main; main()"
LEFT_OUT = "import locust, sys; from rowhouse.load.runs.generator import print_left_out; print_left_out(sys.argv[1])"


class GeneratorError(RuntimeError):
    """The load generator ended without samples. It printed the reason on standard error."""


class NotReadyError(RuntimeError):
    """The server is not ready. The message has its last response."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """How many users do what: each waits for about `think` seconds between two tasks.

    The tables get `rows` rows before. `seconds` are measured, after `warm_up` seconds that are not.
    """

    users: int
    seconds: float
    warm_up: float
    think: float
    rows: int = 0
    locustfile: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


Watch = Callable[["subprocess.Popen[str]"], None]


def left_out(locustfile: Path | None) -> dict[str, str]:
    """Return the operations that the profile of a locustfile leaves out, with the reasons.

    Raises:
        GeneratorError: the file cannot be loaded. It printed the reason on standard error.
    """
    if locustfile is None:
        return {}
    words = [sys.executable, "-c", LEFT_OUT, str(locustfile)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise GeneratorError(f"{locustfile} cannot be loaded; the lines above say why")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def api_at(host: str, *, leave_out: Collection[str] = (), seconds: float = START_SECONDS) -> Api:
    """Return the operations of a server as soon as it is ready: uvicorn opens the port before its workers are.

    Raises:
        NotReadyError: it is not ready in time.
        UncallableOperationError: the document has an operation that the load does not understand.
        httpx2.HTTPError: there is no server, or no document.
    """
    deadline = time.monotonic() + seconds
    with httpx2.Client(base_url=host, timeout=START_SECONDS) as client:
        while (response := client.get("/ready")).is_error:
            if time.monotonic() > deadline:
                raise NotReadyError(f"{host} is not ready after {seconds:.0f} s: {response.text}")
            time.sleep(0.1)
        return Api(client.get("/openapi.json").raise_for_status().json(), leave_out=leave_out)


def generate(load: Load, api: Api, host: str, *, watch: Watch = lambda _process: None) -> list[Sample]:
    """Load the server and return the samples. `watch` is called with the generator when it begins to measure.

    Raises:
        GeneratorError: there are no samples.
    """
    with tempfile.TemporaryDirectory(prefix="load-samples-") as directory:
        path = Path(directory) / "samples.json"
        with subprocess.Popen(
            _command(load, host, path),
            env={"LOG_JSON": "false", **os.environ, **load.environment, "THINK_SECONDS": str(load.think)},
            stdout=subprocess.PIPE,
            text=True,
        ) as generator:
            for line in generator.stdout or ():
                if line.strip() == MEASURING:
                    watch(generator)
        if generator.returncode or not path.exists():
            raise GeneratorError(f"the load generator ended with {generator.returncode}")
        return [Sample(at, name_of(api, label), *rest) for at, label, *rest in json.loads(path.read_text("utf-8"))]


def _command(load: Load, host: str, output: Path) -> list[str]:
    words = [sys.executable, "-c", GENERATOR, "--host", host, "--output", str(output)]
    words += ["--users", str(load.users), "--seconds", str(load.seconds), "--warm-up", str(load.warm_up)]
    words += ["--rows", str(load.rows)]
    return [*words, "--locustfile", str(load.locustfile)] if load.locustfile else words
