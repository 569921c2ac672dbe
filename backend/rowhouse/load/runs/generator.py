"""Run Locust without its web page: the process that `rowhouse.load.runs.run` starts, after it has imported Locust.

It runs a locustfile unchanged, by default one with an empty profile. It waits until every user has arrived and signed
in, lets the load warm up, and prints `measuring`. Then it records every request that begins in the measured time,
however late its response is. It writes raw samples, because Locust's statistics are rounded to two digits. It does not
evaluate them: others do.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from locust import events
from locust.env import Environment
from locust.exception import StopTest
from locust.util.load_locustfile import load_locustfile

from rowhouse.load.locust_user import TIMEOUT_SECONDS, ApiUser, coordinator, locust_user
from rowhouse.load.operations import UncallableOperationError
from rowhouse.load.runs.sample_recorder import MEASURING, SampleRecorder

ARRIVAL_SECONDS = 300.0
ARRIVALS_PER_SECOND = 20.0


class ArrivalError(RuntimeError):
    """Users did not sign in within `ARRIVAL_SECONDS`."""


def record(user_class: type[ApiUser], host: str, *, users: int, warm_up: float, seconds: float) -> SampleRecorder:
    """Load the server and return the recorder with its samples.

    Raises:
        UncallableOperationError: an operation cannot be called.
        ArrivalError: the users cannot sign in.
    """
    recorder = SampleRecorder()
    coordinator.prepare(host)
    environment = Environment(user_classes=[user_class], events=events, host=host, stop_timeout=TIMEOUT_SECONDS)
    runner = environment.create_local_runner()
    environment.events.request.add_listener(recorder.record)  # type: ignore[no-untyped-call]  # Locust's is untyped
    try:
        runner.start(users, spawn_rate=ARRIVALS_PER_SECOND)
        _wait_for(users)
        time.sleep(warm_up)
        gc.freeze()  # so that garbage collections of the generator do not delay the measured requests
        recorder.begin = time.perf_counter()
        recorder.end = recorder.begin + seconds
        print(MEASURING, flush=True)
        time.sleep(seconds)
    finally:
        runner.quit()
    return recorder


def user_class_of(file: Path | None) -> type[ApiUser]:
    """Return the user class of a locustfile; one with an empty profile without a file.

    Raises:
        UncallableOperationError: the file has no class from `locust_user`.
    """
    if file is None:
        return locust_user()
    classes = load_locustfile(str(file))[0]
    for found in classes.values():
        if issubclass(found, ApiUser):
            return found
    raise UncallableOperationError(f"{file} has no user class; write: ApiUser = locust_user(Profile())")


def print_left_out(file: str) -> None:
    """Print the operations that the profile of a locustfile leaves out, and the reasons, as the last line."""
    user_class_of(Path(file))
    print(json.dumps(dict(coordinator.profile.leave_out)))


def _wait_for(users: int) -> None:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while coordinator.arrived < users:
        if time.monotonic() > deadline:
            raise ArrivalError(f"{coordinator.arrived} of {users} users signed in within {ARRIVAL_SECONDS:.0f} s")
        time.sleep(0.05)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="generator", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="measured")
    parser.add_argument("--warm-up", type=float, default=10.0, help="seconds of load that are not measured")
    parser.add_argument("--output", type=Path, required=True, help="the file of raw samples")
    parser.add_argument("--locustfile", type=Path, help="has a class from rowhouse.load.locust_user")
    parser.add_argument("--rows", type=int, default=0, help="that each table gets before the load")
    options = parser.parse_args(arguments)
    coordinator.rows = options.rows
    try:
        user_class = user_class_of(options.locustfile)
        recorder = record(
            user_class, options.host, users=options.users, warm_up=options.warm_up, seconds=options.seconds
        )
    except (UncallableOperationError, ArrivalError, StopTest) as error:
        sys.exit(f"cannot load {options.host}:\n{error}")
    options.output.write_text(json.dumps(recorder.samples), encoding="utf-8")
