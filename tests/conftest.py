"""Fixtures: databases, the sample shop on each of them, and clients that are signed in.

`app` is one application for each session and database; a test creates its own rows in it and never counts those of
others. `make_app` gives a test an application of its own, with other settings or an empty database.
`tests/app/conftest.py` has the same fixtures for the product.
"""

import gc
import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.settings import Settings
from rowhouse.health.migration_state import Revisions
from rowhouse.registration.registry import Registry
from tests.coverage_control import import_all, is_measured, measure_crews, measured, unfollowed
from tests.databases import BACKENDS, Databases
from tests.fast_client import QuickClient
from tests.fast_hashing import cheap_hashes
from tests.older_postgresql import older_postgresql
from tests.sample_entities.application import create_app
from tests.sample_entities.shop.registry import create_tables
from tests.sample_entities.shop.registry import registry as shop

__all__ = ["older_postgresql"]  # a fixture

pytest_plugins = ["pytest_rowhouse"]
ROOT = Path(__file__).resolve().parents[1]
ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD = "admin@example.com", "admin-password", "correct-horse"
# Every test signs up from one address.
QUIET: dict[str, Any] = {"log_level": "warning", "access_log": False, "sign_ups_per_address": 1_000_000}
_numbers = itertools.count(1)
HASHING = {"auth", "security", "test_security.py"}  # tests that are about hashes
# The applications of a session are hundreds of thousands of objects; with Python's thresholds, looking through them
# takes a tenth of the time of the tests.
gc.set_threshold(50_000, 20, 100)
# A process that a test starts imports the engine of this checkout, whatever the environment has installed.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT / "backend"), os.environ.get("PYTHONPATH"))))
measure_crews()


def pytest_sessionstart() -> None:
    """Import what coverage measures while it is on."""
    if is_measured():
        import_all()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Collect without coverage, which takes as long again, except where the engine itself makes the tests."""
    with nullcontext() if "testing" in collector.path.parts else unfollowed():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group the tests for `--dist loadgroup`: by their `xdist_group`, the others by their file and database.

    A worker that runs a whole group builds the fixtures of a module once; tests spread one by one build them on every
    worker. The groups that are marked last longest and come first, then SQLite, then PostgreSQL, so that each worker
    changes its database once.
    """
    if not config.getoption("loadgroup", default=False):
        return
    items.sort(key=place_of)
    for item in items:
        # xdist 3.8 writes the group where pytest 9.2 no longer looks, and tears it apart
        # (pytest-dev/pytest-xdist#1386).
        group = "_".join(marked_groups(item)) or f"{item.path.relative_to(ROOT)} {database_of(item)}"
        if not item.nodeid.endswith(f"@{group}"):
            item._id = item._id.parse(f"{item.nodeid}@{group}")


def marked_groups(item: pytest.Item) -> list[str]:
    """The names of the groups that the test's marks give it."""
    return sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})


def database_of(item: pytest.Item) -> str:
    """The database that a test is parametrized with; empty for the others."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return str(params.get("backend", params.get("rowhouse_database", "")))


def place_of(item: pytest.Item) -> tuple[bool, bool]:
    """What a test is sorted by: marked groups first, PostgreSQL last."""
    return not marked_groups(item), database_of(item) == "postgresql"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Have coverage follow the test as far as that is worth its time, and hash passwords cheaply where that may be."""
    with measured(item.path, item.name), nullcontext() if HASHING & {*item.path.parts} else cheap_hashes():
        return (yield)


def alembic_config(directory: Path = ROOT) -> Config:
    """Return Alembic's configuration of this repository, or of a copy of its migrations."""
    return Config(directory / "alembic.ini")


def migrate(connection: sa.Connection) -> None:
    """Apply every migration, of the engine and of the product."""
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


def shop_database(databases: Databases, backend: str) -> str:
    """The URL of a new database with the tables of the sample shop, at the newest migrations."""
    return databases.prepared(backend, "shop", make_shop)


def make_shop(connection: sa.Connection) -> None:
    """Create the tables of the sample shop, and record the newest migrations as an upgrade does."""
    create_tables(connection)
    version = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
    version.create(connection)
    connection.execute(sa.insert(version), [{"version_num": head} for head in Revisions(alembic_config()).needed])


def settings_for(database_url: str, **options: Any) -> Settings:
    """Settings of an application in tests, with an administrator."""
    admin = {"admin_email": ADMIN_EMAIL, "admin_password": ADMIN_PASSWORD}
    return Settings(database_url=database_url, **{**QUIET, **admin, **options})


def small_registry() -> Registry:
    """The shop's accounts and two of its entities. The whole shop takes longer to build than many a test to run."""
    registry = Registry(shop.prefix)
    include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
    registry.registrations = {path: shop.registrations[path] for path in ("categories", "vehicles")}
    return registry


def unique(prefix: str = "x") -> str:
    """A text that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Makes databases."""
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    made.close()


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    return str(request.param)


def shop_client(databases: Databases, backend: str, registry: Registry = shop, **options: Any) -> QuickClient:
    """A client of a new application on a database of its own. It must be entered."""
    return QuickClient(create_app(settings_for(shop_database(databases, backend), **options), registry))


@pytest.fixture(scope="module")
def make_app(databases: Databases) -> Iterator[Callable[..., TestClient]]:
    """`make_app(backend, **settings)`: a client of a new application on a database of its own.

    It serves the sample shop, or what `registry` holds, until the last test of the module.
    """
    with ExitStack() as stack:
        yield lambda backend, *words, **options: stack.enter_context(shop_client(databases, backend, *words, **options))


@pytest.fixture(scope="session")
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """A client of the application, signed in as nobody."""
    with shop_client(databases, backend) as opened:
        yield opened


@pytest.fixture(scope="session")
def app(client: TestClient) -> FastAPI:
    """The application behind `client`."""
    found = client.app
    assert isinstance(found, FastAPI)
    return found


def sign_in(client: TestClient, email: str, password: str) -> dict[str, str]:
    """The headers of a caller who has signed in."""
    answer = client.post("/api/v1/auth/login", data={"username": email, "password": password})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def sign_up(client: TestClient, role: str = "user") -> dict[str, str]:
    """The headers of a new account."""
    email = f"{unique(role)}@example.com"
    body = {"email": email, "password": PASSWORD, "full_name": "Somebody", "role": role}
    with cheap_hashes():
        answer = client.post("/api/v1/users", json=body)
        assert answer.status_code == 201, answer.text
        return sign_in(client, email, PASSWORD)


@pytest.fixture(scope="session")
def admin(client: TestClient) -> dict[str, str]:
    """The headers of the administrator."""
    return sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)


@pytest.fixture(scope="session")
def driver(client: TestClient) -> dict[str, str]:
    """The headers of a driver."""
    return sign_up(client, "driver")


@pytest.fixture(scope="session")
def user(client: TestClient) -> dict[str, str]:
    """The headers of a plain user."""
    return sign_up(client)
