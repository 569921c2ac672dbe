"""The package of openapi-python-client.

Generated without a warning, valid under `mypy --strict`, and correct against a live server.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.main import create_app
from tests.app.clients.conftest import DOCUMENTS
from tests.app.clients.tools import HERE, check_packages, generate_package, run
from tests.concurrency.servers import serve
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, migrate
from tests.databases import Databases

pytestmark = pytest.mark.xdist_group("clients")  # what is generated is generated once


# Two packages of one name could not be checked in one run.
PACKAGES = {"product": "rowhouse_client", "odd": "odd_client"}
WRONG = "from rowhouse_client.models import CategoryCreate\nCategoryCreate(name=1)\n"


@pytest.fixture(scope="session")
def generated(workshop: Path) -> Path:
    """The directory in which each document has its package, below the document's name."""
    for name, package in PACKAGES.items():
        done = generate_package(workshop / f"{name}.json", workshop / name, package=package)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr
    return workshop


@pytest.fixture(scope="session")
def said(generated: Path) -> list[str]:
    """What mypy says of both packages, of the script that uses one, and of a wrong use, all in one run."""
    users = generated / "users"
    users.mkdir()
    shutil.copy(HERE / "day.py", users)
    (users / "wrong.py").write_text(WRONG)
    directories = (users, *(generated / name for name in PACKAGES))
    return check_packages(*directories, packages=PACKAGES.values(), modules=("day", "wrong")).splitlines()


@pytest.fixture
def url(backend: str, databases: Databases) -> Iterator[str]:
    """Where a server of the product listens."""
    with serve(databases.prepared(backend, "migrated", migrate), application=create_app) as (server,):
        yield server.url


def operation_ids(document: Path) -> list[str]:
    """How a document calls its operations."""
    items = json.loads(document.read_text())["paths"].values()
    return [operation["operationId"] for item in items for operation in item.values()]


def test_every_operation_has_its_module(generated: Path) -> None:
    """A generator may leave one out that it cannot read."""
    assert PACKAGES.keys() == set(DOCUMENTS)
    for name, package in PACKAGES.items():
        written = {path.stem for path in (generated / name).glob(f"{package}/api/*/*.py")} - {"__init__"}
        assert written == set(operation_ids(generated / f"{name}.json"))


def test_the_packages_are_sound(said: list[str]) -> None:
    """And what uses them."""
    assert [line for line in said if not line.startswith("wrong.py:")] == []


def test_a_wrong_use_is_found(said: list[str]) -> None:
    """So that the check above can fail."""
    assert '"CategoryCreate" has incompatible type "int"' in "\n".join(said)


def test_a_day_in_the_life(generated: Path, url: str) -> None:
    """Every call of the script has its documented answer."""
    path = {"PYTHONPATH": str(generated / "product"), "PYTHONWARNINGS": "error"}
    done = run(sys.executable, HERE / "day.py", url, ADMIN_EMAIL, ADMIN_PASSWORD, directory=generated, **path)
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), done.stderr
