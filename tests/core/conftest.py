"""Fixtures: applications that serve test routes, and databases with two small tables."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
import structlog
from fastapi import FastAPI
from fastapi.routing import APIRouter
from httpx2 import Response
from starlette.testclient import TestClient

from rowhouse.app import factory
from rowhouse.app import request_middleware as middleware
from rowhouse.auth import service
from rowhouse.core import error_causes as causes
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.health import readiness
from rowhouse.http.routing import Router
from rowhouse.registration.registry import Registry
from rowhouse.requests import throttling
from tests.conftest import QUIET, shop_database
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.shop.models import metadata as shop_metadata
from tests.sample_entities.shop.registry import registry as shop

Serve = Callable[..., TestClient]
LOGGERS = ("", "uvicorn", "uvicorn.error", "uvicorn.access", "httpx2")

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
shelves = sa.Table(
    "shelves",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False, unique=True),
    info={"entity": "Shelf"},
)
things = sa.Table(
    "things",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    # Checked at the commit, so that a test can provoke a rejected commit.
    sa.Column("shelf_id", sa.ForeignKey("shelves.id", deferrable=True, initially="DEFERRED")),
    sa.Column("name", sa.String(50)),
)


class Shelf:
    """A row of `shelves` in a session."""

    def __init__(self, name: str) -> None:
        self.name = name


sa.orm.registry(metadata=metadata).map_imperatively(Shelf, shelves)


def make_tables(connection: sa.Connection) -> None:
    """Create the two small tables."""
    metadata.create_all(connection)


@pytest.fixture(scope="session")
def bare_url(backend: str, databases: Databases) -> str:
    """The URL of a database with the two small tables, shared by tests that make their own rows."""
    return databases.prepared(backend, "bare", make_tables)


@pytest.fixture
def bare(bare_url: str) -> Iterator[Database]:
    """A `Database` on it, without an application."""
    database = Database(Settings(database_url=bare_url, lock_seconds=0.1), metadata)
    yield database
    database.dispose()


def count(database: Database, name: str) -> int:
    """Return the number of shelves with a name, as another transaction sees it."""
    with UnitOfWork(database, write=False) as unit:
        found = unit.session.scalar(sa.select(sa.func.count()).where(shelves.c.name == name))
    return int(found or 0)


@pytest.fixture(scope="session")
def shop_url(backend: str, databases: Databases) -> str:
    """The URL of a database of the sample shop, shared by tests that make their own rows."""
    return shop_database(databases, backend)


@pytest.fixture(scope="session")
def sqlite_url(databases: Databases) -> str:
    """The URL of an SQLite database of the sample shop, for tests that need only one database."""
    return shop_database(databases, "sqlite")


def build(url: str, *routers: APIRouter, registry: Registry | None = None, **settings: Any) -> FastAPI:
    """Return an application of these routes below `/api/v1` and of a registry."""
    registry = registry or Registry("/api/v1")
    for router in routers:
        registry.include(router)
    return create_app(Settings(database_url=url, **{**QUIET, **settings}), registry)


def build_shop(url: str, *routers: APIRouter, **settings: Any) -> FastAPI:
    """Return an application of the sample shop and further routes."""
    registry = Registry("/api/v1")
    registry.declare_roles(shop.roles)
    registry.registrations = dict(shop.registrations)
    return build(url, *shop.routers, *routers, registry=registry, **settings)


@pytest.fixture
def serve(sqlite_url: str) -> Iterator[Serve]:
    """`serve(*routers, url=…, **settings)` returns a client of an application of these routes. By default on SQLite."""
    with ExitStack() as stack:

        def start(*routers: APIRouter, url: str = sqlite_url, **settings: Any) -> TestClient:
            return stack.enter_context(QuickClient(build(url, *routers, **settings)))

        yield start


def get(serve: Serve, endpoint: Any, path: str = "/probe", **options: Any) -> Response:
    """Return the response of an endpoint to a GET."""
    router = Router()
    router.get("/probe", **options)(endpoint)
    return serve(router).get(f"/api/v1{path}")


@contextmanager
def kept_logging() -> Iterator[None]:
    """Restore the configuration of the logs after a test."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    states = [(one.handlers[:], one.level, one.propagate, one.disabled) for one in loggers]
    configuration = structlog.get_config()
    logging.getLogger("httpx2").setLevel(logging.ERROR)  # the test's own client
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(middleware, "log", structlog.get_logger("http"))
        patch.setattr(service, "log", structlog.get_logger("auth"))
        for module in (causes, readiness, throttling):
            patch.setattr(module, "log", structlog.get_logger("any"))
        yield
    structlog.configure(**configuration)
    for one, (handlers, level, propagate, disabled) in zip(loggers, states, strict=True):
        one.handlers, one.propagate, one.disabled = handlers, propagate, disabled
        one.setLevel(level)


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client that sends concurrent requests to an application in this process."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    server, client = app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://test")
    async with server, client:
        yield client


@pytest.fixture
def _migrations_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let applications of the sample shop compare the database with the migrations, as a project's do."""
    monkeypatch.setattr(factory, "SQLModel", SimpleNamespace(metadata=shop_metadata))


@pytest.fixture
def _shop_is_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let server processes serve the sample shop."""
    monkeypatch.setenv("ROWHOUSE_APP", "tests.sample_entities.application:create_app")
