"""Locust without its web page, in a process of its own: `python -m perf.generator --host http://127.0.0.1:8000 --output samples.json`.

It runs perf/locustfile.py as it stands, waits until every user has come and signed in, lets the load warm up, says `measuring` on
standard output, and keeps every request that is begun in the measured time, however late its answer is. What it writes are raw
samples: Locust's statistics are rounded to two digits. It judges nothing; `perf.load` starts it and does.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# First of all, for Locust replaces what others import.
from perf.locustfile import TIMEOUT_SECONDS, ApiUser, director  # isort: skip

from locust import events
from locust.env import Environment
from locust.exception import StopTest

from perf.meters import MEASURING
from perf.operations import UncallableOperationError
from perf.recorder import Recorder

ARRIVAL_SECONDS = 300.0
ARRIVALS_PER_SECOND = 20.0


class NobodyCameError(RuntimeError):
    """Users did not come and sign in within `ARRIVAL_SECONDS`."""


def record(host: str, *, users: int, warm_up: float, seconds: float) -> Recorder:
    """Drive the server and give what was measured.

    Raises:
        UncallableOperationError: some operation cannot be called.
        NobodyCameError: the users cannot sign in.
    """
    recorder = Recorder()
    director.prepare(host)
    environment = Environment(user_classes=[ApiUser], events=events, host=host, stop_timeout=TIMEOUT_SECONDS)
    runner = environment.create_local_runner()
    environment.events.request.add_listener(recorder.note)  # type: ignore[no-untyped-call]  # Locust's is untyped
    try:
        runner.start(users, spawn_rate=ARRIVALS_PER_SECOND)
        _wait_for(users)
        time.sleep(warm_up)
        gc.freeze()  # or the generator's own collections would be in what it measures
        recorder.begin = time.perf_counter()
        recorder.end = recorder.begin + seconds
        print(MEASURING, flush=True)
        time.sleep(seconds)
    finally:
        runner.quit()
    return recorder


def _wait_for(users: int) -> None:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while director.arrived < users:
        if time.monotonic() > deadline:
            raise NobodyCameError(f"{director.arrived} of {users} users came within {ARRIVAL_SECONDS:.0f} s")
        time.sleep(0.05)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.generator", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="measured")
    parser.add_argument("--warm-up", type=float, default=10.0, help="seconds of load that are not measured")
    parser.add_argument("--output", type=Path, required=True, help="the file of raw samples")
    options = parser.parse_args(arguments)
    try:
        found = record(options.host, users=options.users, warm_up=options.warm_up, seconds=options.seconds)
    except (UncallableOperationError, NobodyCameError, StopTest) as error:
        sys.exit(f"cannot load {options.host}:\n{error}")
    options.output.write_text(json.dumps(found.samples), encoding="utf-8")


if __name__ == "__main__":
    main()
