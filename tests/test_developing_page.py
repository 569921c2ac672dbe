"""`docs/developing.md` builds a project: its files run, its tests pass, and it explains every public name."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rowhouse
from tests.conftest import ROOT
from tests.test_references import is_present

PAGE = (ROOT / "docs/developing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
(PROJECT_FILE,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w/]+\.py)\n")
PACKAGE = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|", re.MULTILINE)
QUESTIONS = 15
ENTITIES, PROMISES = 4, 15
RUN_SECONDS = 240


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the page, written to disk."""
    folder = tmp_path_factory.mktemp("project")
    for block in BLOCKS:
        named = FILE.match(block)
        assert named is not None, f"a block begins with no file: {block[:40]}"
        path = folder / named[1]
        path.parent.mkdir(exist_ok=True)
        path.write_text(block, encoding="utf-8")
    (folder / "pyproject.toml").write_text(PROJECT_FILE, encoding="utf-8")
    return folder


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project, with the engine on its path."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{project}:{ROOT / 'backend'}",
        "DATABASE_URL": f"sqlite:///{project}/space.db",
        "COVERAGE_PROCESS_START": "",
    }
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip


def test_the_tests_of_the_page_pass(project: Path) -> None:
    """Seven over models, rules, routes, settings, jobs and the application, and the contract of its four entities."""
    plugin = ("-p", "pytest_rowhouse", "--databases", "sqlite")  # an installed package would be found by itself
    done = run(project, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *plugin)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > ENTITIES * PROMISES
    assert "skipped" not in done.stdout


def test_the_commands_of_the_page_work_in_the_project(project: Path) -> None:
    """`rowhouse migrate` writes and applies the first migration; `routes` and `openapi` show the routes."""
    assert "Wrote and applied" in run(project, "rowhouse", "migrate").stdout
    assert len(list((project / "alembic/versions").glob("*.py"))) == 1
    assert run(project, "rowhouse", "migrate", "--check").returncode == 0
    assert "confirm_reservation" in run(project, "rowhouse", "routes").stdout
    assert '"list_free_rooms"' in run(project, "rowhouse", "openapi").stdout


def test_the_project_imports_the_front_door_alone() -> None:
    """No module below it, but what is for tests."""
    found = re.findall(r"(?:from|import) (rowhouse\.\S+)", "\n".join(BLOCKS))
    assert set(found) == {"rowhouse.testing", "rowhouse.testing.contract"}


@pytest.mark.parametrize("name", sorted(rowhouse.__all__))
def test_every_name_of_the_front_door_is_explained(name: str) -> None:
    """Between backquotes, in the table at the end of the page."""
    assert f"`{name}`" in PAGE.partition("## Every name")[2]


def test_the_table_of_packages_is_what_import_linter_holds() -> None:
    """From the highest layer to the lowest."""
    table = PAGE.partition("## Packages")[2].partition("\n## ")[0]
    told = [re.findall(r"\w+", row) for row in PACKAGE.findall(table)]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(one["layers"] for one in contracts if one.get("containers") == ["rowhouse"])
    held = [sorted(re.findall(r"\w+", layer)) for layer in layers if layer != "__main__"]
    assert [sorted(row) for row in told] == held


def test_every_question_has_an_answer_that_exists() -> None:
    """Each answer names a file or a section of the page."""
    rows = re.findall(
        r"^\| (?!question|-)(.+?) \| (.+) \|$", PAGE.partition("## Where is")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert len(rows) >= QUESTIONS
    for question, answer in rows:
        paths = re.findall(r"`(backend/[\w./]+)`", answer)
        assert paths or "](#" in answer, question
        assert [path for path in paths if not is_present(path)] == [], question
