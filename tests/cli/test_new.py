"""`rowhouse new`: the files of a project, their checks, and the names that it rejects."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rowhouse import __version__
from rowhouse.cli.main import rowhouse
from rowhouse.cli.scaffold.project import version_range
from rowhouse.core.settings import Settings
from tests.cli.conftest import Run
from tests.conftest import ROOT
from tests.test_wheel import next_breaking, pins

MOST_FILES = 12
FILES = {
    ".env.example", ".gitignore", "README.md", "alembic.ini", "alembic/env.py", "backend/app/api.py",
    "backend/app/main.py", "perf/locustfile.py", "pyproject.toml", "scripts/run", "scripts/test", "tests/test_api.py",
}  # fmt: skip


def files_of(folder: Path) -> set[str]:
    """The files of a project, without git's own."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {path.as_posix() for path in found if path.parts[0] != ".git"}


def words_of(path: Path) -> dict[str, Any]:
    """A TOML file."""
    return tomllib.loads(path.read_text("utf-8"))


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Path:
    """The folder of a new project."""
    made = run("new", "shop")
    assert made.exit_code == 0, made.output
    return tmp_path / "shop"


def test_it_writes_twelve_small_files(shop: Path) -> None:
    """And a folder for migrations, in a repository."""
    assert files_of(shop) == FILES
    assert len(FILES) <= MOST_FILES
    assert (shop / "alembic/versions").is_dir()
    assert (shop / ".git").is_dir()
    for script in ("run", "test"):
        assert os.access(shop / "scripts" / script, os.X_OK)


def test_it_names_each_file_and_the_next_commands(run: Run) -> None:
    """As they are typed."""
    said = run("new", "book-shop").stdout
    assert {line.strip() for line in said.splitlines()} >= FILES | {"cd book-shop"}
    assert "scripts/run" in said.partition("Next:")[2]


def test_no_word_of_a_template_is_left(shop: Path) -> None:
    """Names, titles and versions are filled in."""
    for name in files_of(shop):
        assert re.findall(r"\{(?:name|title|versions|module|source)\}", (shop / name).read_text("utf-8")) == [], name
    assert f"rowhouse-api[admin]{version_range(__version__)}" in (shop / "pyproject.toml").read_text("utf-8")


def test_it_passes_its_own_style_checks(shop: Path) -> None:
    """`scripts/test` of the project runs both; tests/world runs that."""
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--no-cache", "."]
        done = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_checked_as_strictly_as_this_repository(shop: Path) -> None:
    """The same rules of ruff and mypy. What it leaves out, this repository leaves out too."""
    its, ours = words_of(shop / "pyproject.toml")["tool"], words_of(ROOT / "pyproject.toml")["tool"]
    assert its["ruff"]["lint"]["select"] == ours["ruff"]["lint"]["select"] == ["ALL"]
    assert set(its["ruff"]["lint"]["ignore"]) <= set(ours["ruff"]["lint"]["ignore"])
    for place, left_out in its["ruff"]["lint"]["per-file-ignores"].items():
        assert set(left_out) <= set(ours["ruff"]["lint"]["per-file-ignores"][place]), place
    for word in ("strict", "warn_unreachable", "enable_error_code", "explicit_package_bases"):
        assert its["mypy"][word] == ours["mypy"][word], word
    assert its["pytest"]["ini_options"]["filterwarnings"][0] == "error"


def test_the_versions_of_its_tools_are_those_of_this_repository(shop: Path) -> None:
    """From the version that is pinned here up to the next one that may break."""
    found = words_of(shop / "pyproject.toml")["project"]["optional-dependencies"]["dev"]
    ranges = dict(re.findall(r"(\w+)>=([\d.]+)", " ".join(found)))
    for name in ("mypy", "ruff"):
        assert ranges[name] == pins("dev.txt")[name], name
        upper = ".".join(map(str, next_breaking(ranges[name])))
        assert f"{name}>={ranges[name]},<{upper}" in found


def test_its_example_of_settings_holds_every_setting_and_its_default(run: Run, shop: Path, tmp_path: Path) -> None:
    """As the example of this repository, without the settings of the product."""
    example = (shop / ".env.example").read_text("utf-8")
    names = re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)
    assert [name.lower() for name in names] == list(Settings.model_fields)
    defaults = Settings()
    (tmp_path / ".env").write_text(example, "utf-8")
    assert Settings().model_copy(update={"log_level": defaults.log_level}) == defaults


