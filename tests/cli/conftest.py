"""Fixtures: a working directory for each test, and the command `rowhouse` in it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
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
