"""`rowhouse check` reports errors of a project, and what production still lacks."""

import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from rowhouse.cli import migrate, serve
from rowhouse.migrations.templates import create_missing
from tests.cli.conftest import Run

KIOSK = '''"""A kiosk."""

import sqlalchemy as sa
from sqlalchemy.orm import registry as mappers
from sqlmodel import Field

from rowhouse import ADMIN, ANYONE, Entity, ProjectSettings, Registry, StartRefusedError, create_app

metadata = sa.MetaData(naming_convention=Entity.metadata.naming_convention)


class OwnEntity(Entity, registry=mappers(metadata=metadata)):
    """The base of this project's classes."""


class Paper(OwnEntity, table=True):
    """A paper."""

    title: str = Field(max_length=50, index=INDEXED)


FORGOTTEN


class KioskSettings(ProjectSettings):
    """Opening hours."""

    kiosk_opens_at: int = 8


def refuse(unit, *, settings):
    if settings.environment == "production":
        raise StartRefusedError("The kiosk is closed.")


registry = Registry("/api/v1")
registry.register(Paper, read=ANYONE, write=POLICY)


def make():
    return create_app(registry, metadata=metadata, title="Kiosk", startup_checks=CHECKS)
'''
FORGOTTEN = '''
class Poster(OwnEntity, table=True):
    """A class without a line."""

    name: str
'''
Write = Callable[..., None]


@pytest.fixture
def write(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the project `kiosk` into the working directory, as if its module had never been imported."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/kiosk.db")
    (tmp_path / "pyproject.toml").write_text('[tool.rowhouse]\napp = "stand:make"\n', "utf-8")

    def written(*, indexed: str = "True", policy: str = "ADMIN", checks: str = "()", forgotten: str = "") -> None:
        text = KIOSK.replace("INDEXED", indexed).replace("POLICY", policy).replace("CHECKS", checks)
        text = text.replace("FORGOTTEN", forgotten)
        (tmp_path / "stand.py").write_text(text, "utf-8")
        sys.modules.pop("stand", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)  # two versions within one second look alike

    return written


@pytest.fixture
def migrated(write: Write, run: Run, tmp_path: Path) -> Path:
    """The project with its migration, applied."""
    write()
    create_missing(tmp_path, module="stand")
    assert run("routes").exit_code == 0
    assert migrate.run([], metadata=sys.modules["stand"].metadata) == 0
    return tmp_path


def errors(output: str) -> list[str]:
    """The lines that name an error."""
    return [line.removeprefix("error").strip() for line in output.splitlines() if line.startswith("error")]


def test_a_correct_project_has_no_errors(migrated: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each topic is one line, with no line of Alembic's between them."""
    log = logging.getLogger("alembic")
    monkeypatch.setattr(log, "level", logging.NOTSET)
    done = run("check")
    assert log.level == logging.WARNING
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].startswith("ok    registration: 1 entity, ")
    assert [line.split(":")[0].split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "settings"], ["ok", "registration"], ["ok", "indexes"], ["ok", "migrations"], ["Nothing", "is"],
    ]  # fmt: skip


def test_a_class_without_a_line_is_a_note(migrated: Path, write: Write, run: Run) -> None:
    """Not one that a registered class refers to."""
    write(forgotten=FORGOTTEN)
    notes = [line for line in run("check").stdout.splitlines() if line.startswith("note")]
    said = "Poster (stand) has a table and no registration line: it has no operations of its own"
    assert notes == [f"note  registration: {said}; write register(Poster, ...) if clients need them"]


