"""Creates a project from the templates of this package: `rowhouse new shop`."""

import re
import shutil
import subprocess  # nosec B404  starts git
from importlib.resources import files
from pathlib import Path

from rowhouse import __version__
from rowhouse.cli.errors import ArgumentError, CommandError
from rowhouse.migrations.templates import create_missing

DISTRIBUTION_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
MAX_NAME = 63  # a label of a host name has at most as many characters
PLACES = {
    "README.md.txt": "README.md",
    "pyproject.toml.txt": "pyproject.toml",
    "env.example.txt": ".env.example",
    "gitignore.txt": ".gitignore",
    "main.py.txt": "backend/app/main.py",
    "api.py.txt": "backend/app/api.py",
    "api_test.py.txt": "tests/test_api.py",
    "locustfile.py.txt": "perf/locustfile.py",
    "run.txt": "scripts/run",
    "test.txt": "scripts/test",
}
EXECUTABLE = 0o755


def create_project(name: str, parent: Path) -> list[str]:
    """Create the folder `name` with a project in it. Return the paths of its files.

    The folder may exist if it holds nothing but an environment, `.venv`.

    Raises:
        ArgumentError: the name is not fit for a folder, a distribution and a URL.
        CommandError: the folder holds something else, or cannot be written.
    """
    _check_name(name)
    directory = parent / name
    try:
        _require_empty(directory)
        created = _write_files(directory, name)
    except OSError as error:
        raise CommandError(f"{name} cannot be created: {error.strerror}: {error.filename}.") from error
    _start_repository(directory)
    return sorted(created)


def version_range(version: str) -> str:
    """Return the range from a version up to the next one that may break: `0.1.2` → `>=0.1.2,<0.2`."""
    major, minor, *_ = map(int, version.split("."))
    return f">={version},<{major + 1}" if major else f">={version},<0.{minor + 1}"


def _check_name(name: str) -> None:
    if not DISTRIBUTION_NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ArgumentError(
            f"{name!r} is not the name of a project: write at most {MAX_NAME} lower-case letters, digits, - and _, "
            "beginning with a letter, such as 'shop'."
        )


def _require_empty(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(path.name != ".venv" for path in directory.iterdir())):
        raise CommandError(f"{directory.name} exists and is not an empty folder; choose another name.")


def _write_files(directory: Path, name: str) -> list[str]:
    words = {
        "{name}": name,
        "{title}": re.sub(r"[_-]", " ", name).capitalize(),
        "{versions}": version_range(__version__),
    }
    for template, place in PLACES.items():
        text = files(__package__).joinpath("templates", template).read_text("utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        path = directory / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        if place.startswith("scripts/"):
            path.chmod(EXECUTABLE)
    return [*PLACES.values(), *create_missing(directory, module="app.main", source="backend", template=False)]


def _start_repository(directory: Path) -> None:
    """Make a git repository, unless git is missing, fails, or manages a folder above already."""
    git = shutil.which("git")
    if git is None:
        return
    words = [git, "-C", str(directory)]
    if _status([*words, "rev-parse", "--is-inside-work-tree"]) != 0:
        _status([*words, "init", "--quiet"])


def _status(words: list[str]) -> int:
    """Run git, and return its exit status."""
    return subprocess.run(words, capture_output=True, check=False).returncode  # noqa: S603  # nosec B603  git alone
