"""The front door: what a project imports from `rowhouse`, and that the product needs nothing else."""

import ast
import inspect
from types import FunctionType
from typing import Any

import pytest

import rowhouse
from tests.conftest import ROOT

PRODUCT = sorted((ROOT / "backend" / "app").rglob("*.py"))
# What has no docstring of its own: constants and annotated types. The package's documentation names them.
VALUES = {name for name in rowhouse.__all__ if not isinstance(getattr(rowhouse, name), type | FunctionType)}


def imported(source: str) -> set[str]:
    """The modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_imports_the_front_door_alone(path: Any) -> None:
    """No module below it, so that each may move."""
    engine = {name for name in imported(path.read_text(encoding="utf-8")) if name.split(".")[0] == "rowhouse"}
    assert engine <= {"rowhouse"}


def test_every_name_is_exported_once_and_exists() -> None:
    """In the order of ruff, so that a change is one line."""
    assert len(set(rowhouse.__all__)) == len(rowhouse.__all__)
    public = {name for name, value in vars(rowhouse).items() if name[0] != "_" and not inspect.ismodule(value)}
    assert public == set(rowhouse.__all__)


@pytest.mark.parametrize("name", sorted(set(rowhouse.__all__) - VALUES))
def test_every_name_is_explained(name: str) -> None:
    """By a docstring of its own."""
    found = getattr(rowhouse, name)
    said = inspect.getdoc(found)
    assert said
    assert said != inspect.getdoc(type(found))
