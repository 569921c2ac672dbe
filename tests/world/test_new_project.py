"""Follows docs/tutorial.md with the wheel of this tree, from `pip install` to the load run.

On the way the project is upgraded to a newer wheel: this tree with another version and one more migration of the engine.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx2
import pytest

from tests.test_wheel import build_wheel
from tests.world.test_wheel import READY_SECONDS, wait_until_ready
from tests.world.tutorial import blocks

pytestmark = pytest.mark.xdist_group("new project")  # one project that grows
COMMAND_SECONDS = 900
NOT_OURS = ("PYTHON", "ROWHOUSE", "COV", "PYTEST", "DATABASE_URL", "ADMIN_", "LOG_", "JWT_", "ENVIRONMENT", "TMPDIR")
ADMIN = {"ADMIN_EMAIL": "boss@example.com", "ADMIN_PASSWORD": "correct-horse"}

ROWHOUSE = ".venv/bin/rowhouse"
SERVE = "scripts/run\n"
NEWER = "0.1.1"
MIGRATION = '''"""Names of accounts in capitals.

Revision ID: rowhouse_0004
Revises: rowhouse_0003
"""

import sqlalchemy as sa
from alembic import op

revision = "rowhouse_0004"
down_revision = "rowhouse_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.text("UPDATE users SET full_name = upper(full_name)"))


def downgrade() -> None:
    pass
'''


def make_newer(sources: Path) -> None:
    """Give a copy of the sources the newer version and its migration."""
    front_door = sources / "backend/rowhouse/__init__.py"
    text = front_door.read_text("utf-8")
    newer = re.sub(r'^__version__ = "[^"]+"', f'__version__ = "{NEWER}"', text, flags=re.MULTILINE)
    assert newer != text
    front_door.write_text(newer, "utf-8")
    (sources / "backend/rowhouse/migrations/versions/rowhouse_0004_capitals.py").write_text(MIGRATION, "utf-8")


class Project:
    """The project of the tutorial, and what a person types in its folder."""

    def __init__(self, parent: Path, wheels: Path) -> None:
        self.parent, self.directory = parent, parent / "tools"
        own = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
        self.environment = {**own, "PIP_FIND_LINKS": str(wheels)}
        self.port = 8000

    def start(self, *words: str, settings: Mapping[str, str] = MappingProxyType({})) -> "subprocess.Popen[str]":
        """Start a command."""
        return subprocess.Popen(
            words, cwd=self.directory, env={**self.environment, **settings}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *words: str, status: int = 0, settings: Mapping[str, str] = MappingProxyType({})) -> str:
        """Run a command to its end; what it says."""
        process = self.start(*words, settings=settings)
        said = process.communicate(timeout=COMMAND_SECONDS)[0]
        assert process.returncode == status, said
        return said

    def follow(self, heading: str) -> str:
        """Do what a section of the tutorial says. A server that it starts runs until the next block has been typed."""
        said, server = "", ExitStack()
        for block in blocks():
            if block.heading != heading:
                continue
            if block.file:
                (self.directory / block.file).write_text(block.body, "utf-8")
            elif block.language == "sh":
                said += self.type(block.text.removesuffix(SERVE), server)
            if block.text.endswith(SERVE):
                server.enter_context(self.served())
        return said

    def type(self, text: str, server: ExitStack) -> str:
        """Type a block into a shell, then stop the server. The port is that of the server."""
        is_first = not self.directory.exists()
        with server:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", text.replace("8000", str(self.port))],  # noqa: S607  bash, as a reader has it
                cwd=self.parent if is_first else self.directory, env=self.environment, text=True, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=COMMAND_SECONDS,
            )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def served(self) -> Iterator[httpx2.Client]:
        """A client of `scripts/run`, once `/ready` is 200."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        server = self.start("scripts/run", settings={"PORT": str(self.port), **ADMIN})
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=READY_SECONDS) as client:
                wait_until_ready(client, server)
                yield client
        finally:
            server.send_signal(signal.SIGINT)
            said = server.communicate(timeout=READY_SECONDS)[0]
        assert f"http://127.0.0.1:{self.port}/docs" in said


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory, open_folder: Path) -> Project:
    """An empty folder, whose pip finds the wheel of this tree. It is no part of this repository's checkout."""
    wheels = tmp_path_factory.mktemp("wheels")
    build_wheel(wheels, "--no-isolation")
    shutil.rmtree(wheels / "sources")
    return Project(open_folder, wheels)