def test_its_readme_names_commands_that_exist(shop: Path) -> None:
    """Each is a command of `rowhouse`, a script or a file of the project."""
    text = (shop / "README.md").read_text("utf-8")
    known = {command.name or command.callback.__name__.replace("_", "-") for command in rowhouse.registered_commands if command.callback}  # fmt: skip
    named = set(re.findall(r"\.venv/bin/rowhouse ([\w-]+)", text))
    assert named <= known
    assert named >= {"entity", "migrate", "check", "client"}
    for path in re.findall(r"^(scripts/\w+)|`(\.env\.example|backend/app/(?:api|main)\.py)`", text, re.MULTILINE):
        assert "".join(path) in FILES


def test_its_scripts_say_that_python_is_missing(shop: Path, tmp_path: Path) -> None:
    """In one sentence, before anything is made."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "env", "dirname", "cksum", "cat"):
        (programs / name).symlink_to(str(shutil.which(name)))
    for script in ("run", "test"):
        done = subprocess.run(
            [f"scripts/{script}"], cwd=shop, env={"PATH": str(programs)}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (
            1, "Shop needs Python 3.11 or newer. Install it, and make sure that the shell finds python3.\n",
        )  # fmt: skip
    assert not (shop / ".venv").exists()


def test_an_empty_folder_is_taken(run: Run, tmp_path: Path) -> None:
    """Somebody may have made it, and a repository of its own is kept."""
    (tmp_path / "shop").mkdir()
    assert run("new", "shop").exit_code == 0


def test_a_machine_without_git_gets_no_repository(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no error."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("new", "shop").exit_code == 0
    assert files_of(tmp_path / "shop") == FILES
    assert not (tmp_path / "shop/.git").exists()


def test_a_git_that_fails_is_no_error(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project is whole."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert run("new", "shop").exit_code == 0
    assert files_of(tmp_path / "shop") == FILES


def test_a_repository_above_is_not_nested(run: Run, tmp_path: Path) -> None:
    """A project may be a part of a larger repository."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607  the git of the machine
    assert run("new", "shop").exit_code == 0
    assert not (tmp_path / "shop/.git").exists()


@pytest.mark.parametrize("name", ["2shop", "Shop", "shop!", "my shop", "../shop", "shop-", "a__b", "", "x" * 64, "."])
def test_a_name_that_is_none_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    """With one sentence, and nothing is written."""
    done = run("new", name)
    assert done.exit_code == 2
    assert "is not the name of a project" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_environment_may_be_there_already(run: Run, tmp_path: Path) -> None:
    """A person who installed the package into `shop/.venv` stays in it."""
    (tmp_path / "shop/.venv").mkdir(parents=True)
    assert run("new", "shop").exit_code == 0
    assert (tmp_path / "shop/scripts/run").exists()


def test_a_folder_that_holds_something_is_left_alone(run: Run, tmp_path: Path) -> None:
    """And a file of that name."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/mine").touch()
    (tmp_path / "store").touch()
    for name in ("shop", "store"):
        done = run("new", name)
        assert (done.exit_code, done.stderr) == (
            1,
            f"{name} exists and is not an empty folder; choose another name.\n",
        )
    assert files_of(tmp_path) == {"shop/mine", "store"}


def test_a_folder_that_cannot_be_written_is_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason of the operating system."""

    def refuse(*_words: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied", "shop")

    monkeypatch.setattr(Path, "mkdir", refuse)
    done = run("new", "shop")
    assert (done.exit_code, done.stderr) == (1, "shop cannot be created: Permission denied: shop.\n")


@pytest.mark.parametrize(
    ("version", "versions"), [("0.1.2", ">=0.1.2,<0.2"), ("0.9.0", ">=0.9.0,<0.10"), ("1.4.2", ">=1.4.2,<2")]
)
def test_a_range_ends_before_the_next_version_that_may_break(version: str, versions: str) -> None:
    """While a version begins with 0, that is the next minor one."""
    assert version_range(version) == versions
