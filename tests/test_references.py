"""References in code, tests and documents lead to a file, a section or a decision of this repository."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDERS = ("backend", "docs", "tests", "perf", "scripts", "alembic")
SINGLE_FILES = ("README.md", "CHANGELOG.md", ".env.example", "pyproject.toml")
SUFFIXES = {".py", ".md", ".toml", ".yml", ".txt", ".ini", ".mako", ""}
ABSENT = re.compile(r"\b(?:KNOWLEDGE|(?:DESIGN|REVIEW|CONTRACT) §)|\.\./shared/")
SECTION = re.compile(r"contract\.md((?: §\d+(?:,| to| and)?)+)")
DECISION = re.compile(r"\bdecisions? (\d{4})")
PAGE = re.compile(r"\bdocs/(?:\w+/)?[\w-]+\.md\b")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:backend|tests|docs|scripts|perf|alembic)/[\w./-]*\w)(?:::\w+|: \w+)?`")
TEST = re.compile(r"(?<![\w/])test_\w+\.py\b")
BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PRODUCT = ("backend/app", "tests/app", "perf/app", "alembic/versions")
OWN = Path(__file__)


def texts() -> list[Path]:
    """Every text of the repository that a person writes."""
    found = [ROOT / name for name in SINGLE_FILES]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES and path.is_file()]
    return [path for path in found if path != OWN and not {"__pycache__", "node_modules"} & set(path.parts)]


def is_present(path: str) -> bool:
    """Return True if a path exists. The product may be removed: then its paths count as present."""
    is_removed = not (ROOT / "backend/app").exists() and path.startswith(PRODUCT)
    return is_removed or (ROOT / path).exists()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(page.read_text("utf-8"))]
    return {heading.replace(" ", "-") for heading in headings}


CONTENTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in texts()}
PAGES = {name: text for name, text in CONTENTS.items() if name.endswith(".md")}
DECISIONS = {path.name[:4] for path in (ROOT / "docs/decisions").glob("*.md")}
SECTIONS = set(re.findall(r"^## (\d+)\.", (ROOT / "docs/contract.md").read_text("utf-8"), re.MULTILINE))
TEST_FILES = {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def test_no_reference_leads_out_of_the_repository() -> None:
    """Documents that a reader does not have are not named."""
    assert [name for name, text in CONTENTS.items() if ABSENT.search(text)] == []


def test_every_section_of_the_contract_exists() -> None:
    """The pattern `contract.md` and a section number."""
    named = {
        (n, number) for n, text in CONTENTS.items() for run in SECTION.findall(text) for number in run.split("§")[1:]
    }
    numbers = {(name, re.sub(r"\D", "", number)) for name, number in named}
    assert len(numbers) > 20
    assert [(name, number) for name, number in numbers if number not in SECTIONS] == []


def test_every_decision_exists() -> None:
    """The pattern `decision` and four digits."""
    named = {(name, number) for name, text in CONTENTS.items() for number in DECISION.findall(text)}
    assert [(name, number) for name, number in named if number not in DECISIONS] == []


def test_every_page_that_is_named_exists() -> None:
    """The pattern `docs/name.md`, in code too."""
    named = {(name, page) for name, text in CONTENTS.items() for page in PAGE.findall(text)}
    assert [(name, page) for name, page in named if not (ROOT / page).is_file()] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    """To a file, and to a heading where it names one."""
    page = ROOT / name
    for target in LINK.findall(PAGES[name]):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = page.parent / file if file else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("name", PAGES)
def test_every_path_between_backquotes_exists(name: str) -> None:
    """Files of tests may be named without their folder."""
    prose = BLOCK.sub("", PAGES[name])
    assert [path for path in PATH.findall(prose) if not is_present(path)] == []
    assert [file for file in TEST.findall(prose) if file not in TEST_FILES] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_python_block_compiles(name: str) -> None:
    """Examples may need names from elsewhere, but are Python."""
    for block in PYTHON.findall(PAGES[name]):
        compile(block, name, "exec")


@pytest.mark.parametrize("page", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda page: page.name)
def test_every_decision_has_the_same_form(page: Path) -> None:
    """A title with its number, the day, and what holds it."""
    text = page.read_text("utf-8")
    assert re.match(rf"# {page.name[:4]}: \S.*\n\n\*\*Decided\*\* \d{{4}}-\d\d-\d\d\.\n\n\*\*", text)
    assert "\n**Held by** " in text


def test_the_pictures_of_readme_are_there_and_small() -> None:
    """Each file of docs/pictures is shown, and has less than 150 KB."""
    shown = re.findall(r"!\[[^\]]+\]\((docs/pictures/[^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs/pictures").iterdir()} == set(shown)
    assert max((ROOT / path).stat().st_size for path in shown) < 150_000