def test_a_new_project_passes_its_tests_at_once(tools: Project) -> None:
    """The first section of the tutorial. Git has nothing to commit that should not be there."""
    assert "passed" in tools.follow("A project")
    with tools.served() as client:
        assert client.get("/openapi.json").json()["info"]["title"] == "Tools"
        assert "Sign in" in client.get("/admin", follow_redirects=True).text
    untracked = tools.run("git", "status", "--porcelain", "--untracked-files=all").splitlines()
    assert len(untracked) == 12, untracked


def test_it_is_upgraded(tools: Project, tmp_path: Path) -> None:
    """As docs/upgrading.md says: the newer wheel and its migration; the row of before is there. The tests run below."""
    assert NEWER in build_wheel(tmp_path, "--no-isolation", change=make_newer).name
    pip = [".venv/bin/python", "-m", "pip", "install", "--upgrade", "rowhouse-api"]
    tools.run(*pip, settings={"PIP_FIND_LINKS": str(tmp_path)})
    assert NEWER in tools.run(".venv/bin/python", "-c", "import rowhouse; print(rowhouse.__version__)")
    assert "rowhouse_0004" in tools.run(ROWHOUSE, "migrate", "--check", status=1)
    tools.run(ROWHOUSE, "migrate")
    with tools.served() as client:
        login = {"username": ADMIN["ADMIN_EMAIL"], "password": ADMIN["ADMIN_PASSWORD"]}
        token = client.post("/api/v1/auth/login", data=login).json()["access_token"]
        me = client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"}).json()
        assert me["full_name"] == "ADMINISTRATOR"
    assert "Nothing is wrong." in tools.run(ROWHOUSE, "check")


def test_the_tutorial_works_as_written(tools: Project) -> None:
    """Two entities over HTTP, a rule, a step, tests on both databases, and nothing wrong. The files are as they stand."""
    said = tools.follow("Two entities")
    assert '"name": "Ladder"' in said
    assert '"total": 1' in said
    said = tools.follow("A rule and a step")
    assert "/api/v1/loans/{id}/return" in said
    assert "Nothing is wrong." in said
    assert "passed" in tools.follow("Tests")
    said = tools.run(ROWHOUSE, "check", "--production", status=1)
    assert "set JWT_SECRET outside development" in said


def test_its_load_run_calls_every_operation(tools: Project) -> None:
    """With the command of the tutorial and fewer users, and with Locust's own command. No request may fail."""
    (block,) = (block for block in blocks() if block.heading == "A load run")
    assert block.text.split() == [ROWHOUSE, "load", "--quick", "--users", "10"]
    load = tools.start(*block.text.split(), "--users", "3", "--duration", "3", "--think", "0.3", "--rows", "20")
    said = load.communicate(timeout=COMMAND_SECONDS)[0]
    assert load.returncode in (0, 1), said  # a busy machine may be too slow for an SLO
    assert re.search(r"3 users call \d+ operations for 3 s", said)
    assert "FAILED" not in said
    assert "Warning" not in said
    with tools.served() as client:
        locust = [".venv/bin/locust", "-f", "perf/locustfile.py", "--headless", "-u", "6", "-r", "6", "-t", "8s"]
        tools.run(*locust, "--host", str(client.base_url), settings={**ADMIN, "THINK_SECONDS": "0.05"})
