"""Runs the commands of the README and the guides that take longer, or need more, than the other tests allow.

See `tests/commands.py`.
"""

import os
import signal
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.clones import AS_WRITTEN, Clone, Started, cloned, run_as_told
from tests.commands import BY_A_TEST_OF_ITS_OWN, IN_THE_WORLD
from tests.world.services.process import free_port

pytestmark = pytest.mark.xdist_group("commands")
LOCUST_SECONDS = 90
LOCUST = [command for command in BY_A_TEST_OF_ITS_OWN if command.startswith(".venv/bin/locust")]


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    """A fresh clone, whose `python` is that of `.venv`."""
    with cloned() as made:
        yield made


@pytest.mark.parametrize("command", IN_THE_WORLD)
def test_the_command_does_what_its_page_says(clone: Clone, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit status and what it says."""
    monkeypatch.setenv("PATH", f"{clone.directory / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
    run_as_told(clone, command, IN_THE_WORLD[command])


def test_locust_has_its_page(clone: Clone) -> None:
    """With a server running, each way to call it shows Locust's own page."""
    assert LOCUST
    with clone.started():
        for command in LOCUST:
            port = free_port()
            # The page of Locust has a fixed port, which somebody else may have.
            typed = f"{command} --web-port {port}".replace(AS_WRITTEN, clone.url)
            with clone.serving(typed, end_by=signal.SIGTERM) as locust:
                assert "Locust" in _page(f"http://127.0.0.1:{port}/", locust)


def _page(url: str, locust: Started) -> str:
    deadline = time.monotonic() + LOCUST_SECONDS
    while True:
        try:
            return httpx2.get(url, timeout=5).text
        except httpx2.TransportError:
            assert locust.process.poll() is None, locust.output()
            assert time.monotonic() < deadline, locust.output()
            time.sleep(0.1)
