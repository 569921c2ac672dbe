"""Starts the server: `rowhouse run --host 0.0.0.0 --port 8000 --workers 2`, with every option of uvicorn's own command.

HOST, PORT, WORKERS and FORWARDED_ALLOW_IPS may stand in the environment or in `.env`. A misspelt setting in `.env`
stops the start. Adds limits that uvicorn lacks: the size of headers, and the time that headers and a stop may take. A
failed start writes one sentence that says what to do, and exits with 1; LOG_LEVEL=debug shows the traceback. Migrates
nothing.
"""

import asyncio
import errno
import os
import re
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import click
import uvicorn
from fastapi import FastAPI
from pydantic import PydanticUserError, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE
from uvicorn.main import main as uvicorn_command
from uvicorn.server import Server
from uvicorn.supervisors import Multiprocess

from rowhouse.cli.connection import Connection
from rowhouse.cli.env_file import MAX_PORT, misspelt, server_words
from rowhouse.cli.project import NoProjectError, find_project, load_application
from rowhouse.core.errors import message_of

APPLICATION = "rowhouse.cli.serve:application"
CONNECTION = "rowhouse.cli.connection:Connection"
METRICS_DIRECTORY = "METRICS_DIRECTORY"
FAILED = 1
# A worker answers its supervisor once it has imported the engine. uvicorn's 5 seconds are too few on a busy machine: it
# would end the worker and start another, again and again.
WORKER_SECONDS = 60
# Errors of modules that are imported, whose message and line say what to do.
IMPORT_ERRORS = (ValueError, TypeError, ImportError, NameError, AttributeError, PydanticUserError)
# Any other error is a fault in the code, and shows its traceback.
START_ERRORS = (*IMPORT_ERRORS, SQLAlchemyError)
# Python's messages about `from module import name`, `module.name` and `package.module`.
CIRCULAR = (
    re.compile(r"cannot import name '(?P<name>\w+)' from partially initialized module '(?P<module>[\w.]+)'"),
    re.compile(r"partially initialized module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'"),
    re.compile(r"cannot access submodule '(?P<name>\w+)' of module '(?P<module>[\w.]+)'"),
)
PACKAGE = Path(__file__).resolve().parents[1]


class StartError(Exception):
    """A setting or the database stops the start, and waiting does not help."""


class Supervisor(Multiprocess):
    """uvicorn's supervisor of several workers, which notices at once that one has ended.

    uvicorn keeps the worker's end of the pipe open in its own process. It would wait `WORKER_SECONDS` for the answer of
    a worker that fails to start, and handle no signal meanwhile.
    """

    def keep_subprocess_alive(self) -> None:
        """Check every worker. Replace one that has ended, and stop if one cannot start."""
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()


def application() -> FastAPI:
    """Return the application for a server process. If it cannot start, write one sentence and exit."""
    # In a thread of its own, because uvicorn calls this inside a running event loop.
    with ThreadPoolExecutor(1) as aside:
        try:
            return aside.submit(_made).result()
        except (*START_ERRORS, StartError) as error:
            print_when_debugging(error)
            sys.stderr.write(f"Rowhouse cannot start. {explained(error)}\n")
    sys.exit(STARTUP_FAILURE)


def _made() -> FastAPI:
    app = load_application(find_project())
    if wrong := " ".join(misspelt()):
        raise StartError(wrong)
    Connection.limit(app.state.settings)
    failure = asyncio.run(app.state.readiness.failure())
    if failure is not None and failure.is_permanent:
        said = failure.cause.get("message")
        raise StartError(f"{failure.detail} {f'It says: {said}. Look at DATABASE_URL.' if said else ''}".rstrip())
    return app


