"""The command `rowhouse load`: call every operation of a project, and fail if one breaks its SLO."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from types import MappingProxyType
from typing import Annotated

import httpx2
import psutil
import typer

from rowhouse.cli.project import find_project
from rowhouse.load.operations import Api, UncallableOperationError
from rowhouse.load.runs.plan import HITS, seconds_needed
from rowhouse.load.runs.report import conclusion, failures, table
from rowhouse.load.runs.results import Endpoint, bounds_of, called, evaluate, passes
from rowhouse.load.runs.run import GeneratorError, Load, NotReadyError, api_at, generate, left_out
from rowhouse.load.runs.server import ServerStartError, administrator, database, served

QUICK_SECONDS = 30.0
LOCUSTFILE = "perf/locustfile.py"
NOT_MADE = 2
BUSY_PERCENT = 50.0
TOO_BUSY = "Wait until nothing else runs, or try fewer users, such as --users 10: requests wait for a core."
ERRORS = (GeneratorError, NotReadyError, ServerStartError, UncallableOperationError, httpx2.HTTPError, OSError)


class TooShortError(ValueError):
    """The run would call some operation too seldom. The message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How long and how hard to load."""

    users: int
    duration: float | None
    quick: bool
    think: float

    def seconds_for(self, api: Api) -> float:
        """Return the seconds to measure.

        Raises:
            TooShortError: the duration is too short for the operations, and the run is not a quick one.
        """
        needed = seconds_needed(api, users=self.users, think=self.think)
        if self.quick:
            return self.duration or QUICK_SECONDS
        if self.duration is not None and self.duration < needed:
            raise TooShortError(
                f"{self.users} users need {needed:.0f} s to call each of {len(api.operations)} operations {HITS} "
                f"times: give --duration {ceil(needed)}, more --users, a shorter --think, or --quick."
            )
        return self.duration or float(ceil(needed))

    def announcement(self, api: Api, seconds: float) -> str:
        """Return the announcement of a run: its users, its operations and its seconds."""
        needed = seconds_needed(api, users=self.users, think=self.think)
        return (
            f"{self.users} users call {len(api.operations)} operations for {seconds:.0f} s; they need {needed:.0f} s "
            f"to call each {HITS} times{'; this run checks only the operations that it calls' if self.quick else ''}."
        )


def load(  # noqa: PLR0913  one parameter for each option of the command line
    *,
    users: Annotated[int, typer.Option(min=1, help="Users at the same time.")] = 50,
    duration: Annotated[
        float | None,
        typer.Option(min=1, help=f"Seconds to measure. Default: until each operation has {HITS} requests."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help=f"Measure {QUICK_SECONDS:.0f} s, and check only what was called."),
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="The address of a running server. Default: the project, on a new database.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows that each table gets before the load.")] = 1000,
    think: Annotated[float, typer.Option(min=0.01, help="Mean seconds between two tasks of a user.")] = 1.0,
    servers: Annotated[int, typer.Option(min=1, help="Server processes that share one port, without --host.")] = 2,
    database_url: Annotated[str | None, typer.Option(help="An empty database to use, without --host.")] = None,
) -> None:
    """Call every operation of the project, and hold each to its SLO.

    Starts the project on a new database, fills its tables through the API, and loads it. With --host it loads a
    running server: it writes, so name one without rows worth keeping; ADMIN_EMAIL and ADMIN_PASSWORD are those of its
    administrator. Exits with 1 if an operation is over its SLO, fails or is never called, with 2 if no run was made.
    """
    project = find_project()
    file = project.directory / LOCUSTFILE
    locustfile = file if file.is_file() else None
    given = Options(users=users, duration=duration, quick=quick, think=think)
    try:
        omitted = left_out(locustfile)
        with _target(host, database_url, servers) as (address, environment):
            api = api_at(address, leave_out=omitted)
            seconds = given.seconds_for(api)
            print(given.announcement(api, seconds), flush=True)
            plan = Load(
                users=users, seconds=seconds, warm_up=2.0 if quick else 10.0, think=think, rows=rows,
                locustfile=locustfile, environment=environment,
            )  # fmt: skip
            print(f"Filling tables; then {users} users sign in and warm up for {plan.warm_up:.0f} s ...", flush=True)
            samples = generate(plan, api, address, watch=lambda _generator: _say_until_when(seconds))
            endpoints = evaluate(bounds_of(api), samples, seconds=seconds)
    except (*ERRORS, TooShortError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(NOT_MADE) from None
    busy = psutil.cpu_percent()
    status = conclude(endpoints, quick=quick, omitted=omitted)
    if any(endpoint["verdict"] == "slow" for endpoint in endpoints) and busy > BUSY_PERCENT:
        print(f"The cores of this machine were {busy:.0f} % busy meanwhile. {TOO_BUSY}")
    raise typer.Exit(status)


@contextmanager
def _target(host: str | None, database_url: str | None, servers: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the address of the server, and the variables of its administrator."""
    if host is not None:
        yield host, {}
        return
    account = administrator()
    with database(database_url) as (url, name):
        print(f"Starting the project on {name} ...", flush=True)
        with served(find_project(), url, servers=servers, settings=account) as address:
            yield address, account


def _say_until_when(seconds: float) -> None:
    psutil.cpu_percent()  # the next call is about the time from here
    end = datetime.now().astimezone() + timedelta(seconds=seconds)
    print(f"Measuring until {end:%H:%M:%S} ...", flush=True)


def conclude(endpoints: Sequence[Endpoint], *, quick: bool, omitted: Mapping[str, str] = MappingProxyType({})) -> int:
    """Print the table, the endpoints that broke their SLO, and what was left out. Return the exit status.

    A quick run checks only the endpoints that it called.
    """
    checked = called(endpoints) if quick else list(endpoints)
    print(table(endpoints), *failures(checked), conclusion(checked), sep="\n")
    if len(checked) < len(endpoints):
        print(f"{len(endpoints) - len(checked)} operations were not called, so nothing is known about them")
    for label, reason in omitted.items():
        print(f"left out {label}: {reason}")
    return 0 if passes(checked) else 1


application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
application.command()(load)


def main(arguments: Sequence[str]) -> None:
    """Run the command with these arguments, and exit with its status."""
    application(list(arguments), prog_name="rowhouse load")
