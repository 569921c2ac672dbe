"""`perf` works without the product: only `perf/app` imports it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from perf.harness.servers import REPOSITORY

PERF = REPOSITORY / "perf"
MODULES = sorted(path for path in PERF.rglob("*.py") if not path.is_relative_to(PERF / "app"))


def imports(path: Path) -> Iterator[str]:
    """Yield the names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PERF).as_posix())
def test_no_other_module_imports_the_product(path: Path) -> None:
    found = {name for name in imports(path) if name.split(".")[0] == "app" or name.startswith("perf.app")}
    assert found == set()
