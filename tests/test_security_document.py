"""`docs/security.md` names files, functions, tests and settings: each of them exists."""

import ast
import re

import pytest

from tests.conftest import ROOT
from tests.test_references import is_present

TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
CODE = sorted(set(re.findall(r"`(backend/[\w/]+\.py): (\w+)`", TEXT)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))
SETTINGS = sorted(set(re.findall(r"`([A-Z][A-Z_]+[A-Z])`", TEXT)) - {"FORWARDED_ALLOW_IPS"})
PATHS = sorted(set(re.findall(r"`((?:backend|tests|docs|scripts)(?:/[\w.-]+)+)", TEXT)))
RISKS = [f"**API{number}**" for number in range(1, 11)]


def names_in(path: str) -> set[str]:
    """Every function, method and class of a module."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {
        node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }


def test_there_is_something_to_check() -> None:
    """Else the tests below would hold nothing; each of the ten risks is answered."""
    assert len(CODE) > 15
    assert len(TESTS) > 30
    assert len(SETTINGS) > 8
    assert [risk for risk in RISKS if TEXT.count(risk) != 1] == []


@pytest.mark.parametrize(("path", "name"), [*CODE, *TESTS])
def test_what_is_named_exists(path: str, name: str) -> None:
    """The file, and the function in it."""
    assert is_present(path), path
    assert not name or not (ROOT / path).is_file() or name in names_in(path), f"{path} has no {name}"


@pytest.mark.parametrize("path", PATHS)
def test_every_path_leads_somewhere(path: str) -> None:
    """Folders too."""
    assert is_present(path)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_one(setting: str) -> None:
    """As `.env.example` lists them."""
    assert f"\n{setting}=" in (ROOT / ".env.example").read_text(encoding="utf-8")
