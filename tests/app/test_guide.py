"""Runs the walks of docs/guide.md line by line. Every call returns the status that the guide states."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from app.main import create_app
from tests.app.demo.stored import store_the_demo
from tests.concurrency.servers import Server, serve
from tests.conftest import ROOT
from tests.databases import Databases

pytestmark = pytest.mark.xdist_group("guide")  # what servers are forked from is imported once
GUIDE = (ROOT / "docs/guide.md").read_text()
IN_THE_GUIDE = "http://127.0.0.1:8000"
WALKS = dict(re.findall(r"### A walk through it, as (a new \w+)\n.*?```sh\n(.*?)```", GUIDE, re.DOTALL))
CALL, STATUS = re.compile(r"\bcurl "), re.compile(r"  # (\d{3})$", re.MULTILINE)
WALK_SECONDS = 60


@pytest.fixture
def server(backend: str, databases: Databases) -> Iterator[Server]:
    """A server with the demo, as `scripts/run` starts it, which logs what it answers."""
    url = databases.prepared(backend, "demo", store_the_demo)
    with serve(
        url,
        application=create_app,
        LOG_LEVEL="info",
        ACCESS_LOG="true",
        LOG_JSON="true",
        ADMIN_EMAIL="",
        ADMIN_PASSWORD="",
    ) as (started,):
        yield started


def answered(server: Server) -> list[dict[str, Any]]:
    """What the server, which is ended by this, has logged of its answers to the API's callers."""
    server.stop()
    lines = [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]
    return [line for line in lines if str(line.get("path", "")).startswith("/api/")]


def test_there_is_a_walk_for_each_kind_of_caller() -> None:
    """And a status stands behind every call."""
    assert WALKS.keys() == {"a new driver", "a new buyer"}
    for walk in WALKS.values():
        assert len(CALL.findall(walk)) == len(STATUS.findall(walk)) > 10


@pytest.mark.parametrize("who", WALKS)
def test_the_walk_works_as_written(server: Server, who: str) -> None:
    """No line fails, and the answers are what the guide says."""
    script = WALKS[who].replace(IN_THE_GUIDE, server.url)
    assert script != WALKS[who]
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607  the shell of whoever walks
        capture_output=True, text=True, timeout=WALK_SECONDS, check=False,
    )  # fmt: skip
    told = [(line["method"], line["path"], line["status"]) for line in answered(server)]
    assert run.returncode == 0, (run.stderr, run.stdout, told)
    assert run.stderr == ""
    assert [status for *_, status in told] == [int(status) for status in STATUS.findall(WALKS[who])], told
