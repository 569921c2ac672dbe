"""Finds table classes that a project has written and nothing imports. They have no operations, and there is no error.

Must not import anything of the project: it reads files.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rowhouse.registration.registry import Registry

# Packages whose unimported classes are nobody's mistake.
NO_PROJECTS = frozenset({"__main__", "rowhouse", "tests"})
INSTALLED = frozenset({"site-packages", "dist-packages"})


def modules_of(registries: Iterable[Registry]) -> set[str]:
    """Return the names of the modules that declare the registered classes."""
    lines = [line for registry in registries for line in registry.registrations.values()]
    return {line.resource.model.__module__ for line in lines}


def unimported_classes(modules: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each table class whose module nothing has imported.

    It looks in the packages of `modules`, and beside those that are in no package. Installed packages and tests are
    left out.
    """
    for root, files in _projects(modules):
        names = {file.name for file in files}
        loaded = [getattr(module, "__file__", None) or "" for module in [*sys.modules.values()]]
        imported = {Path(file).resolve() for file in loaded if Path(file).name in names}
        for file in sorted(files):
            if file.resolve() not in imported and not _is_test(file.relative_to(root)):
                module = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
                yield from (_sentence(name, module) for name in _tables_in(file))


def _projects(modules: Iterable[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder that Python imports from, with the files of the project there."""
    for name in sorted({module.partition(".")[0] for module in modules} - NO_PROJECTS):
        found = sys.modules.get(name)
        for package in map(Path, getattr(found, "__path__", ())):
            if INSTALLED.isdisjoint(package.parts):
                yield package.parent, [*package.rglob("*.py")]
        file = getattr(found, "__file__", None)
        if file and not hasattr(found, "__path__") and INSTALLED.isdisjoint(Path(file).parts):
            yield Path(file).parent, [*Path(file).parent.glob("*.py")]


def _is_test(file: Path) -> bool:
    return "tests" in file.parts or file.name.startswith("test_")


def _sentence(name: str, module: str) -> str:
    return (
        f"{name} ({module}) has a table, and nothing imports its module: it has no operations and no migration; write "
        f"from {module} import {name} and register({name}, ...) beside the other lines"
    )


def _tables_in(file: Path) -> list[str]:
    """Return the names of the table classes in a file of Python."""
    try:
        tree = ast.parse(file.read_text("utf-8"))
    except (SyntaxError, ValueError, OSError):  # nothing imports it, so it may be anything
        return []
    classes = [one for one in tree.body if isinstance(one, ast.ClassDef)]
    return [one.name for one in classes if any(word.arg == "table" and _is_true(word.value) for word in one.keywords)]


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is True
