"""The pytest plugin of Rowhouse: databases, clients, factories and the contract suite for the tests of a project.

pytest loads this module wherever `rowhouse-api` is installed, so it imports the engine only when a test uses one of its
fixtures. It is outside the package `rowhouse` for the same reason. `docs/developing.md` explains every fixture.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from rowhouse.cli.project import Project
    from rowhouse.testing import BodyOf, ContractValues, FrozenClock, Headers, Make, Statements
    from rowhouse.testing.contract.entity import EntityClient
    from rowhouse.testing.databases import Databases
    from rowhouse.testing.running_app import RunningApp, RunningApps

DATABASES = ("sqlite", "postgresql")
pytest.register_assert_rewrite("rowhouse.testing.contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--databases` and its default in the ini-file."""
    group = parser.getgroup("rowhouse")
    group.addoption("--databases", metavar="NAMES", help="the databases to test on: sqlite, postgresql, or both")
    parser.addini("rowhouse_databases", "the databases to test on, unless --databases is given", default="")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each database, and a test of the contract suite for each entity."""
    if "rowhouse_database" in metafunc.fixturenames:
        metafunc.parametrize("rowhouse_database", _databases(metafunc.config), indirect=True, scope="session")
    if "contract_entity" in metafunc.fixturenames:
        from rowhouse.testing.contract.choice import cases_for

        cases = cases_for(metafunc)
        metafunc.parametrize("contract_entity", cases, indirect=True, ids=[case.path for case in cases])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests of the contract suite that concern no entity of the project."""
    items[:] = [item for item in items if not _concerns_nothing(item)]


def _concerns_nothing(item: pytest.Item) -> bool:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return "contract_entity" in params and not hasattr(params["contract_entity"], "path")


def _databases(config: pytest.Config) -> list[str]:
    said = config.getoption("--databases") or config.getini("rowhouse_databases") or ",".join(DATABASES)
    names = [name.strip() for name in said.split(",")]
    unknown = [name for name in names if name not in DATABASES]
    if unknown:
        raise pytest.UsageError(f"--databases {said}: name sqlite, postgresql, or both with a comma between them")
    return names


@pytest.fixture(scope="session")
def rowhouse_project(pytestconfig: pytest.Config) -> "Project":
    """The project in pytest's root folder, as `[tool.rowhouse]` of its pyproject.toml describes it.

    Override it in `tests/conftest.py` to test another application.
    """
    from rowhouse.cli.project import find_project

    return find_project(pytestconfig.rootpath)


@pytest.fixture(scope="session")
def rowhouse_database(request: pytest.FixtureRequest) -> str:
    """The name of the database: each test that uses it, or a client, runs on `sqlite` and on `postgresql`.

    Example:
        def test_search(client, rowhouse_database):
            ...
    """
    return str(request.param)


