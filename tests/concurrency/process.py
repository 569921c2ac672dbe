"""The code of a server's process, which is forked from a process that has imported all of this.

An import takes seconds, a fork does not. Only `tests.fork_server` may run it.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from threading import Thread

import bcrypt
import coverage
import uvicorn
from fastapi import FastAPI

from rowhouse.core import security
from tests.sample_entities.application import create_app

Application = Callable[[], FastAPI]
SHOP: Application = create_app

CHEAP = 4  # the settings allow no cost that would not be felt; what a hash costs is not the subject of races


def run(application: Application, listener: socket.socket, settings: Mapping[str, str], log: str) -> None:
    """Serve what `application` makes on `listener` until a signal ends it; what is written goes to the file `log`."""
    write_to(log)
    do_not_measure()
    Thread(target=_end_with_the_tests, daemon=True).start()
    if "BCRYPT_COST" not in settings:
        _hash_cheaply()
    os.environ.update(settings)
    uvicorn.Server(uvicorn.Config(application, factory=True)).run(sockets=[listener])


def write_to(log: str) -> None:
    """Send standard output and standard error to a file that exists."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)


def _end_with_the_tests() -> None:
    """A server does not outlive who started it, not even tests that were killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def do_not_measure() -> None:
    """Coverage would follow into every process and double the time of an answer.

    The code is covered within the tests' own.
    """
    measuring = coverage.Coverage.current()
    if measuring is not None:
        measuring.stop()


def _hash_cheaply() -> None:
    """Hashes of few rounds, of which these tests make hundreds; they say of themselves how many they took."""
    dear = bcrypt.gensalt
    bcrypt.gensalt = lambda *_cost: dear(CHEAP)
    security.cost_of = lambda hashed: 16  # else a login would make up for what they lack
