"""The wheel of `rowhouse-api`: its files, and the versions of its requirements."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE")
RANGE = re.compile(r"([\w\-\[\]]+)>=([\d.]+),<([\d.]+)")


def build_wheel(directory: Path, *options: str, change: Callable[[Path], None] | None = None) -> Path:
    """Build the wheel in a directory, from a copy of the sources, which `change` may edit. Return its path."""
    sources = directory / "sources"
    shutil.copytree(ROOT / "backend", sources / "backend", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, sources / name)
    if change is not None:
        change(sources)
    words = [sys.executable, "-m", "build", "--wheel", *options, "--outdir", str(directory), str(sources)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = directory.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the installed setuptools."""
    return build_wheel(tmp_path_factory.mktemp("wheel"), "--no-isolation")


def test_it_holds_every_file_of_the_engine_and_nothing_else(wheel: Path) -> None:
    """Modules, the pytest plugin, the engine's migrations, templates and `py.typed`; nothing of the product, the tests or perf."""
    package = ROOT / "backend/rowhouse"
    wanted = {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        "rowhouse/__main__.py",
        "rowhouse/migrations/versions/rowhouse_0001_tables.py",
        "rowhouse/migrations/templates/script.py.mako",
        "rowhouse/py.typed",
    } <= wanted
    names = set(zipfile.ZipFile(wheel).namelist())
    information = {name for name in names if name.startswith("rowhouse_api-")}
    assert names - information == wanted | {"pytest_rowhouse.py"}


def test_it_declares_its_command_and_its_extras(wheel: Path) -> None:
    """`rowhouse`, and what each optional part needs."""
    with zipfile.ZipFile(wheel) as archive:
        (points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "rowhouse = rowhouse.cli.main:main" in archive.read(points).decode()
        assert "[pytest11]\npytest_rowhouse = pytest_rowhouse\n" in archive.read(points).decode()
        (about,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        said = archive.read(about).decode()
    extras = set(re.findall(r"^Provides-Extra: (.*)$", said, re.MULTILINE))
    assert extras == {"redis", "load", "test", "admin", "traces"}
    assert "Name: rowhouse-api\n" in said


def pins(name: str) -> dict[str, str]:
    """The versions that this repository pins."""
    lines = (ROOT / "scripts/requirements" / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def next_breaking(version: str) -> list[int]:
    """The first version that may break: of 1.2.3 it is 2, of 0.1.2 it is 0.2, of 0.0.3 it is 0.1."""
    major, minor, *_ = map(int, version.split("."))
    return [major + 1] if major else [0, minor + 1]


def test_the_ranges_begin_at_the_pins_and_end_before_a_version_that_may_break() -> None:
    """SQLAlchemy counts its breaking versions by the second number."""
    needed = PROJECT["dependencies"]
    extras: dict[str, list[str]] = PROJECT["optional-dependencies"]
    extra = [one for ones in extras.values() for one in ones]
    pinned = {**pins("dev.txt"), **pins("redis.txt"), **pins("run.txt")}
    found = [RANGE.fullmatch(one) for one in (*needed, *extra)]
    assert all(found)
    for name, lower, upper in (one.groups() for one in found if one):
        assert lower == pinned[name], name
        assert [*map(int, upper.split("."))] == ([2, 2] if name == "sqlalchemy" else next_breaking(lower)), name
    installed = {one.partition(">=")[0] for one in (*needed, *extras["admin"])}
    assert installed == set(pins("run.txt")), "scripts/run installs the extra admin too"
