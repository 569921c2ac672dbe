"""Runs a project's application on a migrated test database, and empties the database between tests.

The application is found as the command line finds it, and gets its settings from the environment. The registries and
the metadata of an application say what it needs in its database.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, cached_property
from typing import Any, NamedTuple
from zlib import crc32

import pytest
import sqlalchemy as sa
from alembic import command
from fastapi import FastAPI
from httpx2 import Request
from sqlmodel import SQLModel
from starlette.testclient import TestClient

from rowhouse.cli.project import Project, load_application
from rowhouse.core.openapi import resolved
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import is_adopted
from rowhouse.health.migration_state import find_config
from rowhouse.health.required_tables import required_tables
from rowhouse.health.table_check import table_mismatch
from rowhouse.registration.registry import Registry
from rowhouse.testing.accounts import Accounts, Headers
from rowhouse.testing.client import QuickClient
from rowhouse.testing.databases import Databases
from rowhouse.testing.factory import ContractValues, Factory

# Every test signs up from one address, and few tests look at the log.
SETTINGS = {
    "ENVIRONMENT": "development",
    "LOG_LEVEL": "warning",
    "ACCESS_LOG": "false",
    "READ_ONLY": "false",
    "SIGN_UPS_PER_ADDRESS": "1000000",
}
# Where a project's fixture `contract_values` is.
PLACES = ("tests/conftest.py", "conftest.py")
NOWHERE = "postgresql://localhost/never-opened"  # SQLite would refuse what PostgreSQL alone has


class Description(NamedTuple):
    """What an application says about itself before it runs."""

    registries: Sequence[Registry]
    metadata: sa.MetaData


def environment_for(database_url: str) -> dict[str, str]:
    """Return the variables of the environment for an application in tests."""
    return {**SETTINGS, "DATABASE_URL": database_url}


@contextmanager
def environment_of(project: Project, database_url: str) -> Iterator[None]:
    """Set the environment and the working directory as the command line would, within the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_for(database_url).items():
            patch.setenv(name, value)
        patch.chdir(project.directory)
        yield


def build(project: Project, database_url: str) -> FastAPI:
    """Build a project's application for a database.

    Raises:
        pytest.UsageError: the application has its own settings, or was not made by `rowhouse.create_app`.
    """
    with environment_of(project, database_url):
        app = load_application(project)
    if not hasattr(app.state, "registries"):
        raise pytest.UsageError(f"{project.app} was not made by rowhouse.create_app; tests need such an application")
    if app.state.settings.database_url != database_url:
        raise pytest.UsageError(
            f"{project.app} did not read DATABASE_URL when the tests asked for it. Write a function that returns "
            'create_app(registry) and name it in pyproject.toml: [tool.rowhouse] app = "module:function"'
        )
    return app


@cache
def describe(project: Project) -> Description:
    """Return the registries and the metadata of a project's application. Opens no database."""
    app = build(project, NOWHERE)
    app.state.runner.close(seconds=1)
    app.state.database.dispose()
    return Description(app.state.registries, app.state.metadata)


