"""Fixtures: a working directory for each test, the command `rowhouse` in it, and databases to adopt."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from rowhouse.cli.main import rowhouse
from rowhouse.cli.project import VARIABLE
from rowhouse.core.settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`run("new", "shop")`: types a command in an empty folder, with no setting of the machine."""
    for name in (*Settings.model_fields, VARIABLE):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield lambda *words: CliRunner().invoke(rowhouse, [str(word) for word in words])
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def project(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, which is the working directory."""
    assert run("new", "shop").exit_code == 0
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """No process registers the classes or loads the project; the list has the refusals of each trial."""
    refusals: list[dict[str, str]] = []
    monkeypatch.setattr("rowhouse.cli.adopt.command._trial", lambda _plan: refusals.pop(0) if refusals else {})
    monkeypatch.setattr("rowhouse.cli.adopt.command._load", lambda _plan: None)
    yield refusals
    assert refusals == []


def sqlite_file(folder: Path, *statements: str) -> str:
    """The URL of a new database."""
    engine = sa.create_engine(f"sqlite:///{folder}/other.db")
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
    return f"sqlite:///{folder}/other.db"