def print_when_debugging(error: Exception) -> None:
    """Print the traceback of an error if LOG_LEVEL is debug."""
    if os.environ.get("LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)


def explained(error: Exception) -> str:
    """Return one line that says what is wrong and how to fix it."""
    if isinstance(error, StartError | NoProjectError):
        return str(error)
    if isinstance(error, ValidationError):
        return f"{'; '.join(_faults(error))}. Look at the environment and at .env; .env.example explains every setting."
    said = " ".join(str(error).split()).partition(" (Background on")[0]
    place = _place(error.__traceback__)
    said = said.partition(" For further information visit")[0]  # pydantic's
    for circular in filter(None, (pattern.match(said) for pattern in CIRCULAR)):
        module, name = circular["module"], circular["name"]
        other = f"{module}.{name}" if "submodule" in said else module
        return (
            f"{place} and {other} import each other, so that {name} does not exist yet. Import "
            'one of them under `if TYPE_CHECKING:`, and put the names of its classes into quotes, such as list["Book"].'
        )
    if isinstance(error, SQLAlchemyError) and "parse SQLAlchemy URL" in said:
        said, place = (
            "DATABASE_URL is no URL; write sqlite:///path/to/file.db or postgresql://user:password@host/name",
            None,
        )
    return f"{type(error).__name__}: {said}{f' ({place})' if place else ''}"


def _faults(error: ValidationError) -> list[str]:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return [" ".join([*(str(part).upper() for part in fault["loc"]), message_of(fault)]) for fault in faults]


def _place(trace: TracebackType | None) -> str | None:
    """Return the last line of the project's own code that led to the error."""
    own = [
        frame
        for frame in traceback.extract_tb(trace)
        if not Path(frame.filename).is_relative_to(PACKAGE)
        and "site-packages" not in frame.filename
        and Path(frame.filename).is_relative_to(Path.cwd())
    ]
    return f"{Path(own[-1].filename).relative_to(Path.cwd())}, line {own[-1].lineno}" if own else None


def server_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Return uvicorn's options from a command line, with the engine's defaults.

    Raises:
        ClickException: an option is wrong.
        ValueError: PORT or WORKERS is no number that can be used.
    """
    defaults = [APPLICATION, "--factory", "--http", CONNECTION, "--no-access-log", "--no-server-header"]
    defaults += ["--timeout-worker-healthcheck", str(WORKER_SECONDS), *server_words()]
    options: dict[str, Any] = uvicorn_command.make_context("rowhouse run", [*defaults, *arguments]).params
    options["headers"] = [header.split(":", 1) for header in options["headers"]]
    options["log_config"] = options["log_config"] or LOGGING_CONFIG
    return options


def unusable_address(options: Mapping[str, Any]) -> str | None:
    """Return a sentence if the server cannot listen on its address, or None."""
    host, port = options["host"], options["port"]
    if options["uds"] is not None or options["fd"] is not None:
        return None
    if not 0 <= port <= MAX_PORT:
        return f"{port} is not a port: write a number from 1 to {MAX_PORT}."
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return (
                f"Port {port} of {host} is taken by another program. Stop that one, or choose a port: PORT={port + 1}"
            )
        return f"The server cannot listen on port {port} of {host} ({error.strerror}). Set HOST and PORT."
    return None


def print_help() -> None:
    """Print the options of `rowhouse run`: uvicorn's, and the application."""
    ours = click.Option(["--app"], metavar="MODULE:FACTORY", help="The application; [tool.rowhouse] app unless given.")
    options = [ours, *(one for one in uvicorn_command.params if one.name not in ("app", "factory", "app_dir"))]
    command = click.Command("run", params=options, help="Serve the application until a signal stops it.")
    print(click.Context(command, info_name="rowhouse run").get_help())


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal says to stop. Return the exit status: 2 for a wrong option."""
    try:
        options = server_options(arguments)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ValueError as error:
        sys.stderr.write(f"Rowhouse cannot start. {error}\n")
        return FAILED
    if refused := unusable_address(options):
        sys.stderr.write(f"Rowhouse cannot start. {refused}\n")
        return FAILED
    return _serve(options)


def _serve(options: dict[str, Any]) -> int:
    if options["reload"]:
        uvicorn.run(**options)
        return 0
    del options["app_dir"]
    config = uvicorn.Config(**options)
    if config.workers > 1:
        with _shared_metrics():
            supervisor = Supervisor(config, sockets=[config.bind_socket()])
            supervisor.run()
        return FAILED if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0
    server = Server(config)
    try:
        server.run()
    except KeyboardInterrupt:
        return 0
    except SystemExit:
        return FAILED
    return 0 if server.started else FAILED


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Let the workers share their numbers in a directory, which is removed at the end, unless a setting names one."""
    if METRICS_DIRECTORY in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="rowhouse-metrics-") as directory:
        os.environ[METRICS_DIRECTORY] = directory
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