class RunningApp:
    """One application on one database, with a client, accounts and a factory of rows."""

    def __init__(self, app: FastAPI, database_url: str, *, place: str) -> None:
        self.app = app
        self.environment = environment_for(database_url)
        self.place = place
        self.registries: Sequence[Registry] = app.state.registries
        self.metadata: sa.MetaData = app.state.metadata
        self.client = QuickClient(app)
        self.accounts = Accounts(app)
        self.contract_values: ContractValues = {}
        self.factory = Factory(self)
        self._first_rows: dict[str, list[dict[str, Any]]] = {}
        self._is_clean = True

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The OpenAPI document of the application, without references to parameters, responses and headers."""
        return resolved(self.app.openapi())

    @contextmanager
    def serving(self) -> Iterator["RunningApp"]:
        """Run the application's lifespan for the time of the block."""
        with self.client:
            self._require_tables()
            self._first_rows = self._rows()
            yield self

    def _require_tables(self) -> None:
        """Fail, in one sentence, if the migrations have not made what the classes need."""
        with UnitOfWork(self.app.state.database, write=False) as unit:
            mismatch = table_mismatch(unit, required_tables(self.registries, self.metadata))
        if mismatch is not None:
            pytest.fail(f"The test database is made by the migrations. {mismatch}", pytrace=False)

    def client_as(self, role: str) -> TestClient:
        """Return a client that is signed in with a new account of this role."""
        return self._signed_in(self.accounts.create(role))

    def _signed_in(self, headers: Headers) -> TestClient:
        other = type(self.client)(self.app)
        # The lifespan of the application runs once, in the event loop of the first client.
        other.portal, other.app_state = self.client.portal, self.client.app_state

        def sign(request: Request) -> Request:
            request.headers.setdefault("Authorization", headers["Authorization"])
            return request

        other.auth = sign
        return other

    def reset(self) -> None:
        """Restore the rows that the database held after its migrations and the start of the application."""
        if self._is_clean:
            self._is_clean = False
            return
        with self.app.state.database.engine.begin() as connection:
            self._delete_rows(connection)
            for table in self.metadata.tables.values():
                rows = self._first_rows.get(table.key)
                if rows:
                    connection.execute(sa.insert(table), rows)
        self.accounts.forget()

    def _delete_rows(self, connection: sa.Connection) -> None:
        order: Any = sa.schema.sort_tables_and_constraints  # unlike `sorted_tables`, it takes circles without a warning
        tables = [table for table, _ in order(self.metadata.tables.values())]
        tables = [table for table in tables if table is not None]
        if connection.dialect.name == "postgresql":
            names = ", ".join(connection.dialect.identifier_preparer.format_table(table) for table in tables)
            connection.exec_driver_sql(f"TRUNCATE {names} CASCADE")
            return
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for table in reversed(tables):
            connection.execute(sa.delete(table))

    def _rows(self) -> dict[str, list[dict[str, Any]]]:
        with self.app.state.database.engine.connect() as connection:
            return {
                table.key: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
                for table in self.metadata.tables.values()
            }


class RunningApps:
    """Starts each application that a session needs once for a database, and stops them at its end."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self._stack = ExitStack()
        self._running: dict[tuple[str, str, str], RunningApp] = {}

    def new_database(self, project: Project, backend: str) -> str:
        """Return the URL of a new database with every migration of the project."""
        metadata = describe(project).metadata
        kind = f"project{crc32(project.app.encode())}"
        return self.databases.prepared(backend, kind, lambda connection: migrate(project, metadata, connection))

    def running(self, project: Project, backend: str, *, purpose: str = "tests") -> RunningApp:
        """Return the running application of a project. Each `purpose` has its own."""
        key = project.app, backend, purpose
        if key not in self._running:
            url = self.new_database(project, backend)
            place = next((name for name in PLACES if (project.directory / name).is_file()), PLACES[0])
            app = RunningApp(build(project, url), url, place=place)
            with environment_of(project, url):
                self._running[key] = self._stack.enter_context(app.serving())
        return self._running[key]

    def close(self) -> None:
        """Stop every application."""
        self._stack.close()


def migrate(project: Project, metadata: sa.MetaData, connection: sa.Connection) -> None:
    """Create the adopted tables and apply every migration of the project, or create all tables if it has none."""
    config = find_config(project.directory) if metadata is SQLModel.metadata else None
    if config is None:
        metadata.create_all(connection)
        return
    create_adopted(metadata, connection)
    project.make_importable()
    config.attributes["connection"] = connection
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.directory)
        command.upgrade(config, "heads")


def create_adopted(metadata: sa.MetaData, connection: sa.Connection) -> None:
    """Create the tables that no migration makes, as far as their classes say what they are."""
    tables = [table for table in metadata.tables.values() if is_adopted(table)]
    for name in sorted({table.schema for table in tables if table.schema is not None}):
        if connection.dialect.name == "postgresql":
            connection.execute(sa.schema.CreateSchema(name, if_not_exists=True))
    metadata.create_all(connection, tables=tables)