def test_a_class_that_nothing_imports_is_a_note(migrated: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the log of a start, whoever starts the application. Tests do not count."""
    text = FORGOTTEN.replace("OwnEntity, ", "")
    (migrated / "poster.py").write_text(text, "utf-8")
    (migrated / "test_poster.py").write_text(text, "utf-8")
    (migrated / "broken.py").write_text("class (", "utf-8")
    fix = "write from poster import Poster and register(Poster, ...) beside the other lines"
    said = "Poster (poster) has a table, and nothing imports its module: it has no operations and no migration; "
    notes = [line for line in run("check").stdout.splitlines() if line.startswith("note")]
    assert notes == [f"note  registration: {said}{fix}"]
    warned: list[str] = []
    # The whole object: structlog would keep a replaced method for ever.
    log = SimpleNamespace(warning=warned.append, info=lambda _note: None)
    monkeypatch.setattr("rowhouse.app.factory.log", log)
    with TestClient(serve.application()):
        assert warned == [said + fix]


def test_a_column_without_an_index_is_an_error(write: Write, migrated: Path, run: Run) -> None:
    """As the log says it at a start."""
    write(indexed="None")
    done = run("check")
    assert done.exit_code == 1
    assert errors(done.stdout)[0].startswith("indexes: Paper: no index begins with title")
    assert done.stdout.splitlines()[-1] == f"{len(errors(done.stdout))} errors."


def test_a_model_without_a_migration_is_an_error(migrated: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that writes the migration."""
    source = migrated / "stand.py"
    source.write_text(source.read_text("utf-8").replace("    title: str", "    price: int | None = Field(default=None, index=False)\n    title: str"), "utf-8")  # fmt: skip
    sys.modules.pop("stand", None)
    shutil.rmtree(migrated / "__pycache__", ignore_errors=True)
    done = run("check")
    assert errors(done.stdout) == [
        'migrations: the models differ from the database (add papers price); run rowhouse migrate "what changed"'
    ]


def test_a_migration_that_is_not_applied_is_an_error(migrated: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is another one."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{migrated}/another.db")
    (found,) = errors(run("check").stdout)
    assert found.startswith("migrations: the database lacks rowhouse_0001")
    assert found.endswith("; run rowhouse migrate")


def test_a_migration_that_cannot_be_imported_is_an_error(migrated: Path, run: Run) -> None:
    """A start does not execute migrations, so the check has to."""
    (migrated / "alembic" / "versions" / "broken.py").write_text(
        "import no_such_module\nrevision = 'broken'\n", "utf-8"
    )
    said = "ModuleNotFoundError: No module named 'no_such_module' (alembic/versions/broken.py, line 1)"
    assert errors(run("check").stdout) == [f"migrations: {said}"]


def test_the_error_without_migrations_says_how_to_create_one(write: Write, run: Run) -> None:
    """They are found by alembic.ini."""
    write()
    assert errors(run("check").stdout) == ["migrations: there is no alembic.ini; run rowhouse migrate in development"]


def test_a_database_that_does_not_answer_is_an_error(migrated: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    done = run("check", "--production")
    assert done.exit_code == 1
    assert any(one.startswith("migrations: OperationalError") for one in errors(done.stdout))
    assert any(one.startswith("production: the accounts cannot be read") for one in errors(done.stdout))


def test_a_wrong_registration_is_an_error(write: Write, run: Run) -> None:
    """And the rest is not checked."""
    write(policy="'anyone'")
    done = run("check")
    assert done.exit_code == 1
    (found,) = errors(done.stdout)
    assert "registration: RegistrationError: Paper: write='anyone' is not a policy" in found
    migrated = run("migrate")
    assert migrated.exit_code == 1
    assert migrated.stderr.startswith("Rowhouse cannot migrate. RegistrationError: Paper: write='anyone'")
    assert migrated.stderr.count("\n") == 1
    assert "stand.py, line" in found


def test_wrong_settings_are_errors(migrated: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is none, and a name in `.env` that is nearly one; names of the project are known."""
    lines = "JWT_SECERT=x\nWORKER_THREAD=3\nKIOSK_OPENS_AT=9\nPORT=8001\nPOSTGRES_PASSWORD=other\n"
    (migrated / ".env").write_text(lines, "utf-8")
    assert errors(run("check").stdout) == [
        "settings: .env sets JWT_SECERT, which is no setting; did you mean JWT_SECRET?",
        "settings: .env sets WORKER_THREAD, which is no setting; did you mean WORKER_THREADS?",
    ]
    monkeypatch.setenv("WORKER_THREADS", "many")
    (found,) = errors(run("check").stdout)
    assert found.startswith("settings: WORKER_THREADS Input should be a valid integer")


def test_production_lacks_what_development_does_without(write: Write, migrated: Path, run: Run) -> None:
    """The environment's name, a secret, an administrator, and what the project's own startup checks demand."""
    write(checks="[refuse]")
    done = run("check", "--production")
    assert done.exit_code == 1
    assert errors(done.stdout) == [
        "production: ENVIRONMENT is development; set ENVIRONMENT=production in the environment of the servers",
        "production: set JWT_SECRET outside development: openssl rand -hex 32",
        "production: The kiosk is closed.",
        "production: no account is an administrator; run rowhouse create-admin, or set ADMIN_EMAIL and ADMIN_PASSWORD",
    ]
    assert "note  production: anyone can open /docs, /redoc, /openapi.json" in done.stdout
    assert "FORWARDED_ALLOW_IPS is not set" in done.stdout
    (migrated / ".env").write_text("FORWARDED_ALLOW_IPS=10.0.0.1\n", "utf-8")
    assert "FORWARDED_ALLOW_IPS is not set" not in run("check", "--production").stdout


def test_a_complete_production_has_no_errors(migrated: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes say what may be meant."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    monkeypatch.setenv("ADMIN_EMAIL", "boss@example.com")
    monkeypatch.setenv("ADMIN_PASSWORD", "correct-horse")
    done = run("check", "--production")
    assert (done.exit_code, errors(done.stdout)) == (0, []), done.output
    assert "METRICS_TOKEN is not set, so /metrics is closed in production" in done.stdout
    for name in ("RATE_LIMIT_STORAGE_URL", "DRAIN_SECONDS", "FORWARDED_ALLOW_IPS", "SQLite"):
        assert name in done.stdout


def test_migrations_are_linted_where_there_is_no_project(run: Run) -> None:
    """One sentence says where to run the command."""
    done = run("lint-migrations")
    assert (done.exit_code, done.stderr) == (1, "There is no alembic.ini here; run this in the folder of a project.\n")


def test_migrations_are_linted_without_squawk(migrated: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says how to install it."""
    monkeypatch.setattr("rowhouse.cli.lint_migrations.squawk", lambda: None)
    done = run("lint-migrations")
    assert (done.exit_code, done.stderr) == (1, "squawk is not installed: pip install squawk-cli\n")
