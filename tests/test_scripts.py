"""`scripts/run` as a person meets it, here and in a new project: each obstacle gets one sentence that helps."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from rowhouse.cli.scaffold.project import create_project
from tests.conftest import ROOT

SECONDS = 60
TOOLS = ("bash", "cat", "cksum", "dirname", "sed", "tr")


@pytest.fixture(params=["repository", "project"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the scripts of this repository, or of a new project."""
    if request.param == "project":
        create_project("shop", tmp_path)
        return tmp_path / "shop"
    shutil.copytree(ROOT / "scripts", tmp_path / "shop/scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "shop"


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Type `scripts/run`."""
    own = {"HOME": str(folder), **environment}
    return subprocess.run(
        [folder / "scripts/run", *words],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def tools(folder: Path, python: str = "") -> str:
    """A PATH with the tools of any machine, and the text of a program `python3` or none."""
    path = folder / "bin"
    path.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (path / name).symlink_to(found)
    if python:
        (path / "python3").write_text(f"#!{shutil.which('bash')}\n{python}\n")
        (path / "python3").chmod(0o755)
    return str(path)


def installed(folder: Path) -> None:
    """Make an environment that looks complete: Python of the tests, and the stamps."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to((ROOT / ".venv/bin/python").resolve())
    stamps = {
        ".installed-": "cksum < pyproject.toml",
        ".run-requirements": "cat scripts/requirements/*.txt | cksum",
    }
    for name, command in stamps.items():
        said = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S607  any shell
        (folder / ".venv" / name).write_text(said.stdout)


def test_it_explains_itself(folder: Path) -> None:
    """`--help` prints what the script does, and makes nothing."""
    done = run(folder, "--help", PATH=os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    assert "PORT" in done.stdout
    assert "#" not in done.stdout
    assert not (folder / ".venv").exists()


def test_every_script_of_a_folder_that_checks_or_tests_explains_itself(folder: Path) -> None:
    """`--help` prints the head of the script, and makes nothing."""
    explained = {
        "check": "Everything", "test": "pytest", "test-world": "pytest", "create-admin": "--promote",
        "migrate": "--rename", "perf": "capacity", "perf-compare": "revision",
    }  # fmt: skip
    for name in sorted(explained.keys() & {path.name for path in (folder / "scripts").iterdir()}):
        done = subprocess.run(
            [folder / "scripts" / name, "--help"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), name
        assert explained[name] in done.stdout
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("python", ["", "exit 1"], ids=["no python", "an old one"])
def test_without_a_python_it_says_which_it_needs(folder: Path, python: str) -> None:
    """Exit status 1 and one sentence."""
    done = run(folder, PATH=tools(folder, python))
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs Python 3.11 or newer. Install it" in done.stderr


def test_an_interrupted_environment_is_made_again(folder: Path) -> None:
    """A `.venv` without pip is replaced. If that fails, the sentence names the package of Debian."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to("/nowhere")
    refusing = 'if [ "$1" = -m ]; then echo "$@"; exit 1; fi'
    done = run(folder, PATH=tools(folder, refusing))
    assert done.returncode == 1
    assert "-m venv --clear .venv" in done.stdout
    assert "python3-venv" in done.stderr


def test_a_taken_port_is_one_sentence(folder: Path) -> None:
    """Before anything is migrated. The port stands in `.env`, with quotes."""
    installed(folder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (folder / ".env").write_text(f'HOST=127.0.0.1\nPORT="{port}"\n')
        done = run(folder, PATH=os.environ["PATH"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Port {port} of 127.0.0.1 cannot be used; another program may have it.")
    assert "PORT=8001" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("port", ["80x", "99999", "-1"])
def test_a_port_that_is_none_is_one_sentence(folder: Path, port: str) -> None:
    """Before anything is migrated, with further words too."""
    installed(folder)
    done = run(folder, "--reload", PATH=os.environ["PATH"], PORT=port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"PORT={port} is not a port: write a number from 1 to 65535.\n"
