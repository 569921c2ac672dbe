"""`rowhouse new` with the wheel of this tree: the project runs, is upgraded, takes entities, and passes its tests.

It is upgraded to this tree with another version and one more migration of the engine.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx2
import pytest

from tests.conftest import ROOT
from tests.test_wheel import build_wheel
from tests.world.test_wheel import READY_SECONDS, wait_until_ready

pytestmark = pytest.mark.xdist_group("new project")  # one project that grows
COMMAND_SECONDS = 900
NOT_OURS = ("PYTHON", "ROWHOUSE", "COV", "PYTEST", "DATABASE_URL", "ADMIN_", "LOG_", "JWT_", "ENVIRONMENT", "TMPDIR")
ADMIN = {"ADMIN_EMAIL": "boss@example.com", "ADMIN_PASSWORD": "correct-horse"}

ROWHOUSE = ".venv/bin/rowhouse"
NEWER = "0.1.1"
MIGRATION = '''"""Names of accounts in capitals.

Revision ID: rowhouse_0002
Revises: rowhouse_0001
"""

import sqlalchemy as sa
from alembic import op

revision = "rowhouse_0002"
down_revision = "rowhouse_0001"
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
    (sources / "backend/rowhouse/migrations/versions/rowhouse_0002_capitals.py").write_text(MIGRATION, "utf-8")


class Shop:
    """A project, and what a person types in its folder."""

    def __init__(self, directory: Path, wheels: Path) -> None:
        self.directory = directory
        own = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
        self.environment = {**own, "PIP_FIND_LINKS": str(wheels)}

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

    @contextmanager
    def served(self) -> Iterator[httpx2.Client]:
        """A client of `scripts/run`, once `/ready` is 200."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = self.start("scripts/run", settings={"PORT": str(port), **ADMIN})
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=READY_SECONDS) as client:
                wait_until_ready(client, server)
                yield client
        finally:
            server.send_signal(signal.SIGINT)
            said = server.communicate(timeout=READY_SECONDS)[0]
        assert f"http://127.0.0.1:{port}/docs" in said


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, open_folder: Path) -> Shop:
    """A new project, whose scripts find the wheel by PIP_FIND_LINKS. It is no part of this repository's checkout."""
    wheels = tmp_path_factory.mktemp("wheels")
    build_wheel(wheels, "--no-isolation")
    shutil.rmtree(wheels / "sources")
    parent = open_folder
    words = [sys.executable, "-m", "rowhouse", "new", "shop"]
    subprocess.run(words, cwd=parent, env={**os.environ, "PYTHONPATH": str(ROOT / "backend")}, check=True)
    return Shop(parent / "shop", wheels)


def test_its_two_commands_work_at_once(shop: Shop) -> None:
    """Style, types and tests pass, the server answers, and git has nothing to commit that should not be there."""
    assert "passed" in shop.run("scripts/test")
    with shop.served() as client:
        assert client.get("/openapi.json").json()["info"]["title"] == "Shop"
        assert "Sign in" in client.get("/admin", follow_redirects=True).text
    untracked = shop.run("git", "status", "--porcelain", "--untracked-files=all").splitlines()
    assert len(untracked) == 12, untracked


def test_it_is_upgraded(shop: Shop, tmp_path: Path) -> None:
    """As docs/upgrading.md says: the newer wheel and its migration; the row of before is there. The tests run below."""
    assert NEWER in build_wheel(tmp_path, "--no-isolation", change=make_newer).name
    pip = [".venv/bin/python", "-m", "pip", "install", "--upgrade", "rowhouse-api"]
    shop.run(*pip, settings={"PIP_FIND_LINKS": str(tmp_path)})
    assert NEWER in shop.run(".venv/bin/python", "-c", "import rowhouse; print(rowhouse.__version__)")
    assert "rowhouse_0002" in shop.run(ROWHOUSE, "migrate", "--check", status=1)
    shop.run(ROWHOUSE, "migrate")
    with shop.served() as client:
        headers = administrator(client)
        assert client.get("/api/v1/users/me", headers=headers).json()["full_name"] == "ADMINISTRATOR"
    assert "Nothing is wrong." in shop.run(ROWHOUSE, "check")


def administrator(client: httpx2.Client) -> dict[str, str]:
    """The headers of the first administrator."""
    login = {"username": ADMIN["ADMIN_EMAIL"], "password": ADMIN["ADMIN_PASSWORD"]}
    token = client.post("/api/v1/auth/login", data=login).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def test_it_takes_entities(shop: Shop) -> None:
    """Two that refer to each other are served, tested, put under load, and have nothing wrong."""
    shop.run("scripts/run", "--install")
    shop.run(ROWHOUSE, "entity", "Publisher", "name:str", "founded:int?")
    shop.run(ROWHOUSE, "entity", "Book", "title:str", "price:decimal=9.99", "publisher:Publisher", "--read", "anyone")
    assert "passed" in shop.run("scripts/test")
    with shop.served() as client:
        headers = administrator(client)
        publisher = client.post("/api/v1/publishers", json={"name": "Cotta"}, headers=headers).json()
        book = client.post("/api/v1/books", json={"title": "Faust", "publisher_id": publisher["id"]}, headers=headers)
        assert book.status_code == 201, book.text
        assert client.get(f"/api/v1/books?publisher_id={publisher['id']}").json()["total"] == 1
        locust = [".venv/bin/locust", "-f", "perf/locustfile.py", "--headless", "-u", "6", "-r", "6", "-t", "8s"]
        shop.run(*locust, "--host", str(client.base_url), settings={**ADMIN, "THINK_SECONDS": "0.05"})
    load = shop.start(ROWHOUSE, "load", "--quick", "--users", "3", "--duration", "3", "--think", "0.3", "--rows", "20")
    said = load.communicate(timeout=COMMAND_SECONDS)[0]
    # A busy machine may be too slow for an SLO, but no request may fail.
    assert load.returncode in (0, 1), said
    assert "3 users call 37 operations for 3 s" in said
    assert "FAILED" not in said
    assert "Nothing is wrong." in shop.run(ROWHOUSE, "check")
    said = shop.run(ROWHOUSE, "check", "--production", status=1)
    assert "set JWT_SECRET outside development" in said
