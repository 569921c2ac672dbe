"""The engine, its tests and its tools work without the product: only files that are deleted with it import `app`."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

# What goes together with the product. The documents' commands and other servers are tried with the product
# (tests/world).
PRODUCT = ("alembic/versions/", "backend/app/", "perf/app/", "tests/app/")
FOLDERS = ("alembic", "backend", "perf", "scripts", "tests")


def modules() -> Iterator[Path]:
    """Each module that stays when the product is deleted."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not path.relative_to(ROOT).as_posix().startswith(PRODUCT) and "node_modules" not in path.parts:
                yield path


def imported(path: Path) -> Iterator[str]:
    """Every module that a module imports, inside its functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_of_the_product(name: str) -> bool:
    """Whether a module goes together with the product."""
    return any(f"{name}.".startswith(f"{folder}.") for folder in ("app", "perf.app", "tests.app"))


def test_only_the_product_imports_the_product() -> None:
    """`backend/app`, its migrations and its tests can be deleted as folders."""
    found = {
        path.relative_to(ROOT).as_posix() for path in modules() for name in imported(path) if is_of_the_product(name)
    }
    assert found == set()
