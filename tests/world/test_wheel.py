"""The wheel of `rowhouse-api` in an empty environment: a project of twelve lines migrates, serves and stores a row."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.test_wheel import build_wheel

API = '''"""An API with one entity."""

from rowhouse import ANYONE, Entity, Registry, create_app


class Publisher(Entity, table=True):
    name: str


registry = Registry("/api/v1")
registry.register(Publisher, read=ANYONE, write=ANYONE)
app = create_app(registry, title="Publishers")
'''
PYPROJECT = '[tool.rowhouse]\napp = "api:app"\n'
READY_SECONDS = 30.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment that has the wheel and what it needs, from the registry."""
    directory = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(directory, "--no-isolation")
    venv = directory / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python"), "--quiet", "--disable-pip-version-check"]
    # Without this checkout, where a build may have left the metadata of the package: pip would find it installed.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*pip, "install", "--no-compile", str(wheel)], check=True, capture_output=True, env=own)
    return venv / "bin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with `api.py`, twelve lines, and what names it."""
    assert API.count("\n") == 12
    (tmp_path / "api.py").write_text(API)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    return tmp_path


def rowhouse(environment: Path, project: Path, *words: str) -> "subprocess.Popen[str]":
    """Start the command `rowhouse` in the project, with nothing else of this machine's Python."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ROWHOUSE", "COV"))}
    database = {"DATABASE_URL": f"sqlite:///{project}/api.db"}
    return subprocess.Popen(
        [str(environment / "rowhouse"), *words],
        cwd=project, env={**own, **database}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@contextmanager
def served(environment: Path, project: Path) -> Iterator[httpx2.Client]:
    """A client of `rowhouse run`, once `/ready` is 200."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = rowhouse(environment, project, "run", "--port", str(port))
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_until_ready(client, server)
            yield client
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=READY_SECONDS)


def wait_until_ready(client: httpx2.Client, server: "subprocess.Popen[str]") -> None:
    """Ask `/ready` until it is 200."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            if client.get("/ready").json() == {"status": "ready"}:
                return
        except httpx2.TransportError:
            pass
        assert server.poll() is None, server.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_twelve_lines_migrate_serve_and_store_a_row(environment: Path, project: Path) -> None:
    """`rowhouse migrate` writes the project's files and its first migration; the engine's stay in the package."""
    migrated = rowhouse(environment, project, "migrate")
    said = migrated.communicate()[0]
    assert migrated.returncode == 0, said
    assert "Created alembic.ini, alembic/env.py, alembic/script.py.mako" in said
    (file,) = (project / "alembic/versions").glob("*.py")
    text = file.read_text()
    assert "publishers" in text
    assert "users" not in text
    with served(environment, project) as client:
        created = client.post("/api/v1/publishers", json={"name": "Cotta"})
        assert created.status_code == 201, created.text
        assert client.get(created.headers["location"]).json()["name"] == "Cotta"
    checked = rowhouse(environment, project, "migrate", "--check")
    assert (checked.communicate()[0], checked.returncode) == ("", 0)


def test_its_commands_explain_themselves(environment: Path, project: Path) -> None:
    """The routes as a table, the document, and help for each."""
    routes = rowhouse(environment, project, "routes")
    lines = routes.communicate()[0].splitlines()
    assert any(
        line.split() == ["POST", "/api/v1/publishers", "create_publisher", "anyone", "200", "ms"] for line in lines
    ), lines
    for command in (
        "new",
        "entity",
        "check",
        "client",
        "run",
        "migrate",
        "create-admin",
        "routes",
        "openapi",
        "lint-migrations",
    ):
        helped = rowhouse(environment, project, command, "--help")
        said = helped.communicate()[0]
        assert (helped.returncode, command in said) == (0, True), said
