"""The package from openapi-python-client: written without a warning, sound under `mypy --strict`, and right against a live server."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.tools import HERE, check_package, generate_package, run
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, migrate
from tests.databases import Databases
from tests.documents import DOCUMENTS
from tests.races.servers import serve

pytestmark = pytest.mark.xdist_group("clients")  # what is generated is generated once


@pytest.fixture(scope="session")
def generated(workshop: Path) -> Path:
    """The directory in which each document has its package, below the document's name."""
    for name in DOCUMENTS:
        done = generate_package(workshop / f"{name}.json", workshop / name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr
    return workshop


@pytest.fixture
def url(backend: str, databases: Databases) -> Iterator[str]:
    """Where a server of the product listens."""
    with serve(databases.prepared(backend, "migrated", migrate)) as (server,):
        yield server.url


def operation_ids(document: Path) -> list[str]:
    """How a document calls its operations."""
    items = json.loads(document.read_text())["paths"].values()
    return [operation["operationId"] for item in items for operation in item.values()]


def test_every_operation_has_its_module(generated: Path) -> None:
    """A generator may leave one out that it cannot read."""
    for name in DOCUMENTS:
        written = {path.stem for path in (generated / name).glob("rowhouse_client/api/*/*.py")} - {"__init__"}
        assert written == set(operation_ids(generated / f"{name}.json"))


def test_the_package_is_sound(generated: Path) -> None:
    """And what uses it."""
    assert check_package(generated / "product", HERE, names=("day",)) == ""
    assert check_package(generated / "odd", names=()) == ""


def test_a_wrong_use_is_found(generated: Path, tmp_path: Path) -> None:
    """So that the check above can fail."""
    wrong = "from rowhouse_client.models import CategoryCreate\nCategoryCreate(name=1)\n"
    (tmp_path / "wrong.py").write_text(wrong)
    assert '"CategoryCreate" has incompatible type "int"' in check_package(
        generated / "product", tmp_path, names=("wrong",)
    )


def test_a_day_in_the_life(generated: Path, url: str) -> None:
    """Every call of the script has its documented answer."""
    path = {"PYTHONPATH": str(generated / "product"), "PYTHONWARNINGS": "error"}
    done = run(sys.executable, HERE / "day.py", url, ADMIN_EMAIL, ADMIN_PASSWORD, directory=generated, **path)
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), done.stderr
