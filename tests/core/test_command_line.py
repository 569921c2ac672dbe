"""The command `rowhouse`: which application it loads, what it prints, and its exit status."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rowhouse.cli.main import rowhouse
from rowhouse.cli.project import VARIABLE, find_project, load_application

KIOSK = """
from fastapi import FastAPI
from rowhouse import ANYONE, Registry, Router, create_app, role

router = Router(prefix="/papers")

@router.get("", policy=ANYONE)
def list_papers() -> list[str]:
    return []

@router.post("", policy=role("admin"), openapi_extra={"x-slo-ms": 500})
def print_paper() -> str:
    return ""

registry = Registry("/api/v1")
registry.include(router)
number = 7

def make() -> FastAPI:
    return create_app(registry, title="Kiosk")
"""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the command in a project whose application is `kiosk:make` in the folder `source`."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/kiosk.py").write_text(KIOSK)
    (tmp_path / "pyproject.toml").write_text('[tool.rowhouse]\napp = "kiosk:make"\nsource = "source"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield lambda *words: CliRunner().invoke(rowhouse, words)
    sys.modules.pop("kiosk", None)


def test_it_lists_the_operations(run: Run) -> None:
    """A table of method, path, operation, callers and time bound."""
    lines = run("routes").stdout.splitlines()
    assert lines[0].split() == ["METHOD", "PATH", "OPERATION", "WHO", "SLO"]
    assert [line.split() for line in lines[1:]] == [
        ["GET", "/api/v1/papers", "list_papers", "anyone", "200", "ms"],
        ["POST", "/api/v1/papers", "print_paper", "admin", "500", "ms"],
    ]


def test_it_prints_the_document(run: Run) -> None:
    """JSON and nothing else."""
    assert json.loads(run("openapi").stdout)["info"]["title"] == "Kiosk"


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("nowhere:app", "ModuleNotFoundError: No module named 'nowhere'"),
        ("kiosk:number", "kiosk:number is neither an application"),
        ("kiosk", "kiosk is neither an application"),
    ],
)
def test_an_application_that_cannot_be_loaded_is_one_sentence(run: Run, app: str, words: str) -> None:
    """The exit status is 1."""
    done = run("routes", "--app", app)
    assert done.exit_code == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("routes",), ("check",), ("openapi",), ("client", "python", "c")])
def test_a_folder_without_a_project_is_one_sentence(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    """It is where a stranger types the first command."""
    (tmp_path / "pyproject.toml").unlink()
    done = run(*words, "--app", "kiosks.main:make" if words[0] != "openapi" else "kiosks:make")
    assert done.exit_code == 1
    assert ": run this in the folder of a project." in done.output
    assert "Error: " not in done.output
    assert "Traceback" not in done.output


def test_a_wrong_option_of_the_project_is_refused(run: Run, tmp_path: Path) -> None:
    """Every word of `[tool.rowhouse]` has an effect or is rejected."""
    (tmp_path / "pyproject.toml").write_text('[tool.rowhouse]\napplication = "kiosk:make"\n')
    done = run("openapi")
    assert done.exit_code == 1
    assert "[tool.rowhouse] application = 'kiosk:make': write app and source" in done.stderr


def test_the_application_may_stand_in_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Server processes get the application of `rowhouse run --app`. `module:application` needs no factory."""
    assert run("routes", "--app", "kiosk:make").exit_code == 0
    assert os.environ[VARIABLE] == "kiosk:make"
    made = sys.modules["kiosk"].make()
    monkeypatch.setattr(sys.modules["kiosk"], "made", made, raising=False)
    monkeypatch.setenv(VARIABLE, "kiosk:made")
    assert load_application(find_project()) is made


@pytest.mark.parametrize("words", [("migrate",), ("migrate", "--check"), ("routes",), ("run",)])
def test_another_module_of_the_same_name_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Its tables would be written into this project's migrations. The exit status is 1, and there is no database."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other/kiosk.py").write_text(KIOSK)
    sys.path[:0] = [str(tmp_path / "other"), str(tmp_path / "source")]
    sys.modules.pop("kiosk", None)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/data.db")
    done = run(*words)
    assert done.exit_code == 1
    assert f"Python finds kiosk in {tmp_path}/other/kiosk.py and not in {tmp_path}/source" in done.stderr
    assert not (tmp_path / "data.db").exists()


COMMANDS = [
    "new", "entity", "check", "client", "run", "migrate", "create-admin", "lint-migrations", "routes", "openapi",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    """`--help` exits with 0, an unknown option with 2."""
    helped = run(command, "--help")
    assert (helped.exit_code, f"rowhouse {command}" in helped.stdout) == (0, True), helped.stdout
    assert run(command, "--no-such-option").exit_code == 2