@pytest.fixture(scope="session")
def rowhouse_databases(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Databases]":
    """Makes databases, on SQLite and on the PostgreSQL of a wheel."""
    from rowhouse.testing.databases import Databases

    made = Databases(tmp_path_factory.mktemp("rowhouse"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def rowhouse_apps(rowhouse_databases: "Databases") -> "Iterator[RunningApps]":
    """Starts applications, each on a migrated database of its own."""
    from rowhouse.testing.running_app import RunningApps

    apps = RunningApps(rowhouse_databases)
    yield apps
    apps.close()


@pytest.fixture
def database_url(rowhouse_apps: "RunningApps", rowhouse_project: "Project", rowhouse_database: str) -> str:
    """The URL of a new database with every migration of the project, for a test that opens it itself.

    Example:
        def test_import_script(database_url):
            import_books(database_url)
    """
    return rowhouse_apps.new_database(rowhouse_project, rowhouse_database)


@pytest.fixture
def rowhouse_app(
    rowhouse_apps: "RunningApps",
    rowhouse_project: "Project",
    rowhouse_database: str,
    contract_values: "ContractValues",
    monkeypatch: pytest.MonkeyPatch,
) -> "RunningApp":
    """The project's application. Its database holds at the start of each test what the migrations store.

    Settings that a test reads name the same database.
    """
    app = rowhouse_apps.running(rowhouse_project, rowhouse_database)
    app.reset()
    app.contract_values = contract_values
    for name, value in app.environment.items():
        monkeypatch.setenv(name, value)
    return app


@pytest.fixture
def client(rowhouse_app: "RunningApp") -> "TestClient":
    """A client of the project's application, signed in as nobody.

    Example:
        def test_a_book_is_listed(client, make):
            book = make(Book)
            assert client.get("/api/v1/books").json()["items"] == [book]
    """
    return rowhouse_app.client


@pytest.fixture
def client_as(rowhouse_app: "RunningApp") -> "Callable[[str], TestClient]":
    """`client_as(role)`: a client that is signed in, with a new account of that role at each call.

    Example:
        def test_two_users(client_as):
            mine, other = client_as("user"), client_as("user")
    """
    return rowhouse_app.client_as


@pytest.fixture
def admin(rowhouse_app: "RunningApp") -> "Headers":
    """The headers of an administrator, who is signed in.

    Example:
        client.post("/api/v1/books", json=body_of(Book), headers=admin)
    """
    return rowhouse_app.accounts.administrator


@pytest.fixture
def user(rowhouse_app: "RunningApp") -> "Headers":
    """The headers of a new account with the role `user`, which is signed in. `user.id` is its id.

    Example:
        assert client.post("/api/v1/books", json={}, headers=user).status_code == 403
    """
    return rowhouse_app.accounts.create("user")


@pytest.fixture
def body_of(rowhouse_app: "RunningApp") -> "BodyOf":
    """`body_of(Model, **values)`: a valid body for a POST, with all members; the rows it refers to are stored.

    Example:
        client.post("/api/v1/books", json=body_of(Book, price=1), headers=admin)
    """
    return rowhouse_app.factory.body_of


@pytest.fixture
def make(rowhouse_app: "RunningApp") -> "Make":
    """`make(Model, **values)`: store a row with a valid body and the rows it refers to; return it as a GET shows it.

    Columns that clients cannot set, such as an owner or a READ_ONLY status, may be given too.

    Example:
        booking = make(Booking, status="confirmed", driver_id=user.id)
    """
    return rowhouse_app.factory.make


@pytest.fixture
def contract_values() -> "ContractValues":
    """The values that cannot be guessed from the classes, by class name and member. Override it in tests/conftest.py.

    A value may be a function of a number, which is another one for each row.

    Example:
        @pytest.fixture
        def contract_values():
            return {"Book": {"isbn": lambda number: isbn13(number)}}
    """
    return {}


@pytest.fixture
def frozen_clock() -> "Iterator[FrozenClock]":
    """The clock behind `now()`, stopped: `frozen_clock.now`, `.move_to(instant)`, `.tick(hours=1)`.

    Example:
        def test_it_expires(client, make, frozen_clock):
            frozen_clock.tick(minutes=16)
    """
    from rowhouse.testing.clock import FrozenClock

    with FrozenClock().running() as clock:
        yield clock


@pytest.fixture
def count_statements() -> "Callable[[], AbstractContextManager[Statements]]":
    """Lists the SQL statements that a block sends, without BEGIN and COMMIT.

    Example:
        with count_statements() as statements:
            client.get("/api/v1/books?expand=category")
        assert len(statements) <= 3
    """
    from rowhouse.testing.statements import count_statements

    return count_statements


@pytest.fixture
def contract_entity(
    request: pytest.FixtureRequest,
    rowhouse_apps: "RunningApps",
    rowhouse_project: "Project",
    rowhouse_database: str,
    contract_values: "ContractValues",
) -> "EntityClient":
    """The entity that a test of the contract suite is about, in an application that the suite has for itself."""
    from rowhouse.testing.contract.choice import project_of
    from rowhouse.testing.contract.entity import EntityClient

    project = project_of(request.cls, rowhouse_project)
    app = rowhouse_apps.running(project, rowhouse_database, purpose="contract")
    app.contract_values = contract_values
    return EntityClient(app, request.param.path)
